//! The first rows of a read model's tables.

use crate::cli::output;
use crate::cli::running::{Error, Running};

/// Rows that are shown of each table.
const ROWS_MAX: usize = 5;
/// Tables that are shown.
const TABLES_MAX: usize = 8;

/// The plugin's own tables, in the order in which its schema makes them.
const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' \
                      AND name NOT LIKE '!_lantern!_%' ESCAPE '!' ORDER BY rowid";

/// Every table with its first rows, for people.
pub fn first(running: &Running, name: &str) -> Result<String, Error> {
    let tables = running.query(name, TABLES)?;
    let names: Vec<String> = tables.rows.iter().flatten().map(output::cell).collect();
    let mut parts = Vec::new();
    for table in names.iter().take(TABLES_MAX) {
        let quoted = table.replace('"', "\"\"");
        let found = running.query(name, &format!("SELECT * FROM \"{quoted}\" LIMIT {}", ROWS_MAX + 1))?;
        let shown = &found.rows[..found.rows.len().min(ROWS_MAX)];
        if shown.is_empty() {
            parts.push(format!("{table}: no rows yet"));
            continue;
        }
        let more = if found.rows.len() > ROWS_MAX { ", the first rows" } else { "" };
        parts.push(format!("{table}{more}\n{}", output::rows(&found.columns, shown)));
    }
    if names.len() > TABLES_MAX {
        parts.push(format!("and {} more tables", names.len() - TABLES_MAX));
    }
    Ok(parts.join("\n"))
}
