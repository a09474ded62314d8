//! Output: tables for people, JSON for programs, errors on stderr.

use crate::read_model::Cell;
use comfy_table::{CellAlignment, Table, presets};
use std::io::{self, Write};

/// Prints an error and what caused it.
#[allow(clippy::print_stderr, reason = "the one place where a command's error goes to stderr")]
pub fn error(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

/// Prints a remark that is not the command's output.
#[allow(clippy::print_stderr, reason = "remarks go to stderr, so that stdout is data")]
pub fn remark(text: &str) {
    eprintln!("{text}");
}

/// Asks a question; the answer is typed behind it.
#[allow(clippy::print_stderr, reason = "questions go to stderr, so that stdout is data")]
pub fn question(text: &str) {
    eprint!("{text}");
}

/// Prints a value as one line of JSON.
///
/// # Errors
/// When stdout is closed.
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// Prints a line.
///
/// # Errors
/// When stdout is closed.
pub fn line(text: &str) -> anyhow::Result<()> {
    writeln!(io::stdout().lock(), "{text}")?;
    Ok(())
}

/// An empty table with these columns.
pub fn table<S: AsRef<str>>(columns: &[S]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(columns.iter().map(AsRef::as_ref));
    table
}

/// A table of query results: numbers stand at the right, so that they can be compared.
pub fn rows(columns: &[String], rows: &[Vec<Cell>]) -> Table {
    let mut table = table(columns);
    table.add_rows(rows.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>()));
    for (index, column) in table.column_iter_mut().enumerate() {
        let is_number = |row: &Vec<Cell>| match row.get(index) {
            Some(Cell::Integer(_) | Cell::Real(_) | Cell::Null) => true,
            Some(Cell::Text(text)) => text.parse::<f64>().is_ok(),
            Some(Cell::Blob(_)) | None => false,
        };
        if rows.iter().all(is_number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A value as people read it.
pub fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".into(),
        Cell::Integer(value) => value.to_string(),
        Cell::Real(value) => value.to_string(),
        Cell::Text(text) => text.clone(),
        Cell::Blob(bytes) => {
            format!("x'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
    }
}
