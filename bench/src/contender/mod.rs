//! Who is compared, each in a process of its own.

mod best;
mod lantern;
mod native;
mod usual;

use crate::meter::Usage;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use lantern::warm_up;

/// A contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Contender {
    /// The native loop that people write.
    Usual,
    /// The best native loop that we can write.
    Best,
    /// Lantern, as it comes.
    Lantern,
}

impl Contender {
    /// All, in the order in which they are run.
    pub const ALL: [Contender; 3] = [Contender::Usual, Contender::Best, Contender::Lantern];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Contender::Usual => "usual",
            Contender::Best => "best",
            Contender::Lantern => "lantern",
        }
    }

    /// Where the next offsets stand in its database.
    pub fn checkpoints_sql(self) -> &'static str {
        match self {
            Contender::Usual | Contender::Best => native::CHECKPOINTS_SQL,
            Contender::Lantern => "SELECT partition, next_offset FROM _lantern_checkpoints",
        }
    }
}

/// What a contender has to do.
#[derive(Clone, Debug, clap::Args)]
pub struct Job {
    /// Who.
    #[arg(long)]
    pub contender: Contender,
    /// The log.
    #[arg(long)]
    pub servers: String,
    /// Its topic.
    #[arg(long)]
    pub topic: String,
    /// Stop when so many events are applied; without it, when the standard input ends.
    #[arg(long)]
    pub events: Option<u64>,
    /// The contender's own folder.
    #[arg(long)]
    pub folder: PathBuf,
    /// The built plugin.
    #[arg(long)]
    pub plugin: PathBuf,
    /// The plugin's name.
    #[arg(long)]
    pub name: String,
}

impl Job {
    /// The database that it fills.
    pub fn database(&self) -> PathBuf {
        match self.contender {
            Contender::Usual | Contender::Best => self.folder.join("native.db"),
            Contender::Lantern => lantern::database(&self.folder, &self.name),
        }
    }

    /// Applies the events in this process.
    ///
    /// # Errors
    /// Whatever goes wrong.
    pub fn run(&self) -> Result<Usage> {
        let stop = Stop::new(self.events);
        match self.contender {
            Contender::Usual => usual::run(self, &stop),
            Contender::Best => best::run(self, &stop),
            Contender::Lantern => lantern::run(self, &stop),
        }
    }
}

/// When a contender is done.
pub struct Stop {
    events: Option<u64>,
    ended: Arc<AtomicBool>,
}

impl Stop {
    fn new(events: Option<u64>) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        if events.is_none() {
            let ended = Arc::clone(&ended);
            std::thread::spawn(move || {
                // Whether it ends or cannot be read, nobody is there any more.
                let _ = std::io::stdin().read_to_end(&mut Vec::new());
                ended.store(true, Ordering::Relaxed);
            });
        }
        Stop { events, ended }
    }

    /// Whether this many events are enough.
    pub fn is_done(&self, events: u64) -> bool {
        match self.events {
            Some(wanted) => events >= wanted,
            None => self.ended.load(Ordering::Relaxed),
        }
    }
}
