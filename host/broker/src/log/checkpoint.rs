//! What followed from the batches of a partition up to an offset, so that opening it reads only
//! what came after.
//!
//! ```text
//! checkpoint = "LNTNCKP1", crc32c of payload: u32 LE, payload (JSON)
//! ```
//!
//! Everything before its end was on the disk when it was written: a segment that is shorter than it
//! says has lost acknowledged records. Segments that it does not list are read from their beginning.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Error;
use super::index::Stored;
use super::producers::Producers;

pub(super) const FILE: &str = "checkpoint";
const HEADER: &[u8; 8] = b"LNTNCKP1";
const PREFIX_BYTES: usize = HEADER.len() + 4;

/// A segment as a checkpoint knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) base_offset: i64,
    pub(super) bytes: u64,
    pub(super) max_timestamp: i64,
    pub(super) began_ms: i64,
    pub(super) horizon_ms: Option<i64>,
    pub(super) index_entries: usize,
    pub(super) index_crc: u32,
}

impl Listed {
    pub(super) fn index(&self) -> Stored {
        Stored { entries: self.index_entries, crc: self.index_crc }
    }
}

/// The state of a partition at an offset.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// The offset after the last batch that is taken into account.
    pub(super) end: i64,
    /// What lies before this offset has been compacted.
    pub(super) compacted_to: i64,
    pub(super) segments: Vec<Listed>,
    pub(super) producers: Producers,
}

impl Checkpoint {
    /// Reads the checkpoint in `dir`. One that is damaged is as good as none: opening takes longer.
    pub(super) fn read(dir: &Path) -> Result<Option<Checkpoint>, Error> {
        let path = dir.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::io("cannot read", &path)(source)),
        };
        let checkpoint = Checkpoint::parse(&bytes);
        if checkpoint.is_none() {
            tracing::warn!(checkpoint = %path.display(), "the checkpoint is damaged; the whole partition is read instead");
        }
        Ok(checkpoint)
    }

    fn parse(bytes: &[u8]) -> Option<Checkpoint> {
        let payload = bytes.strip_prefix(HEADER)?;
        let (crc, payload) = payload.split_first_chunk::<4>()?;
        if crc32c::crc32c(payload) != u32::from_le_bytes(*crc) {
            return None;
        }
        serde_json::from_slice(payload).ok()
    }

    /// Puts the checkpoint in the place of the one before, on the disk when this returns.
    pub(super) fn write(&self, dir: &Path) -> Result<(), Error> {
        let path = dir.join(FILE);
        let mut bytes = vec![0; PREFIX_BYTES];
        serde_json::to_writer(&mut bytes, self)
            .map_err(|error| Error::io("cannot write", &path)(error.into()))?;
        let crc = crc32c::crc32c(&bytes[PREFIX_BYTES..]).to_le_bytes();
        bytes[..HEADER.len()].copy_from_slice(HEADER);
        bytes[HEADER.len()..PREFIX_BYTES].copy_from_slice(&crc);
        write_whole(&path, &bytes).map_err(Error::io("cannot write", &path))
    }
}

/// Writes a file so that after a crash the old or the new content is there, whole.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    if let Some(folder) = path.parent() {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}
