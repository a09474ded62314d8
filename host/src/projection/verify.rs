//! Checks a read model against its log: replays it, compares all rows, and finds the likely reason of a difference.

use super::replay::{Control, Error, Followed, Plugins, Replayer, Setup};
use crate::read_model::{self, Checkpoints, Diff, Durability, Snapshot};
use std::path::Path;

/// What a check has found.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The hash of the live read model.
    pub hash: String,
    /// The hash of its replay.
    pub replayed_hash: String,
    /// Where both are.
    pub checkpoints: Checkpoints,
    /// What differs; `None` when they are equal.
    pub difference: Option<Difference>,
}

/// How a read model differs from its replay.
#[derive(Clone, Debug)]
pub struct Difference {
    /// From the read model to its replay.
    pub diff: Diff,
    /// Whether two replays are equal.
    pub is_deterministic: bool,
}

/// Replays the read model at `live` in the folder `scratch`, and compares. It may be written meanwhile. `None` when
/// `control` has stopped it.
///
/// # Errors
/// As [`Replayer::follow`].
pub fn verify(
    setup: &Setup,
    live: &Path,
    scratch: &Path,
    examples_max: usize,
    control: Control<'_>,
) -> Result<Option<Verified>, Error> {
    let replayed = scratch.join("replay.db");
    let mut replayer = Replayer::open(setup.clone(), &replayed, Durability::Relaxed)?;
    // Most of it before the moment is fixed: as long as that is held, the live database's log grows.
    if replayer.follow(live, control)? == Followed::Stopped {
        return Ok(None);
    }
    let live = Snapshot::of(live)?;
    if replayer.follow_to(&live, None, control)? == Followed::Stopped {
        return Ok(None);
    }
    let replay = Snapshot::of(&replayed)?;
    let hash = live.fingerprint()?.hash;
    let replayed_hash = replay.fingerprint()?.hash;
    let checkpoints = live.checkpoints()?;
    if hash == replayed_hash {
        return Ok(Some(Verified { hash, replayed_hash, checkpoints, difference: None }));
    }
    let diff = read_model::diff(&live, &replay, examples_max)?;
    drop(live);
    let again = scratch.join("again.db");
    let mut replayer = Replayer::open(setup.clone(), &again, Durability::Relaxed)?;
    if replayer.follow_to(&replay, None, control)? == Followed::Stopped {
        return Ok(None);
    }
    let is_deterministic = Snapshot::of(&again)?.fingerprint()?.hash == replayed_hash;
    let difference = Some(Difference { diff, is_deterministic });
    Ok(Some(Verified { hash, replayed_hash, checkpoints, difference }))
}

/// The plugins that wrote a read model, kept in a folder.
///
/// # Errors
/// When the read model cannot be read.
pub fn recorded(live: &Snapshot, folder: &Path) -> Result<Plugins, read_model::Error> {
    let page = live.journal_after(Default::default(), 1)?;
    let first = match page.runs.first() {
        Some(run) => run.digest.to_string(),
        None => live.digest()?,
    };
    Ok(Plugins::Recorded { folder: folder.into(), first })
}
