//! SQL that follows from settings.

use lantern_sdk::Table;

/// The longest name of a table or a column.
const NAME_BYTES_MAX: usize = 64;

/// A name as SQL wants it quoted.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names in quotes, with commas.
pub fn list<S: AsRef<str>>(names: &[S]) -> String {
    names.iter().map(|name| quoted(name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// Whether a table or column can have this name.
pub fn check_name(what: &str, name: &str) -> Result<(), String> {
    let letters = |c: char| c.is_alphanumeric() || c == '_';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(letters) || name.starts_with('_') {
        return Err(format!(
            "{what} is {name:?}: use letters, digits and `_`, not `_` first, at most {NAME_BYTES_MAX} bytes"
        ));
    }
    Ok(())
}

/// The name of a table that nobody has named.
pub fn table_name(name: &str) -> String {
    name.replace('-', "_")
}

/// A table whose names are known only now. What it refers to stays for as long as the instance does.
pub fn table(name: &str, key: &[String], columns: &[String]) -> Result<Table, String> {
    if columns.len() > Table::COLUMNS_MAX {
        return Err(format!(
            "it has {} columns beside its key, at most {} are possible",
            columns.len(),
            Table::COLUMNS_MAX
        ));
    }
    let keep = |names: &[String]| -> &'static [&'static str] {
        Vec::leak(names.iter().map(|name| &*String::leak(name.clone())).collect())
    };
    Ok(Table::new(String::leak(name.to_owned()), keep(key), keep(columns)))
}
