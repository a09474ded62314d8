//! Which offset of the exported log is which of its copy: a file of JSON lines that only grows.
//!
//! The first line says between which logs; docs/moving-to-kafka.md describes the others. What a chunk came to is written and forced
//! to the disk before its transaction is committed. So after a kill there may be lines of a chunk that was never
//! committed, and the last may be torn; what the copy's brokers have committed tells, and they are taken off.

use super::Error;
use super::offsets::{Chunk, Partition};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A topic and a partition.
pub type Place = (String, i32);

/// Between which logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Between {
    /// The cluster id of the log that is copied.
    pub source: String,
    /// Whether that is the data folder's own.
    pub embedded: bool,
    /// The cluster id of the copy.
    pub target: String,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "lowercase")]
enum Line {
    Between {
        #[serde(flatten)]
        between: Between,
    },
    Copied {
        topic: String,
        partition: i32,
        #[serde(flatten)]
        chunk: Chunk,
    },
    /// Source and copy were compared up to here.
    Checked { topic: String, partition: i32, end: i64 },
}

/// The map, and its file.
#[derive(Debug)]
pub struct Map {
    path: PathBuf,
    /// Between which logs.
    pub between: Between,
    /// By topic and partition.
    pub partitions: BTreeMap<Place, Partition>,
    file: File,
}

impl Map {
    /// Opens the map of an export, or begins it.
    ///
    /// # Errors
    /// When it cannot be read or written, or is of other logs.
    pub fn open(folder: &Path, between: &Between) -> Result<Map, Error> {
        let path = path(folder, &between.target);
        match Map::read(&path)? {
            Some(map) if map.between == *between => Ok(map),
            Some(map) => Err(Error::OtherSource { path, source_id: map.between.source }),
            None => {
                fs::create_dir_all(folder).map_err(|source| Error::Map { path: folder.into(), source })?;
                Map::write(&path, between, &BTreeMap::new())?;
                Map::read(&path)?.ok_or_else(|| Error::Damaged {
                    path,
                    line: 1,
                    reason: "it is empty".into(),
                })
            }
        }
    }

    /// Reads a map; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged before its last line.
    pub fn read(path: &Path) -> Result<Option<Map>, Error> {
        let failed = |source| Error::Map { path: path.into(), source };
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let mut between = None;
        let mut partitions: BTreeMap<Place, Partition> = BTreeMap::new();
        // A line without its end was being written when somebody was killed.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for (number, line) in text[..whole].split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let line: Line = serde_json::from_slice(line).map_err(|error| Error::Damaged {
                path: path.into(),
                line: number + 1,
                reason: error.to_string(),
            })?;
            match line {
                Line::Between { between: found } => between = Some(found),
                Line::Copied { topic, partition, chunk } => {
                    partitions.entry((topic, partition)).or_default().chunks.push(chunk);
                }
                Line::Checked { topic, partition, end } => {
                    let known = partitions.entry((topic, partition)).or_default();
                    known.checked = known.chunks.partition_point(|chunk| chunk.end <= end);
                }
            }
        }
        let Some(between) = between else {
            let reason = "its first line does not say between which logs it is".into();
            return Err(Error::Damaged { path: path.into(), line: 1, reason });
        };
        let file = File::options().append(true).open(path).map_err(failed)?;
        Ok(Some(Map { path: path.into(), between, partitions, file }))
    }

    fn write(path: &Path, between: &Between, partitions: &BTreeMap<Place, Partition>) -> Result<(), Error> {
        let failed = |source| Error::Map { path: path.into(), source };
        let mut text = Vec::new();
        push(&mut text, &Line::Between { between: between.clone() });
        for ((topic, partition), known) in partitions {
            for chunk in &known.chunks {
                let (topic, chunk) = (topic.clone(), chunk.clone());
                push(&mut text, &Line::Copied { topic, partition: *partition, chunk });
            }
            if let Some(last) = known.checked.checked_sub(1).and_then(|last| known.chunks.get(last)) {
                push(
                    &mut text,
                    &Line::Checked { topic: topic.clone(), partition: *partition, end: last.end },
                );
            }
        }
        whole(path, &text).map_err(failed)
    }

    /// Takes off what was never committed. `committed` is the next offset to copy, as the copy's brokers have it.
    ///
    /// # Errors
    /// When the file cannot be written, or the brokers have more than it knows.
    pub fn settle(&mut self, committed: &BTreeMap<Place, i64>) -> Result<(), Error> {
        for (place, known) in &mut self.partitions {
            let there = committed.get(place).copied().unwrap_or(0);
            let lost = known.chunks.iter().position(|chunk| chunk.records > 0 && chunk.end > there);
            known.chunks.truncate(lost.unwrap_or(known.chunks.len()));
            known.checked = known.checked.min(known.chunks.len());
        }
        for (place, there) in committed {
            let known = self.partitions.get(place).map_or(0, Partition::end);
            if *there > known {
                let (topic, partition) = place.clone();
                return Err(Error::MapLost {
                    path: self.path.clone(),
                    topic,
                    partition,
                    known,
                    there: *there,
                });
            }
        }
        Map::write(&self.path, &self.between, &self.partitions)?;
        self.file = File::options()
            .append(true)
            .open(&self.path)
            .map_err(|source| Error::Map { path: self.path.clone(), source })?;
        Ok(())
    }

    /// Adds what a transaction that is about to be committed copies.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn copied(&mut self, chunks: Vec<(Place, Chunk)>) -> Result<(), Error> {
        let mut text = Vec::new();
        for ((topic, partition), chunk) in &chunks {
            let (topic, chunk) = (topic.clone(), chunk.clone());
            push(&mut text, &Line::Copied { topic, partition: *partition, chunk });
        }
        self.append(&text)?;
        for (place, chunk) in chunks {
            self.partitions.entry(place).or_default().chunks.push(chunk);
        }
        Ok(())
    }

    /// Notes that source and copy were compared.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn all_checked(&mut self) -> Result<(), Error> {
        let mut text = Vec::new();
        for ((topic, partition), known) in &mut self.partitions {
            known.checked = known.chunks.len();
            push(&mut text, &Line::Checked { topic: topic.clone(), partition: *partition, end: known.end() });
        }
        self.append(&text)
    }

    /// Whether everything in it was compared.
    pub fn is_checked(&self) -> bool {
        self.partitions
            .values()
            .all(|known| known.chunks[known.checked..].iter().all(|chunk| chunk.records == 0))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn append(&mut self, text: &[u8]) -> Result<(), Error> {
        let written = self.file.write_all(text).and_then(|()| self.file.sync_data());
        written.map_err(|source| Error::Map { path: self.path.clone(), source })
    }
}

