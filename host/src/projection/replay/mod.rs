//! Applies the log in the order that another read model's journal recorded: to build a read model anew, and to
//! check one.
//!
//! # Layout
//!
//! * [`Setup`]: what a replay is made with. [`Plugins`]: by one plugin, or by those that the journal names.
//! * [`Replayer`]: follows a journal, as far as it goes or up to a [`position`](super::position).
//! * `pass`: the time of one plugin in it.
//! * `beyond`: topics that the journal does not have.
//! * [`Error`]: why it does not go on.

mod beyond;
mod error;
mod pass;

pub use error::Error;

use super::author::Author;
use super::options::{BatchOptions, Options};
use super::run::assignments;
use crate::log::{self, Assignment, Client, Partitions};
use crate::plugin::{self, Plugin};
use crate::read_model::{self, Checkpoints, Cursor, Durability, Page, Reader, Run, Snapshot, Writer};
use crate::upcast::Upcasters;
use crate::wasm::{Engine, Limits};
use pass::Pass;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs of a journal that are read at a time.
const PAGE_RUNS: usize = 10_000;

/// What a replay needs.
#[derive(Clone)]
pub struct Setup {
    /// Who applies the events.
    pub plugins: Plugins,
    /// The user's settings of the projection.
    pub options: Options,
    /// The size of its batches.
    pub batch: BatchOptions,
    /// What its plugins may use.
    pub limits: Limits,
    /// The log.
    pub log: log::Options,
    /// Runs its plugins.
    pub engine: Engine,
}

/// Who applies the events of a replay.
#[derive(Clone)]
pub enum Plugins {
    /// One plugin with its upcasters all of them, whoever applied them before. Topics that it does not read are passed over, and a log
    /// that has lost its beginning is taken as the projection's `on_truncated` says.
    One(Author),
    /// The plugin that applied each of them, and the upcasters that they came through, as the journal recorded it. Where the log does not have the same events,
    /// that is an error.
    Recorded {
        /// Where plugins are kept, as `<digest>.wasm`.
        folder: PathBuf,
        /// Whom to begin with, as the journal says.
        first: String,
    },
}

/// How far a replay is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Offsets that are behind.
    pub done: u64,
    /// Offsets that the journal has, as far as is known.
    pub total: u64,
    /// Events that were applied since the replay was opened.
    pub events: u64,
}

/// How following a journal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// Everything that the journal had is applied and committed, or everything up to the end that was given.
    CaughtUp,
    /// It was told to stop. What was applied so far is committed, and the next call goes on.
    Stopped,
}

/// A read model that is written from another one's journal. It can be dropped at any moment and opened again: where
/// it goes on is in its file.
pub struct Replayer {
    setup: Setup,
    file: PathBuf,
    durability: Durability,
    /// Who was the last to apply something.
    author: Author,
    /// By digest.
    loaded: HashMap<String, Arc<Plugin>>,
    /// The log, and where each partition is in it.
    reader: Option<Partitions>,
    indexes: HashMap<(Arc<str>, i32), usize>,
    /// The journal that was followed, and the place in it before which everything is applied.
    cursor: (PathBuf, Cursor),
    events: u64,
}

/// A journal: of a read model that goes on, or at one moment.
trait Journal {
    fn page(&self, cursor: Cursor) -> Result<Page, read_model::Error>;
    fn beginnings(&self) -> Result<Checkpoints, read_model::Error>;
    fn checkpoints(&self) -> Result<Checkpoints, read_model::Error>;
}

impl Journal for Reader {
    fn page(&self, cursor: Cursor) -> Result<Page, read_model::Error> {
        self.journal_after(cursor, PAGE_RUNS)
    }
    fn beginnings(&self) -> Result<Checkpoints, read_model::Error> {
        self.beginnings()
    }
    fn checkpoints(&self) -> Result<Checkpoints, read_model::Error> {
        self.checkpoints()
    }
}

impl Journal for Snapshot {
    fn page(&self, cursor: Cursor) -> Result<Page, read_model::Error> {
        self.journal_after(cursor, PAGE_RUNS)
    }
    fn beginnings(&self) -> Result<Checkpoints, read_model::Error> {
        self.beginnings()
    }
    fn checkpoints(&self) -> Result<Checkpoints, read_model::Error> {
        self.checkpoints()
    }
}

