//! Functions whose time grows with the product of two arguments, for queries that anybody sends.
//!
//! SQLite looks at a query's deadline between two of its steps, and a call of a function is one step: `instr` of a
//! megabyte in a megabyte would run for minutes. These take the place of SQLite's own and are done in one pass over
//! each argument, or refused. Patterns of LIKE and GLOB are bounded by a limit of SQLite's.

use memchr::memmem;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error, Result};
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Replaces them on a connection, whose values may have so many bytes.
pub fn bound(connection: &Connection, value_bytes_max: usize) -> Result<()> {
    // Innocuous: SQLite's own are, and views and indexes may use them.
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection
        .create_scalar_function("instr", 2, flags, |call| Ok(instr(call.get_raw(0), call.get_raw(1))))?;
    connection.create_scalar_function("replace", 3, flags, move |call| replace(call, value_bytes_max))?;
    for (name, left, right) in [("trim", true, true), ("ltrim", true, false), ("rtrim", false, true)] {
        connection.create_scalar_function(name, 2, flags, move |call| trim(call, left, right))?;
    }
    for name in ["json_patch", "jsonb_patch", "unhex"] {
        let refusal = move |_: &Context<'_>| {
            Err::<Value, _>(Error::UserFunctionError(
                format!("{name}() of two arguments is not offered here").into(),
            ))
        };
        connection.create_scalar_function(name, 2, flags, refusal)?;
    }
    Ok(())
}

/// A value as SQLite's functions read texts; `None` is NULL.
fn bytes<'a>(value: ValueRef<'a>) -> Option<Cow<'a, [u8]>> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(value) => Some(Cow::Owned(value.to_string().into_bytes())),
        ValueRef::Real(value) => real(value).map(|text| Cow::Owned(text.into_bytes())),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(Cow::Borrowed(bytes)),
    }
}

/// A real as SQLite writes it, which has its own way to round.
fn real(value: f64) -> Option<String> {
    static WRITER: OnceLock<Option<Mutex<Connection>>> = OnceLock::new();
    let writer = WRITER.get_or_init(|| Connection::open_in_memory().ok().map(Mutex::new)).as_ref()?;
    let writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
    let mut statement = writer.prepare_cached("SELECT CAST(?1 AS TEXT)").ok()?;
    statement.query_row([value], |row| row.get(0)).ok()
}

/// Where one lies in the other, from 1: in bytes for two blobs, else in characters.
fn instr(hay: ValueRef<'_>, needle: ValueRef<'_>) -> Option<i64> {
    let in_bytes = matches!((hay, needle), (ValueRef::Blob(_), ValueRef::Blob(_)));
    let (hay, needle) = (bytes(hay)?, bytes(needle)?);
    let Some(at) = memmem::find(&hay, &needle) else { return Some(0) };
    let before = if in_bytes { at } else { hay[..at].iter().filter(|byte| **byte & 0xc0 != 0x80).count() };
    i64::try_from(before).ok().map(|before| before + 1)
}

fn replace(call: &Context<'_>, value_bytes_max: usize) -> Result<Value> {
    let [text, from, to] = [0, 1, 2].map(|at| bytes(call.get_raw(at)));
    let (Some(text), Some(from), Some(to)) = (text, from, to) else { return Ok(Value::Null) };
    if from.is_empty() {
        return utf8(text.into_owned()).map(Value::Text);
    }
    // Counted before anything is made.
    let found: Vec<usize> = memmem::find_iter(&text, &*from).collect();
    let length = text.len() - found.len() * from.len() + found.len().saturating_mul(to.len());
    if length > value_bytes_max {
        return Err(Error::UserFunctionError("string or blob too big".into()));
    }
    let mut replaced = Vec::with_capacity(length);
    let mut behind = 0;
    for at in found {
        replaced.extend_from_slice(&text[behind..at]);
        replaced.extend_from_slice(&to);
        behind = at + from.len();
    }
    replaced.extend_from_slice(&text[behind..]);
    utf8(replaced).map(Value::Text)
}

fn trim(call: &Context<'_>, left: bool, right: bool) -> Result<Value> {
    let [text, characters] = [0, 1].map(|at| bytes(call.get_raw(at)));
    let (Some(text), Some(characters)) = (text, characters) else { return Ok(Value::Null) };
    let (text, characters) = (utf8(text.into_owned())?, utf8(characters.into_owned())?);
    let characters: HashSet<char> = characters.chars().collect();
    let mut rest = text.as_str();
    if left {
        rest = rest.trim_start_matches(|c| characters.contains(&c));
    }
    if right {
        rest = rest.trim_end_matches(|c| characters.contains(&c));
    }
    Ok(Value::Text(rest.to_owned()))
}

fn utf8(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Error::UserFunctionError("the text is not UTF-8".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // A query must answer the same through these as in any other SQLite tool.
    #[test]
    fn they_answer_as_sqlites_own_do() {
        let own = Connection::open_in_memory().unwrap();
        let bounded = Connection::open_in_memory().unwrap();
        bound(&bounded, 1 << 20).unwrap();
        for call in [
            "instr('abcabc', 'ca')",
            "instr('äöü', 'ü')",
            "instr(x'c3a4c3b6', x'c3b6')",
            "instr(x'c3a4c3b6', 'ö')",
            "instr('abc', '')",
            "instr('', 'a')",
            "instr('abc', 'd')",
            "instr(NULL, 'd')",
            "instr('d', NULL)",
            "instr(12345, 34)",
            "instr(1.5, '.')",
            "replace(0.1 + 0.2, '.', ',')",
            "trim(1e300, '1')",
            "replace('abcabc', 'b', 'xy')",
            "replace('aaa', 'aa', 'b')",
            "replace('abc', '', 'x')",
            "replace(12, '', 'x')",
            "replace(1212, 2, 3)",
            "replace('abc', 'b', NULL)",
            "replace('äöä', 'ä', '')",
            "trim('xxaxx', 'x')",
            "trim('äbaä', 'aä')",
            "ltrim('xxaxx', 'x')",
            "rtrim('xxaxx', 'x')",
            "trim('  a  ')",
            "trim('abc', '')",
            "trim(NULL, 'a')",
            "trim('abc', NULL)",
            "trim(1001, 1)",
        ] {
            let answer = |connection: &Connection| {
                let sql = format!("SELECT {call}, typeof({call})");
                connection.query_row(&sql, [], |row| Ok((row.get::<_, Value>(0)?, row.get::<_, String>(1)?)))
            };
            assert_eq!(answer(&bounded).unwrap(), answer(&own).unwrap(), "{call}");
        }
    }

    #[test]
    fn what_would_become_too_large_is_not_made() {
        let bounded = Connection::open_in_memory().unwrap();
        bound(&bounded, 1 << 20).unwrap();
        let sql = "SELECT length(replace(printf('%.*c', 1000000, 'a'), 'a', printf('%.*c', 1000000, 'b')))";
        let error = bounded.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap_err().to_string();
        assert!(error.contains("too big"), "{error}");
    }
}
