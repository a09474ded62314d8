//! Takes a read model from a backup, into a data folder that nobody uses meanwhile.

use super::generations::Generations;
use super::report::Done;
use super::{artifacts, now};
use crate::catalog::{self, Catalog, Wanted};
use crate::data_dir::{self, DataDir};
use crate::plugin::Digest;
use crate::read_model::{self, backup};
use std::io;
use std::path::Path;

/// What was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What the backup held.
    pub contents: backup::Contents,
    /// The generation that it is now, and that is live.
    pub generation: u32,
}

/// Why a backup was not restored. What was live before is live.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is a read model of its name.
    #[error(
        "there is a read model {name:?} in {root} already; --replace takes the backup instead, and keeps that one as the \
             generation before"
    )]
    Live {
        /// Its name.
        name: String,
        /// The data folder.
        root: String,
    },
    /// Its offsets are of another log.
    #[error(
        "the backup is of the log before that of {root} was moved to the cluster {cluster}, where its offsets mean other events: let it be \
         built anew by `lantern rebuild`, or look at it with another --data-dir"
    )]
    OtherLog {
        /// The data folder.
        root: String,
        /// The cluster.
        cluster: String,
    },
    /// It is no backup, or it cannot be read or written.
    #[error(transparent)]
    ReadModel(#[from] read_model::Error),
    /// The data folder.
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
}

/// Makes the read model in a backup the live one, as a new generation, with the plugins that wrote it. With `replace`
/// also where there is one. Whoever calls holds the data folder's lock.
///
/// # Errors
/// When it is no backup, or there is a read model and it is not to be replaced.
pub fn restore(
    data: &DataDir,
    file: &Path,
    replace: bool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Restored, Error> {
    let backup::Contents { plugin: name, log, .. } = backup::inspect(file)?;
    if let Some(cluster) = data.cluster()?
        && log.as_ref() != Some(&cluster)
    {
        return Err(Error::OtherLog { root: data.root().display().to_string(), cluster });
    }
    let generations = Generations::of(data, &name)?;
    let before = generations.live();
    if before.is_some() && !replace {
        return Err(Error::Live { name, root: data.root().display().to_string() });
    }
    let generation = generations.next();
    let folder = data.artifacts();
    data.create(&folder)?;
    let mut keep = |digest: &str, bytes: &[u8]| {
        let found = Digest::of(bytes).to_string();
        if found != digest {
            let reason = format!("the plugin {digest} in it has the digest {found}: it is damaged");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        artifacts::write(&folder, digest, bytes)
    };
    let contents = backup::restore(file, &generations.path(generation), &mut keep, progress)?;
    generations.set_live(generation)?;
    let catalog = Catalog::open(&data.catalog())?;
    let known = catalog.plugin(&name)?;
    catalog.set_build(&name, None)?;
    catalog.put(&catalog::Plugin {
        name: name.clone(),
        digest: contents.digest.clone(),
        generation,
        fallback: None,
        previous: known.zip(before).map(|(known, generation)| (known.digest, generation)),
        wanted: Wanted::Running,
    })?;
    catalog.record(&catalog::Entry {
        at: now(),
        name,
        digest: contents.digest.clone(),
        result: Done::Restored.to_string(),
        generation,
        by: format!("lantern restore {}", file.display()),
        reason: None,
    })?;
    Ok(Restored { contents, generation })
}
