//! JSON laid out anew without being changed: numbers keep their digits, objects the order of their keys.

use serde_json::value::RawValue;

/// Spaces that one level is indented by.
const INDENT: usize = 2;

/// The same JSON on one line, or over several that are indented; `None` where the bytes are no JSON.
pub fn laid_out(bytes: &[u8], indented: bool) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    serde_json::from_str::<&RawValue>(text).ok()?;
    let mut laid = String::with_capacity(text.len());
    let mut depth: usize = 0;
    let mut is_string = false;
    let mut is_escaped = false;
    let mut characters = text.chars().peekable();
    let line = |laid: &mut String, depth: usize| {
        if indented {
            laid.push('\n');
            laid.extend(std::iter::repeat_n(' ', INDENT * depth));
        }
    };
    while let Some(c) = characters.next() {
        if is_string {
            laid.push(c);
            match c {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                '"' => is_string = false,
                _ => {}
            }
            continue;
        }
        match c {
            ' ' | '\t' | '\n' | '\r' => {}
            '{' | '[' => {
                laid.push(c);
                while characters.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                // What is empty stays in one piece.
                if let Some(end) = characters.next_if(|c| matches!(c, '}' | ']')) {
                    laid.push(end);
                } else {
                    depth += 1;
                    line(&mut laid, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut laid, depth);
                laid.push(c);
            }
            ',' => {
                laid.push(c);
                line(&mut laid, depth);
            }
            ':' => laid.push_str(if indented { ": " } else { ":" }),
            '"' => {
                is_string = true;
                laid.push(c);
            }
            _ => laid.push(c),
        }
    }
    Some(laid)
}

#[cfg(test)]
mod tests {
    use super::*;

    // A value that is printed and produced again must be the same value.
    #[test]
    fn json_is_laid_out_and_not_changed() {
        let check = |json: &str, compact: &str, indented: &str| {
            assert_eq!(laid_out(json.as_bytes(), false).as_deref(), Some(compact), "{json}");
            assert_eq!(laid_out(json.as_bytes(), true).as_deref(), Some(indented), "{json}");
        };
        check("{ }", "{}", "{}");
        check(" 1.50 ", "1.50", "1.50");
        check(
            "{\"b\" : 12345678901234567890.10,\n \"a\":[1 , {}, \"x,{\\\"}\\\\\" ] }",
            r#"{"b":12345678901234567890.10,"a":[1,{},"x,{\"}\\"]}"#,
            "{\n  \"b\": 12345678901234567890.10,\n  \"a\": [\n    1,\n    {},\n    \"x,{\\\"}\\\\\"\n  ]\n}",
        );
        for no_json in ["", "{", "hello", "{\"a\":1} x", "\u{1}"] {
            assert_eq!(laid_out(no_json.as_bytes(), true), None, "{no_json}");
        }
        assert_eq!(laid_out(&[0xff, 0xfe], false), None);
    }
}
