//! Putting a compacted segment in the place of those it was made of, so that a crash at any moment
//! leaves either the old ones or the new one.
//!
//! A segment under construction is `<from>.compacted`; one that is whole and on the disk is renamed
//! to `<from>-<to>.swap`, and from then on it is the truth for the offsets `from..to`, whatever else
//! still lies there.

use std::fs;
use std::path::{Path, PathBuf};

use super::Error;
use super::segment::{Segment, remove_if_there, sync_folder};
use crate::crash;

const UNFINISHED: &str = "compacted";
const SWAP: &str = "swap";

/// Where a compacted segment is built.
pub(super) fn unfinished_path(dir: &Path, from: i64) -> PathBuf {
    dir.join(format!("{from:020}.{UNFINISHED}"))
}

/// Declares the segment built for `from..to` the truth, and removes those it stands for. It must be
/// on the disk.
pub(super) fn swap(dir: &Path, from: i64, to: i64) -> Result<(), Error> {
    crash::here("segment-compacted");
    let built = unfinished_path(dir, from);
    let whole = dir.join(format!("{from:020}-{to:020}.{SWAP}"));
    fs::rename(&built, &whole).map_err(Error::io("cannot rename", &built))?;
    sync_folder(dir)?;
    crash::here("swap-declared");
    replace(dir, &whole, from, to)
}

/// Carries on where a crash has interrupted compactions.
pub(super) fn finish(dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(Error::io("cannot read", dir))? {
        let path = entry.map_err(Error::io("cannot read", dir))?.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(UNFINISHED) => remove_if_there(&path)?,
            Some(SWAP) => {
                let (from, to) = range(&path).ok_or_else(|| Error::Unexpected {
                    path: path.clone(),
                    reason: "a compacted segment is named after the offsets that it stands for",
                })?;
                tracing::info!(segment = %path.display(), "finishing a compaction that was interrupted");
                replace(dir, &path, from, to)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn range(path: &Path) -> Option<(i64, i64)> {
    let (from, to) = path.file_stem()?.to_str()?.split_once('-')?;
    Some((from.parse().ok()?, to.parse().ok()?))
}

/// Removes the segments of `from..to` and renames the new one over the first of them.
fn replace(dir: &Path, whole: &Path, from: i64, to: i64) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(Error::io("cannot read", dir))? {
        let path = entry.map_err(Error::io("cannot read", dir))?.path();
        let is_segment = path.extension().is_some_and(|extension| extension == "log" || extension == "index");
        let base = path.file_stem().and_then(|stem| stem.to_str()?.parse::<i64>().ok());
        let first = dir.join(Segment::file_name(from));
        if is_segment && base.is_some_and(|base| (from..to).contains(&base)) && path != first {
            remove_if_there(&path)?;
        }
    }
    crash::here("swap-emptied");
    let path = dir.join(Segment::file_name(from));
    fs::rename(whole, &path).map_err(Error::io("cannot rename", whole))?;
    sync_folder(dir)
}
