//! Date functions without a clock: a replay must give the same rows.
//!
//! SQLite's date functions are pure but for `now` and the local time zone. They are replaced by functions
//! of the same names that refuse those two and hand all else to the original, on a connection of their own.

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error, Result, params_from_iter};
use std::sync::{Arc, Mutex};

const FUNCTIONS: [&str; 7] = ["date", "time", "datetime", "julianday", "unixepoch", "strftime", "timediff"];
const CLOCKS: [&str; 3] = ["current_date", "current_time", "current_timestamp"];
/// More arguments than any use of a date function has.
const ARGUMENTS_MAX: usize = 32;

/// Replaces the date functions of a connection that a plugin writes through.
pub fn forbid(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let original = Arc::new(Mutex::new(Connection::open_in_memory()?));
    for name in FUNCTIONS {
        let original = Arc::clone(&original);
        connection.create_scalar_function(name, -1, flags, move |context| call(name, context, &original))?;
    }
    for name in CLOCKS {
        connection.create_scalar_function(name, 0, flags, move |_| Err::<Value, _>(refusal(name)))?;
    }
    Ok(())
}

fn refusal(name: &str) -> Error {
    Error::UserFunctionError(
        format!("{name} would read the clock, and a replay would give other rows: use the event's timestamp")
            .into(),
    )
}

fn call(name: &str, context: &Context<'_>, original: &Mutex<Connection>) -> Result<Value> {
    let reads_clock = |value: ValueRef<'_>| match value {
        ValueRef::Text(text) => ["now", "localtime", "utc"]
            .iter()
            .any(|word| text.trim_ascii().eq_ignore_ascii_case(word.as_bytes())),
        _ => false,
    };
    // strftime's first argument is its format; with that alone, and the others with none, it means now.
    let least = if name == "strftime" { 2 } else { 1 };
    if context.len() < least || (0..context.len()).any(|at| reads_clock(context.get_raw(at))) {
        return Err(refusal(name));
    }
    if context.len() > ARGUMENTS_MAX {
        return Err(Error::UserFunctionError(
            format!("{name} has more than {ARGUMENTS_MAX} arguments").into(),
        ));
    }
    let arguments = (0..context.len()).map(|at| context.get::<Value>(at)).collect::<Result<Vec<_>>>()?;
    let places = vec!["?"; arguments.len()].join(",");
    let original = original.lock().map_err(|_| refusal(name))?;
    let mut statement = original.prepare_cached(&format!("SELECT {name}({places})"))?;
    statement.query_row(params_from_iter(arguments), |row| row.get(0))
}