/// The map of the export to a cluster.
pub fn path(folder: &Path, target: &str) -> PathBuf {
    // Cluster ids are made of letters, digits, `-` and `_`; what else there might be is not put into a path.
    let name: String =
        target.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    folder.join(format!("{name}.jsonl"))
}

/// Writes a file whole, or not at all.
pub fn whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

fn push(text: &mut Vec<u8>, line: &Line) {
    // A struct of texts and numbers always has a JSON form.
    text.extend(serde_json::to_vec(line).unwrap_or_default());
    text.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::super::offsets::tests::chunk;
    use super::*;

    fn between() -> Between {
        Between { source: "s".into(), embedded: true, target: "t".into() }
    }

    // Killed at any byte, the map says what was committed, and nothing that was not.
    #[test]
    fn what_was_not_committed_is_taken_off_at_whatever_byte_it_ended() {
        let folder = tempfile::tempdir().unwrap();
        let place = ("orders".to_owned(), 0);
        let mut map = Map::open(folder.path(), &between()).unwrap();
        map.copied(vec![(place.clone(), chunk(&[(0, 0), (1, 1)], 2))]).unwrap();
        map.all_checked().unwrap();
        let path = path(folder.path(), "t");
        let before = fs::read(&path).unwrap();
        map.copied(vec![(place.clone(), chunk(&[(3, 3)], 4))]).unwrap();
        assert!(!map.is_checked());
        let after = fs::read(&path).unwrap();
        for end in before.len()..=after.len() {
            fs::write(&path, &after[..end]).unwrap();
            let mut map = Map::open(folder.path(), &between()).unwrap();
            map.settle(&BTreeMap::from([(place.clone(), 2)])).unwrap();
            assert_eq!(map.partitions[&place].end(), 2, "{end}");
            assert!(map.is_checked());
            assert_eq!(fs::read(&path).unwrap(), before, "{end}");
        }
        let mut map = Map::open(folder.path(), &between()).unwrap();
        let lost = map.settle(&BTreeMap::from([(place, 4)])).unwrap_err().to_string();
        assert!(lost.contains("orders, partition 0") && lost.contains("delete"), "{lost}");
        let other = Between { source: "x".into(), ..between() };
        assert!(matches!(Map::open(folder.path(), &other), Err(Error::OtherSource { .. })));
    }
}
