//! `lantern command`

use super::running::aggregates::{Decided, Request};
use super::running::{Error, Running};
use super::{Context, output};
use anyhow::{Context as _, bail};
use serde_json::value::RawValue;
use std::io::Read as _;
use std::process::ExitCode;

/// The most bytes of data that are read from standard input; the host takes no more.
const DATA_BYTES_MAX: u64 = 1 << 20;

/// Send a command to an aggregate, and see what was decided.
///
/// The command handler of the running host decides on the aggregate's latest state and appends events to the log. A
/// command that is rejected leaves with 1 and changes nothing. Sent again with the same --key, it is answered as the first time.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lantern command account ada Deposit '{\"cents\": 5000}'
  lantern command account ada Withdraw '{\"cents\": 900}' --key order-17 --expect-version 4
  jq .order order.json | lantern command order o-17 Place -")]
pub struct Command {
    /// The type of the aggregate: the command handler's name.
    #[arg(value_name = "TYPE")]
    aggregate: String,
    /// Which one.
    id: String,
    /// What is asked of it.
    #[arg(value_name = "COMMAND")]
    name: String,
    /// The command's data; - reads it from standard input.
    #[arg(value_name = "JSON")]
    data: Option<String>,
    /// However often the command is sent with this key, it is decided once.
    #[arg(long)]
    key: Option<String>,
    /// Only if the aggregate has this version; 0 if it must not exist yet.
    #[arg(long, value_name = "N")]
    expect_version: Option<u64>,
    /// Write this into the events, to find what belongs together.
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,
    /// Print JSON: what was appended, or why it was rejected.
    #[arg(long)]
    json: bool,
}

impl Command {
    /// Sends it, and says what was decided.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let data = self.read_data()?;
        for (flag, value) in [("--key", &self.key), ("--correlation", &self.correlation)] {
            let is_plain = |value: &String| value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            if !value.as_ref().is_none_or(is_plain) {
                bail!("{flag} goes into a header of HTTP, and may have visible ASCII only");
            }
        }
        let running = Running::find(context, "command")?;
        let request = Request {
            aggregate: &self.aggregate,
            id: &self.id,
            name: &self.name,
            data: data.as_deref(),
            key: self.key.as_deref(),
            expected: self.expect_version,
            correlation: self.correlation.as_deref(),
        };
        match running.command(&request) {
            Ok(decided) if self.json => output::json(&decided)?,
            Ok(decided) => show(&decided)?,
            Err(Error::Refused(problem)) if self.json => {
                output::json(&problem)?;
                return Ok(ExitCode::FAILURE);
            }
            Err(Error::Refused(problem)) => match problem.members.get("code").and_then(|it| it.as_str()) {
                Some(code) => bail!("rejected ({code}): {problem}"),
                None => return Err(problem.into()),
            },
            Err(error) => return Err(error.into()),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn read_data(&self) -> anyhow::Result<Option<Box<RawValue>>> {
        let mut text = String::new();
        let text = match self.data.as_deref() {
            None => return Ok(None),
            Some("-") => {
                let stdin = std::io::stdin().lock();
                stdin.take(DATA_BYTES_MAX + 1).read_to_string(&mut text).context("cannot read the data")?;
                if text.len() as u64 > DATA_BYTES_MAX {
                    bail!("the data has more than {DATA_BYTES_MAX} bytes, the most that a command may have");
                }
                text.trim()
            }
            Some(text) => text,
        };
        let data: Box<RawValue> = serde_json::from_str(text)
            .with_context(|| format!("the data of {} is no JSON; quote it for the shell", self.name))?;
        Ok(Some(data))
    }
}

fn show(decided: &Decided) -> anyhow::Result<()> {
    let Decided { aggregate, id, version, events, repeated, .. } = decided;
    let before = if *repeated { " (decided before, under the same key)" } else { "" };
    if events.is_empty() {
        return output::line(&format!(
            "{aggregate} {id}: nothing to do, it stays at version {version}{before}"
        ));
    }
    output::line(&format!("{aggregate} {id} is at version {version}{before}"))?;
    let mut table = output::table(&["version", "event", "data"]);
    for event in events {
        table.add_row([event.version.to_string(), event.kind.clone(), event.data.get().to_owned()]);
    }
    output::line(&table.to_string())
}