/// Is told between two batches how far it is, and whether to go on.
pub type Control<'c> = &'c mut dyn FnMut(Progress) -> ControlFlow<()>;

impl Replayer {
    /// Opens a replay's file, or makes it when there is none.
    ///
    /// # Errors
    /// When the file is another plugin's or cannot be written, or a plugin is missing;
    /// [`read_model::Error::Unsettled`] when it was begun with relaxed durability and the machine went down.
    pub fn open(setup: Setup, file: &Path, durability: Durability) -> Result<Self, Error> {
        let mut loaded = HashMap::new();
        let author = match &setup.plugins {
            Plugins::One(author) => author.clone(),
            Plugins::Recorded { folder, first } => load_author(&setup, folder, first, &mut loaded)?,
        };
        let replayer = Replayer {
            setup,
            file: file.into(),
            durability,
            author,
            loaded,
            reader: None,
            indexes: HashMap::new(),
            cursor: Default::default(),
            events: 0,
        };
        replayer.writer()?;
        Ok(replayer)
    }

    fn writer(&self) -> Result<Writer, read_model::Error> {
        Writer::open(&self.file, &self.author.blueprint(), self.durability)
    }

    /// The next offsets to apply.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn checkpoints(&self) -> Result<Checkpoints, Error> {
        Ok(Reader::open(&self.file)?.checkpoints()?)
    }

    /// Makes everything that was applied durable, and goes on with normal durability.
    ///
    /// # Errors
    /// When the disk refuses, or a reader is in the way; then try again.
    pub fn settle(&mut self) -> Result<(), Error> {
        self.durability = Durability::Normal;
        self.writer()?.settle()?;
        Ok(())
    }

    /// Applies what the journal of the read model at `source` has more, until there is nothing more. Call it on a thread
    /// whose stack has [`Limits::thread_stack_bytes`]. The read model may be written meanwhile.
    ///
    /// # Errors
    /// When the log no longer has the events, or a plugin does not apply them. What was applied before stays, and the
    /// next call goes on there.
    pub fn follow(&mut self, source: &Path, control: Control<'_>) -> Result<Followed, Error> {
        let journal = Reader::open(source)?;
        self.run(source, &journal, None, control)
    }

    /// Whether [`Replayer::follow`] would find something to apply. A look, where that starts a plugin.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn has_more(&self, source: &Path) -> Result<bool, Error> {
        let (followed, cursor) = &self.cursor;
        Ok(followed != source || !Reader::open(source)?.journal_after(*cursor, 1)?.runs.is_empty())
    }

    /// As [`Replayer::follow`], until the read model is as it was when every partition in `until` had reached the offset
    /// there. Such a partition is applied no further; others are as far as they were then.
    ///
    /// # Errors
    /// As [`Replayer::follow`].
    pub fn follow_until(
        &mut self,
        source: &Path,
        until: &Checkpoints,
        control: Control<'_>,
    ) -> Result<Followed, Error> {
        let journal = Reader::open(source)?;
        self.run(source, &journal, Some(until), control)
    }

    /// As [`Replayer::follow`], until the read model is as the snapshot.
    ///
    /// # Errors
    /// As [`Replayer::follow`].
    pub fn follow_to(&mut self, source: &Snapshot, control: Control<'_>) -> Result<Followed, Error> {
        self.run(source.path(), source, None, control)
    }

    fn run(
        &mut self,
        source: &Path,
        journal: &dyn Journal,
        until: Option<&Checkpoints>,
        control: Control<'_>,
    ) -> Result<Followed, Error> {
        if self.cursor.0 != source {
            self.cursor = (source.into(), Cursor::default());
        }
        let done = self.passes(journal, until, control);
        if done.is_err() {
            // What was fetched and not committed is fetched again; what the file has is skipped.
            self.reader = None;
            self.indexes.clear();
            self.cursor.1 = Cursor::default();
        }
        done
    }

    /// Pass after pass, each by one plugin with the partitions that are known at its start.
    fn passes(
        &mut self,
        journal: &dyn Journal,
        until: Option<&Checkpoints>,
        control: Control<'_>,
    ) -> Result<Followed, Error> {
        loop {
            let writer = self.writer()?;
            let positions = self.take_up(journal, &writer)?;
            let mut pass = Pass::start(self, writer, positions, journal, until.cloned())?;
            let ended = pass.run(self, journal, control);
            // Also after an error: the writer is at rest when this returns.
            let events = pass.end();
            self.events += events;
            match ended? {
                pass::Ended::Followed(followed) => return Ok(followed),
                pass::Ended::Author(author) => self.change(&author)?,
                pass::Ended::Partition => {}
            }
        }
    }

    /// Takes up the partitions that the journal has and the file has not; answers where all are.
    fn take_up(&mut self, journal: &dyn Journal, writer: &Writer) -> Result<Checkpoints, Error> {
        let mut positions = writer.checkpoints()?;
        for ((topic, partition), first) in journal.beginnings()? {
            if !self.reads(&topic) || positions.contains_key(&(topic.clone(), partition)) {
                continue;
            }
            writer.begin_partition(&topic, partition, first)?;
            positions.insert((topic, partition), first);
        }
        positions.retain(|(topic, _), _| self.reads(topic));
        let new: Checkpoints = positions
            .iter()
            .filter(|((topic, partition), _)| {
                !self.indexes.contains_key(&(topic.as_str().into(), *partition))
            })
            .map(|(place, at)| (place.clone(), *at))
            .collect();
        let start: Vec<Assignment> = assignments(&new);
        match &mut self.reader {
            Some(reader) => reader.add(&start)?,
            None => {
                let name = format!("{}-replay", self.author.plugin.name);
                self.reader = Some(Client::new(&self.setup.log)?.partitions_reader(&name, &start)?);
            }
        }
        for assignment in start {
            let index = self.indexes.len();
            self.indexes.insert((assignment.topic.into(), assignment.partition), index);
        }
        Ok(positions)
    }

    /// Whether a topic's runs are applied.
    fn reads(&self, topic: &str) -> bool {
        match &self.setup.plugins {
            Plugins::One(author) => {
                self.setup.options.topics(&author.plugin.manifest).iter().any(|read| read == topic)
            }
            // Whoever applied them has read them.
            Plugins::Recorded { .. } => true,
        }
    }

    /// Another author that has to apply a run, if it is not the present one.
    fn other_author(&self, run: &Run, present: &str) -> Option<Arc<str>> {
        let is_other = matches!(self.setup.plugins, Plugins::Recorded { .. }) && *run.author != *present;
        is_other.then(|| Arc::clone(&run.author))
    }

    fn change(&mut self, author: &str) -> Result<(), Error> {
        if let Plugins::Recorded { folder, .. } = &self.setup.plugins {
            self.author = load_author(&self.setup, folder, author, &mut self.loaded)?;
        }
        Ok(())
    }
}

