//! `lantern replay`, and what other commands need to replay a log.

use super::progress::{Bar, Unit};
use super::{Context, output};
use crate::log::Client;
use crate::projection::position;
use crate::projection::replay::{Error, Plugins, Progress, Replayer, Setup};
use crate::projection::verify::recorded;
use crate::read_model::{Checkpoints, Durability, Snapshot, backup};
use crate::wasm::Engine;
use anyhow::{Context as _, bail, ensure};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

/// Give a read model as it was at an earlier moment.
///
/// Replays the log into a new file, in the order in which the events were applied, up to a time or a position.
/// The read model itself stays as it is, and may be in use. The file is a backup too: `lantern restore` takes it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  lantern replay orders --until 2026-05-01T00:00:00Z --out april.db\n  lantern replay orders --until orders/0@25 --out before.db"
)]
pub struct Replay {
    /// The read model's name.
    read_model: String,
    /// An RFC 3339 time: events before it. Or a position such as orders/0@25,orders/1@30: events before these
    /// offsets, and of partitions that are not named what had been applied by then. Without it: everything.
    #[arg(long, value_name = "TIME|POSITION")]
    until: Option<Until>,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Where a replay ends.
#[derive(Clone, Debug)]
enum Until {
    Time(jiff::Timestamp),
    Position(Checkpoints),
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('@') {
            return position::parse(text).map(Until::Position).map_err(|error| error.to_string());
        }
        let time = text.parse().map(Until::Time);
        time.map_err(|error| format!("it is neither an RFC 3339 time ({error}) nor topic/partition@offset"))
    }
}

#[derive(Serialize)]
struct Report {
    read_model: String,
    file: PathBuf,
    /// The next offset of each partition.
    position: BTreeMap<String, i64>,
    events: u64,
}

impl Replay {
    /// Replays, and writes the file.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let path = live(context, &self.read_model)?;
        ensure!(
            self.force || self.out.symlink_metadata().is_err(),
            "{} exists already; --force replaces it",
            self.out.display()
        );
        let plugins = recorded(&Snapshot::of(&path)?, &context.data.artifacts())?;
        let (events, position) = with_setup(context, "lantern replay", &self.read_model, plugins, |setup| {
            let until = self.ends(&path, setup)?;
            let scratch = scratch(context)?;
            let replayed = scratch.path().join("replay.db");
            let mut events = 0;
            follow(context, self.json, |control| {
                let mut replayer = Replayer::open(setup.clone(), &replayed, Durability::Relaxed)?;
                let followed = replayer.follow_until(&path, &until, &mut |at| {
                    events = at.events;
                    control(at)
                })?;
                replayer.settle()?;
                Ok(followed)
            })?;
            let artifacts = context.data.artifacts();
            let contents = backup::write(
                &replayed,
                &self.out,
                self.force,
                context.data.cluster()?.as_deref(),
                &mut |digest| super::backup::artifact(&artifacts, digest),
                &mut |_, _| {},
            )?;
            Ok((events, contents.checkpoints))
        })?;
        if self.json {
            let position = position.iter().map(|((topic, id), next)| (format!("{topic}/{id}"), *next));
            output::json(&Report {
                read_model: self.read_model,
                file: self.out,
                position: position.collect(),
                events,
            })?;
        } else {
            let (at, out) = (position::show(&position), self.out.display());
            output::line(&format!("{} as of {at}, {events} events, is in {out}", self.read_model))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Where each partition ends.
    fn ends(&self, path: &Path, setup: &Setup) -> anyhow::Result<Checkpoints> {
        let live = Snapshot::of(path)?;
        let (mut ends, beginnings) = (live.checkpoints()?, live.beginnings()?);
        match &self.until {
            None => {}
            Some(Until::Time(time)) => {
                let client = Client::new(&setup.log)?;
                for ((topic, partition), end) in &mut ends {
                    for (_, at) in client.offsets_at(topic, &[*partition], time.as_millisecond())? {
                        *end = at.min(*end);
                    }
                }
            }
            Some(Until::Position(wanted)) => {
                for (place @ (topic, partition), at) in wanted {
                    let Some(applied) = ends.get(place) else {
                        bail!("{} has applied nothing of {topic}/{partition}", self.read_model);
                    };
                    ensure!(
                        at <= applied,
                        "{} has not come to {topic}/{partition}@{at} yet: it is at {applied}",
                        self.read_model
                    );
                    let first = beginnings.get(place).copied().unwrap_or(0);
                    ensure!(
                        *at >= first,
                        "{} begins at {topic}/{partition}@{first}: there is nothing of it before",
                        self.read_model
                    );
                }
                ends.clone_from(wanted);
            }
        }
        Ok(ends)
    }
}

/// The file of a read model that is there.
pub fn live(context: &Context, name: &str) -> anyhow::Result<PathBuf> {
    let path = context.data.read_model(name);
    if !path.exists() {
        bail!("there is no read model {name:?} in {}", context.data.root().display());
    }
    Ok(path)
}

/// A folder for what is thrown away, on the disk of the data folder.
pub fn scratch(context: &Context) -> anyhow::Result<tempfile::TempDir> {
    let root = context.data.root();
    tempfile::Builder::new()
        .prefix(".scratch-")
        .tempdir_in(root)
        .with_context(|| format!("no scratch folder in {}", root.display()))
}

/// Reaches the log and starts an engine, for replays of a read model.
pub fn with_setup<T>(
    context: &Context,
    command: &str,
    name: &str,
    plugins: Plugins,
    with: impl FnOnce(&Setup) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    context.with_log(command, |log| {
        let cache = context.data.cache();
        context.data.create(&cache)?;
        let engine = Engine::with_limits(Some(cache), &context.config.limits)?;
        with(&Setup {
            plugins,
            options: context.config.projections.get(name).cloned().unwrap_or_default(),
            batch: context.config.batch.clone(),
            limits: context.config.limits.clone(),
            log: log.options().clone(),
            engine,
        })
    })
}

/// Runs a replay on a thread of its own, with its progress on a terminal, until a signal: plugins need a stack that
/// the main thread may not have.
pub fn follow<T: Send>(
    context: &Context,
    quiet: bool,
    replay: impl FnOnce(&mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<T, Error> + Send,
) -> anyhow::Result<T> {
    let bar = Bar::new(context.quiet || quiet, "replaying", Unit::Events);
    let interrupted = context.interrupted()?;
    let mut control = |at: Progress| {
        bar.show(at.done, at.total);
        if interrupted.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let done = std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(context.config.limits.thread_stack_bytes())
            .spawn_scoped(scope, || replay(&mut control))
            .map(|thread| thread.join())
    })?;
    bar.clear();
    ensure!(!interrupted.is_set(), "interrupted: nothing was changed");
    let done = done.map_err(|_| anyhow::anyhow!("the replay panicked: this is a fault of Lantern"))?;
    Ok(done?)
}
