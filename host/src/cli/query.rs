//! `lantern query`

use super::running::{self, Running};
use super::{Context, output};
use crate::projection::position;
use crate::read_model::{Cell, Checkpoints, Question, Reader, ReaderLimits};
use anyhow::bail;
use std::cell::RefCell;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long the host is asked to wait at a time; it bounds what it is asked.
const WAIT_STEP: Duration = Duration::from_secs(5);
/// Rows of a table for people; a table of more is not read by anybody.
const TABLE_ROWS_MAX: usize = 1_000;

/// Query a read model with SQL.
///
/// The same file can be opened with any SQLite tool: it is in the data folder, under read-models.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lantern query orders \"SELECT status, count(*) FROM orders GROUP BY status\"
  lantern query orders \"SELECT * FROM orders WHERE id = 7\" --wait-for orders/0@25")]
pub struct Query {
    /// The read model's name.
    read_model: String,
    /// One statement that reads.
    sql: String,
    /// Print JSON: {"columns": [...], "rows": [[...], ...]}.
    #[arg(long)]
    json: bool,
    /// Wait until the read model has applied everything before this position, as an answer's header Lantern-Position
    /// has it: what was written to get that answer is seen.
    #[arg(long, value_name = "POSITION", value_parser = position::parse)]
    wait_for: Option<Checkpoints>,
    /// Give up after this many milliseconds.
    #[arg(long, visible_alias = "timeout", value_name = "MS", default_value_t = 30_000)]
    timeout_ms: u64,
}

impl Query {
    /// Prints the rows.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let deadline = Instant::now() + Duration::from_millis(self.timeout_ms);
        let path = context.data.read_model(&self.read_model);
        if let Some(position) = &self.wait_for {
            self.wait(context, position, deadline)?;
        }
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
        let limits = ReaderLimits::time(deadline.saturating_duration_since(Instant::now()));
        if self.json {
            stream(&mut reader, &self.sql, limits)?
        } else {
            show(&mut reader, &self.sql, limits)?
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Query {
    /// Waits until the read model has got to a position. A running host knows when it has; where none runs, it gets no
    /// further.
    fn wait(&self, context: &Context, position: &Checkpoints, deadline: Instant) -> anyhow::Result<()> {
        if context.data.holder().is_none() {
            let applied = Reader::open(&context.data.read_model(&self.read_model))
                .and_then(|reader| reader.checkpoints())
                .unwrap_or_default();
            let topics = position.keys().map(|(topic, _)| topic.clone()).collect();
            let missing = position::missing(position, &topics, &applied);
            if !missing.is_empty() {
                bail!(
                    "{} has not applied all before {}, and nothing runs that would: start `lantern run`",
                    self.read_model,
                    position::show(&missing)
                );
            }
            return Ok(());
        }
        let running = Running::find(context, "query")?;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match running.await_position(&self.read_model, position, left.min(WAIT_STEP)) {
                Err(running::Error::Refused(problem)) if problem.status == 504 && left > WAIT_STEP => {}
                done => return Ok(done?),
            }
        }
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
        Question::new(sql),
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
        Question::new(sql),
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