/// A plugin and its upcasters, as the journal calls them.
fn load_author(
    setup: &Setup,
    folder: &Path,
    author: &str,
    loaded: &mut HashMap<String, Arc<Plugin>>,
) -> Result<Author, Error> {
    let mut load = |digest: &str| -> Result<Arc<Plugin>, Error> {
        if let Some(plugin) = loaded.get(digest) {
            return Ok(Arc::clone(plugin));
        }
        let plugin = load(setup, folder, digest)?;
        loaded.insert(digest.to_owned(), Arc::clone(&plugin));
        Ok(plugin)
    };
    let (plugin, upcasters) = read_model::digests(author);
    let plugin = load(plugin)?;
    let upcasters = upcasters.into_iter().map(load).collect::<Result<_, _>>()?;
    Ok(Author { plugin, upcasters: Upcasters::new(upcasters) })
}

fn load(setup: &Setup, folder: &Path, digest: &str) -> Result<Arc<Plugin>, Error> {
    let path = folder.join(format!("{digest}.wasm"));
    let origin = path.display().to_string();
    let bytes = plugin::read_kept(folder, digest).map_err(|source| match source {
        // It says all that there is to say.
        changed @ plugin::Error::Changed { .. } => Error::Plugin(changed),
        source => Error::Missing { digest: digest.to_owned(), path, source: Box::new(source) },
    })?;
    Ok(Arc::new(Plugin::load(&setup.engine, &bytes, &origin, &setup.limits)?))
}
