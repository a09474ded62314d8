//! SQL as text, before SQLite sees it.

use super::Error;

/// The one statement that a text holds, without what may stand behind its end.
///
/// SQLite's wrapping would find a second one too, by calling itself for each that follows: ten thousand of them end
/// its stack, and with it the process.
///
/// # Errors
/// When it holds none, more than one, or a NUL, at which SQLite would stop reading.
pub fn single(sql: &str) -> Result<&str, Error> {
    let refused = |reason: &str| Err(Error::Query(reason.into()));
    if sql.contains('\0') {
        return refused("the SQL has a NUL character: leave it out");
    }
    let mut end = sql.len();
    let mut is_empty = true;
    for (at, token) in Tokens(sql, 0) {
        match token {
            Token::Blank => {}
            Token::Semicolon if is_empty => return refused("the SQL begins with a semicolon"),
            Token::Semicolon => end = end.min(at),
            Token::Other if end < sql.len() => {
                return refused("Multiple statements: send one, and the others after it");
            }
            Token::Other => is_empty = false,
        }
    }
    if is_empty {
        return refused("an empty statement");
    }
    Ok(&sql[..end])
}

enum Token {
    /// Space or a comment.
    Blank,
    Semicolon,
    Other,
}

/// Where each token begins. SQLite finds out whether they make sense.
struct Tokens<'a>(&'a str, usize);

impl Iterator for Tokens<'_> {
    type Item = (usize, Token);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.1;
        let rest = &self.0.as_bytes()[start..];
        let behind = |from: usize, end: &[u8]| {
            let found = rest[from..].windows(end.len()).position(|window| window == end);
            found.map_or(rest.len(), |at| from + at + end.len())
        };
        let (length, token) = match rest {
            [] => return None,
            [b';', ..] => (1, Token::Semicolon),
            [b'-', b'-', ..] => (behind(2, b"\n"), Token::Blank),
            [b'/', b'*', ..] => (behind(2, b"*/"), Token::Blank),
            // A quote within quotes is written twice: that reads as two texts, which ends at the same place.
            [quote @ (b'\'' | b'"' | b'`'), ..] => (behind(1, &[*quote]), Token::Other),
            [b'[', ..] => (behind(1, b"]"), Token::Other),
            [byte, ..] if byte.is_ascii_whitespace() || *byte == 0x0b => (1, Token::Blank),
            _ => (1, Token::Other),
        };
        self.1 = start + length;
        Some((start, token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // What is taken for one statement is prepared, and what is cut off is not: a wrong cut would run another query.
    #[test]
    fn a_text_holds_one_statement_or_is_refused() {
        let check = |sql: &str, expected: Result<&str, &str>| match (single(sql), expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{sql}"),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{sql}: {error}"),
            (got, expected) => panic!("{sql}: {got:?} instead of {expected:?}"),
        };
        check("SELECT 1", Ok("SELECT 1"));
        check("SELECT 1;", Ok("SELECT 1"));
        check("SELECT 1 ; -- done\n ; /* ; */ ;", Ok("SELECT 1 "));
        check("SELECT ';' , \";\", `;`, [;] /* ; */ -- ;", Ok("SELECT ';' , \";\", `;`, [;] /* ; */ -- ;"));
        check("SELECT 'it''s; fine'", Ok("SELECT 'it''s; fine'"));
        check("SELECT 'no end; SELECT 2", Ok("SELECT 'no end; SELECT 2"));
        check("SELECT 1 /* no end; SELECT 2", Ok("SELECT 1 /* no end; SELECT 2"));
        check("SELECT 'é;ü'; ", Ok("SELECT 'é;ü'"));
        check("SELECT 1; SELECT 2", Err("Multiple statements"));
        check("SELECT 1;;x", Err("Multiple statements"));
        check(&"SELECT 1;".repeat(30_000), Err("Multiple statements"));
        check("SELECT 1\0; DELETE FROM t", Err("NUL"));
        check("; SELECT 1", Err("semicolon"));
        check(" -- nothing", Err("empty statement"));
        check("", Err("empty statement"));
    }
}
