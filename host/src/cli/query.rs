//! `lantern query`

use super::{Context, output};
use crate::read_model::{Cell, Reader, ReaderLimits};
use anyhow::bail;
use std::cell::RefCell;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

/// Rows of a table for people; a table of more is not read by anybody.
const TABLE_ROWS_MAX: usize = 1_000;

/// Query a read model with SQL.
///
/// The same file can be opened with any SQLite tool: it is in the data folder, under read-models.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  lantern query orders \"SELECT status, count(*) FROM orders GROUP BY status\""
)]
pub struct Query {
    /// The read model's name.
    read_model: String,
    /// One statement that reads.
    sql: String,
    /// Print JSON: {"columns": [...], "rows": [[...], ...]}.
    #[arg(long)]
    json: bool,
    /// Give up after this many milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    timeout_ms: u64,
}

impl Query {
    /// Prints the rows.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let path = context.data.read_model(&self.read_model);
        if !path.exists() {
            let known = context.data.read_models();
            let known = if known.is_empty() { "there is none".into() } else { known.join(", ") };
            bail!(
                "there is no read model {:?} in {}. Known: {known}",
                self.read_model,
                context.data.root().display()
            );
        }
        let mut reader = Reader::open(&path)?;
        let limits = ReaderLimits { time_max: Duration::from_millis(self.timeout_ms) };
        if self.json {
            stream(&mut reader, &self.sql, limits)?
        } else {
            show(&mut reader, &self.sql, limits)?
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints rows as they come, in bounded memory.
fn stream(reader: &mut Reader, sql: &str, limits: ReaderLimits) -> anyhow::Result<()> {
    // Two closures write in turns.
    let out = RefCell::new(io::BufWriter::new(io::stdout().lock()));
    let mut written: io::Result<()> = Ok(());
    let mut separator = "";
    let mut begun = Ok(());
    reader.query(
        sql,
        limits,
        |columns| begun = begin(&mut *out.borrow_mut(), &columns),
        |row| {
            written = append(&mut *out.borrow_mut(), separator, &row);
            separator = ",";
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        },
    )?;
    begun?;
    written?;
    let mut out = out.into_inner();
    writeln!(out, "]}}")?;
    out.flush()?;
    Ok(())
}

fn begin(out: &mut impl io::Write, columns: &[String]) -> io::Result<()> {
    write!(out, "{{\"columns\":{},\"rows\":[", serde_json::to_string(columns)?)
}

fn append(out: &mut impl io::Write, separator: &str, row: &[Cell]) -> io::Result<()> {
    out.write_all(separator.as_bytes())?;
    Ok(serde_json::to_writer(out, row)?)
}

/// Prints a table.
fn show(reader: &mut Reader, sql: &str, limits: ReaderLimits) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut columns = Vec::new();
    let mut more = false;
    reader.query(
        sql,
        limits,
        |names| columns = names,
        |row| {
            if rows.len() == TABLE_ROWS_MAX {
                more = true;
                return ControlFlow::Break(());
            }
            rows.push(row);
            ControlFlow::Continue(())
        },
    )?;
    output::line(&output::rows(&columns, &rows).to_string())?;
    if more {
        output::remark(&format!("only the first {TABLE_ROWS_MAX} rows are shown; --json prints all"));
    }
    Ok(())
}
