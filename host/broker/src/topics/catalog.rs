//! The file of the catalog.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Error, io};
use crate::log;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Catalog {
    pub(super) cluster_id: Uuid,
    pub(super) topics: BTreeMap<String, StoredTopic>,
    /// CRC-32C of the rest, as JSON without spaces. Up to format 2 there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crc32c: Option<u32>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredTopic {
    pub(super) id: Uuid,
    pub(super) partitions: i32,
    pub(super) config: BTreeMap<String, String>,
}

/// What the checksum is about.
#[derive(Serialize)]
struct Rest<'a> {
    cluster_id: &'a Uuid,
    topics: &'a BTreeMap<String, StoredTopic>,
}

impl Catalog {
    pub(super) fn new(cluster_id: Uuid, topics: BTreeMap<String, StoredTopic>) -> Catalog {
        Catalog { cluster_id, topics, crc32c: None }
    }

    /// Reads the catalog at `path`; `None` where there is none yet.
    pub(super) fn read(path: &Path) -> Result<Option<Catalog>, Error> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io("cannot read", path)(source)),
        };
        let unreadable = |source| Error::Catalog { path: path.to_path_buf(), source };
        let catalog: Catalog = serde_json::from_slice(&bytes).map_err(unreadable)?;
        match catalog.crc32c {
            Some(sum) if sum != catalog.sum().map_err(unreadable)? => Err(Error::Damaged(path.to_path_buf())),
            _ => Ok(Some(catalog)),
        }
    }

    /// Puts the catalog in the place of the one before, on the disk when this returns.
    pub(super) fn write(mut self, path: &Path) -> Result<(), Error> {
        let bytes = self.sum().and_then(|sum| {
            self.crc32c = Some(sum);
            serde_json::to_vec_pretty(&self)
        });
        let bytes = bytes.map_err(|source| Error::Catalog { path: path.to_path_buf(), source })?;
        log::write_whole(path, &bytes).map_err(io("cannot write", path))
    }

    fn sum(&self) -> Result<u32, serde_json::Error> {
        let rest = Rest { cluster_id: &self.cluster_id, topics: &self.topics };
        Ok(crc32c::crc32c(&serde_json::to_vec(&rest)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A setting that says something else than it did can delete what should be kept for ever.
    #[test]
    fn no_flipped_bit_changes_what_the_catalog_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.json");
        let config = BTreeMap::from([("retention.ms".to_owned(), "86400000".to_owned())]);
        let topic = StoredTopic { id: Uuid::new_v4(), partitions: 3, config };
        let written = || {
            let topic = StoredTopic { config: topic.config.clone(), ..topic };
            Catalog::new(Uuid::nil(), BTreeMap::from([("orders".to_owned(), topic)]))
        };
        written().write(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, flipped).unwrap();
            if let Ok(Some(read)) = Catalog::read(&path) {
                assert_eq!(read.topics, written().topics, "bit {bit}");
            }
        }
        // That of an earlier format has no checksum.
        fs::write(&path, serde_json::to_vec(&written()).unwrap()).unwrap();
        assert_eq!(Catalog::read(&path).unwrap(), Some(written()));
    }
}
