//! `lantern backup` and `lantern restore`

use super::progress::{Bar, Unit};
use super::{Context, output, replay};
use crate::deployment::restore::{Restored, restore};
use crate::plugin;
use crate::projection::position;
use crate::read_model::backup;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The size of SQLite's pages, for progress in bytes.
const PAGE_BYTES: u64 = 4096;

/// Copy a read model to a file, while it is in use.
///
/// The file holds the read model as it is now, with its checkpoint, and the plugins that wrote it: `lantern restore` on
/// another machine goes on from there without a replay. It is an ordinary SQLite file too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  lantern backup orders orders-backup.db")]
pub struct Backup {
    /// The read model's name.
    read_model: String,
    /// The file to write.
    file: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Take a read model from a backup.
///
/// It goes on from the backup's checkpoint: a following `lantern run` applies what the log has behind it. The data folder
/// must not be in use.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  lantern restore orders-backup.db\n  lantern run")]
pub struct Restore {
    /// A file that `lantern backup` or `lantern replay` has written.
    file: PathBuf,
    /// Take it even if there is a read model of its name, which is kept as the generation before.
    #[arg(long)]
    replace: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    read_model: String,
    /// The next offset of each partition.
    position: BTreeMap<String, i64>,
    /// The digests of the plugins in it.
    plugins: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u32>,
}

impl Report {
    fn of(contents: &backup::Contents) -> Self {
        let position = contents.checkpoints.iter();
        Report {
            read_model: contents.plugin.clone(),
            position: position.map(|((topic, id), next)| (format!("{topic}/{id}"), *next)).collect(),
            plugins: contents.artifacts.clone(),
            bytes: None,
            generation: None,
        }
    }
}

impl Backup {
    /// Copies and prints.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let source = replay::live(context, &self.read_model)?;
        let artifacts = context.data.artifacts();
        let bar = Bar::new(context.quiet || self.json, "copying", Unit::Bytes);
        let contents = backup::write(
            &source,
            &self.file,
            self.force,
            context.data.cluster()?.as_deref(),
            &mut |digest| artifact(&artifacts, digest),
            &mut |done, total| bar.show(done * PAGE_BYTES, total * PAGE_BYTES),
        );
        bar.clear();
        let contents = contents.map_err(|error| match &error {
            crate::read_model::Error::File { source, .. }
                if source.kind() == io::ErrorKind::AlreadyExists =>
            {
                anyhow::anyhow!("{} exists already; --force replaces it", self.file.display())
            }
            _ => error.into(),
        })?;
        let bytes = std::fs::metadata(&self.file)?.len();
        if !contents.artifacts.contains(&contents.digest) {
            output::remark(&format!(
                "the plugin {} is not kept in {}: a new host needs its file too",
                contents.digest,
                artifacts.display()
            ));
        }
        if self.json {
            output::json(&Report { bytes: Some(bytes), ..Report::of(&contents) })?;
        } else {
            output::line(&format!(
                "{} as of {} is in {} ({:.1} MB)",
                contents.plugin,
                position::show(&contents.checkpoints),
                self.file.display(),
                bytes as f64 / 1e6
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Restore {
    /// Restores and prints.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let lock = context.data.lock("lantern restore")?;
        let bar = Bar::new(context.quiet || self.json, "restoring", Unit::Bytes);
        let restored = restore(&context.data, &self.file, self.replace, &mut |done, total| {
            bar.show(done * PAGE_BYTES, total * PAGE_BYTES);
        });
        bar.clear();
        let Restored { contents, generation } = restored?;
        drop(lock);
        if self.json {
            output::json(&Report { generation: Some(generation), ..Report::of(&contents) })?;
        } else {
            output::line(&format!(
                "{} is restored as of {}, as generation {generation}; `lantern run` goes on from there",
                contents.plugin,
                position::show(&contents.checkpoints)
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The bytes of a plugin that is kept, if it is.
pub fn artifact(folder: &Path, digest: &str) -> io::Result<Option<Vec<u8>>> {
    match plugin::read(&folder.join(format!("{digest}.wasm"))) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(plugin::Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io::Error::other(error)),
    }
}
