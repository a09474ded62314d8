//! Checks a read model against its log: replays it, compares all rows, and finds the likely reason of a difference.

use super::options::BatchOptions;
use super::replay::{Control, Error, Followed, Plugins, Replayer, Setup};
use crate::read_model::{self, Checkpoints, Diff, Durability, Snapshot};
use serde::Serialize;
use std::ops::ControlFlow;
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
    /// The likely reason.
    pub reason: Reason,
}

/// Why a read model is likely to differ from its replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Two replays are equal: what is in the read model beside them did not come from the log.
    Edited,
    /// Two replays differ: the plugin does not do the same with the same events.
    NotDeterministic,
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
    if replayer.follow_to(&live, control)? == Followed::Stopped {
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
    if !repeat(setup, &replay, &again, control)? {
        return Ok(None);
    }
    let is_repeated = Snapshot::of(&again)?.fingerprint()?.hash == replayed_hash;
    let reason = if is_repeated { Reason::Edited } else { Reason::NotDeterministic };
    let difference = Some(Difference { diff, reason });
    Ok(Some(Verified { hash, replayed_hash, checkpoints, difference }))
}

/// Replays once more, as differently as is allowed: in small batches, and with a plugin that is started anew after every
/// second one. What a plugin remembers outside of its tables then shows, and what is another from batch to batch, such as
/// the order of a hash map. Answers whether it came to the end.
fn repeat(setup: &Setup, first: &Snapshot, file: &Path, control: Control<'_>) -> Result<bool, Error> {
    let events = first.events()?;
    let events_max = usize::try_from(events / 10).unwrap_or(usize::MAX);
    let events_max = events_max.min(setup.batch.events_max / 3).max(1);
    let batch = BatchOptions { events_max, ..setup.batch.clone() };
    let mut replayer = Replayer::open(Setup { batch, ..setup.clone() }, file, Durability::Relaxed)?;
    let mut last = 0;
    let mut batches = 0_u64;
    loop {
        let mut is_stopped = false;
        let followed = replayer.follow_to(first, &mut |at| {
            is_stopped = control(at).is_break();
            let has_moved = at.done > last;
            last = at.done;
            batches += u64::from(has_moved);
            let is_second = has_moved && batches.is_multiple_of(2);
            if is_stopped || is_second { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if followed == Followed::CaughtUp || is_stopped {
            return Ok(!is_stopped);
        }
    }
}

/// The plugins that wrote a read model and their upcasters, kept in a folder.
///
/// # Errors
/// When the read model cannot be read.
pub fn recorded(live: &Snapshot, folder: &Path) -> Result<Plugins, read_model::Error> {
    let page = live.journal_after(Default::default(), 1)?;
    let first = match page.runs.first() {
        Some(run) => run.author.to_string(),
        None => live.author()?,
    };
    Ok(Plugins::Recorded { folder: folder.into(), first })
}
