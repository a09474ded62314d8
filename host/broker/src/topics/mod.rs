//! The catalog: which topics there are, with their partitions and settings.
//!
//! `catalog.json` is replaced as a whole for every change, so it names a topic only once all its
//! folders are on the disk, and a deleted topic's folder goes only once it names it no more.

mod catalog;
mod config;

pub use config::ConfigError;
pub(crate) use config::{CONFIGS, Config, Known};

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use uuid::Uuid;

use crate::log::{self, Partition, Syncer};
use crate::options::Options;
use crate::poison::lock;
use crate::reserve::{Reserve, is_full};
use catalog::{Catalog, StoredTopic};

const CATALOG: &str = "catalog.json";
/// Kafka's limit, which keeps a folder's name within what file systems allow.
const NAME_CHARS_MAX: usize = 249;

/// Why the catalog could not be opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A partition's files could not be opened or made.
    #[error("topic {topic}, partition {partition}: {source}")]
    Partition {
        /// The topic.
        topic: String,
        /// The partition's index.
        partition: i32,
        /// The reason.
        source: log::Error,
    },
    /// The operating system refused an operation on the catalog.
    #[error("{doing} {path}: {source}", path = path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The catalog is not what was written.
    #[error("{path} does not have the content of its checksum; restore the file from a backup", path = .0.display())]
    Damaged(PathBuf),
    /// The catalog does not read as it should.
    #[error("{path}: {source}; restore the file from a backup", path = path.display())]
    Catalog {
        /// The catalog's file.
        path: PathBuf,
        /// The reason.
        source: serde_json::Error,
    },
    /// A topic's folder holds records, and the catalog does not name it.
    #[error(
        "{path} holds records, but the catalog does not name that topic; restore catalog.json from a backup of the \
         same time, or move the folder away",
        path = .0.display()
    )]
    Unlisted(PathBuf),
    /// The topic exists already.
    #[error("topic {0} exists already")]
    Exists(String),
    /// There is no such topic.
    #[error("there is no topic {0}")]
    Unknown(String),
    /// The name cannot be a topic's.
    #[error(
        "{0:?} cannot be a topic's name: it has 1 to 249 letters, digits, '.', '_' or '-', and is not '.' or '..'"
    )]
    Name(String),
    /// The number of partitions cannot be had.
    #[error("topic {topic} cannot have {partitions} partitions: {reason}")]
    Partitions {
        /// The topic.
        topic: String,
        /// The number asked for.
        partitions: i32,
        /// Why not.
        reason: String,
    },
    /// A setting is unknown or its value is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// A topic as it is at one moment; a change makes a new one.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) partitions: Vec<Arc<Partition>>,
    pub(crate) config: Config,
}

impl Topic {
    pub(crate) fn partition(&self, index: i32) -> Option<&Arc<Partition>> {
        self.partitions.get(usize::try_from(index).ok()?)
    }
}

#[derive(Debug, Default)]
struct Map {
    by_name: BTreeMap<String, Arc<Topic>>,
    names: HashMap<Uuid, String>,
}

/// All topics.
#[derive(Debug)]
pub(crate) struct Topics {
    dir: PathBuf,
    options: Arc<Options>,
    syncer: Arc<Syncer>,
    cluster_id: Uuid,
    map: Mutex<Map>,
    /// Held by the one change that is under way.
    changing: Mutex<()>,
    reserve: Reserve,
}

impl Topics {
    /// Opens every partition of every topic under the data folder.
    pub(crate) fn open(options: &Arc<Options>, syncer: &Arc<Syncer>) -> Result<Topics, Error> {
        let dir = options.dir.clone();
        let path = dir.join(CATALOG);
        let stored = Catalog::read(&path)?;
        let is_new = stored.is_none();
        let stored = stored.unwrap_or_else(|| Catalog::new(Uuid::new_v4(), BTreeMap::new()));
        let topics = Topics {
            reserve: Reserve::new(&dir),
            dir,
            options: Arc::clone(options),
            syncer: Arc::clone(syncer),
            cluster_id: stored.cluster_id,
            map: Mutex::default(),
            changing: Mutex::default(),
        };
        for folder in [topics.topics_dir(), topics.deleted_dir()] {
            fs::create_dir_all(&folder).map_err(io("cannot create", &folder))?;
        }
        topics.finish_deletions(&stored)?;
        for (name, topic) in stored.topics {
            let partitions = topics.open_partitions(&name, 0..topic.partitions)?;
            topics.insert(Topic { config: Config::parse(topic.config)?, id: topic.id, partitions, name });
        }
        if is_new {
            topics.store(None)?;
        }
        topics.reserve.keep();
        Ok(topics)
    }

    /// A deletion moves the topic's folder away, then changes the catalog, then removes the folder.
    /// What a crash left of that is undone or finished here.
    fn finish_deletions(&self, stored: &Catalog) -> Result<(), Error> {
        let deleted = self.deleted_dir();
        for entry in fs::read_dir(&deleted).map_err(io("cannot read", &deleted))? {
            let path = entry.map_err(io("cannot read", &deleted))?.path();
            let id = path.file_name().and_then(|name| Uuid::parse_str(name.to_str()?).ok());
            match stored.topics.iter().find(|(_, topic)| Some(topic.id) == id) {
                Some((name, _)) => {
                    let back = self.topics_dir().join(name);
                    fs::rename(&path, &back).map_err(io("cannot move back", &path))?;
                }
                None => fs::remove_dir_all(&path).map_err(io("cannot remove", &path))?,
            }
        }
        let topics = self.topics_dir();
        for entry in fs::read_dir(&topics).map_err(io("cannot read", &topics))? {
            let entry = entry.map_err(io("cannot read", &topics))?;
            let is_known = entry.file_name().to_str().is_some_and(|name| stored.topics.contains_key(name));
            if !is_known {
                // A topic whose creation did not get as far as the catalog: it was never
                // acknowledged and never written to.
                let path = entry.path();
                if holds_records(&path) {
                    return Err(Error::Unlisted(path));
                }
                tracing::warn!(folder = %path.display(), "removing the folder of a topic whose creation was interrupted");
                fs::remove_dir_all(&path).map_err(io("cannot remove", &path))?;
            }
        }
        Ok(())
    }

    fn topics_dir(&self) -> PathBuf {
        self.dir.join("topics")
    }

    fn deleted_dir(&self) -> PathBuf {
        self.dir.join("deleted")
    }

    fn open_partitions(
        &self,
        topic: &str,
        range: std::ops::Range<i32>,
    ) -> Result<Vec<Arc<Partition>>, Error> {
        let dir = self.topics_dir().join(topic);
        range
            .map(|index| {
                let dir = dir.join(index.to_string());
                Partition::open(&dir, self.options.fsync, &self.syncer).map_err(|source| Error::Partition {
                    topic: topic.to_owned(),
                    partition: index,
                    source,
                })
            })
            .collect()
    }

    pub(crate) fn cluster_id(&self) -> Uuid {
        self.cluster_id
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        lock(&self.map).by_name.get(name).cloned()
    }

    pub(crate) fn get_by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        let map = lock(&self.map);
        map.by_name.get(map.names.get(&id)?).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        lock(&self.map).by_name.values().cloned().collect()
    }

    /// Checks what [`Topics::create`] would check.
    pub(crate) fn check_new(
        &self,
        name: &str,
        partitions: i32,
        config: BTreeMap<String, String>,
    ) -> Result<Config, Error> {
        check_name(name)?;
        if self.get(name).is_some() {
            return Err(Error::Exists(name.to_owned()));
        }
        self.check_count(name, partitions)?;
        Ok(Config::parse(config)?)
    }

    fn check_count(&self, topic: &str, partitions: i32) -> Result<(), Error> {
        let max = self.options.partitions_max;
        if (1..=max).contains(&partitions) {
            return Ok(());
        }
        Err(Error::Partitions {
            topic: topic.to_owned(),
            partitions,
            reason: format!("it must be from 1 to {max}"),
        })
    }

    /// Creates a topic; it is durable when this returns. Blocks on the disk, as every change does.
    pub(crate) fn create(
        &self,
        name: &str,
        partitions: i32,
        config: BTreeMap<String, String>,
    ) -> Result<Arc<Topic>, Error> {
        let _changing = lock(&self.changing);
        let config = self.check_new(name, partitions, config)?;
        let folder = self.topics_dir().join(name);
        if folder.exists() {
            // Left by a creation that failed half way.
            fs::remove_dir_all(&folder).map_err(io("cannot remove", &folder))?;
        }
        let partitions = self.open_partitions(name, 0..partitions)?;
        self.sync_topic(&folder)?;
        let topic = Arc::new(Topic { name: name.to_owned(), id: Uuid::new_v4(), partitions, config });
        self.publish(Arc::clone(&topic))?;
        Ok(topic)
    }

    /// Adds partitions so that the topic has `count`.
    pub(crate) fn grow(&self, name: &str, count: i32, validate_only: bool) -> Result<(), Error> {
        let _changing = lock(&self.changing);
        let topic = self.existing(name)?;
        let current = topic.partitions.len() as i32;
        if count <= current {
            return Err(Error::Partitions {
                topic: name.to_owned(),
                partitions: count,
                reason: format!("it has {current}, and partitions cannot be taken away"),
            });
        }
        self.check_count(name, count)?;
        if validate_only {
            return Ok(());
        }
        let mut partitions = topic.partitions.clone();
        partitions.extend(self.open_partitions(name, current..count)?);
        self.sync_topic(&self.topics_dir().join(name))?;
        self.publish(Arc::new(Topic {
            name: topic.name.clone(),
            id: topic.id,
            partitions,
            config: topic.config.clone(),
        }))
    }

    /// Gives the topic other settings.
    pub(crate) fn configure(
        &self,
        name: &str,
        config: impl FnOnce(BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ConfigError>,
        validate_only: bool,
    ) -> Result<(), Error> {
        let _changing = lock(&self.changing);
        let topic = self.existing(name)?;
        let config = Config::parse(config(topic.config.overrides().clone())?)?;
        if validate_only {
            return Ok(());
        }
        self.publish(Arc::new(Topic {
            name: topic.name.clone(),
            id: topic.id,
            partitions: topic.partitions.clone(),
            config,
        }))
    }

    /// Deletes a topic with all it holds.
    pub(crate) fn delete(&self, name: &str) -> Result<(), Error> {
        self.reserve.spend(Error::is_full, || self.delete_now(name))
    }

    /// As [`Partition::delete_before`], also when the disk is full.
    pub(crate) fn delete_records(
        &self,
        partition: &Partition,
        offset: i64,
    ) -> Result<Option<i64>, log::Error> {
        self.reserve.spend(log::Error::is_full, || partition.delete_before(offset))
    }

    fn delete_now(&self, name: &str) -> Result<(), Error> {
        let _changing = lock(&self.changing);
        let topic = self.existing(name)?;
        // Until it is gone, nothing is tidied up in the folder, or in one that takes its name.
        let _paused: Vec<_> = topic.partitions.iter().map(|partition| partition.pause()).collect();
        let folder = self.topics_dir().join(name);
        let moved = self.deleted_dir().join(topic.id.to_string());
        fs::rename(&folder, &moved).map_err(io("cannot move away", &folder))?;
        self.remove(name);
        if let Err(error) = self.store(None) {
            let _best_effort = fs::rename(&moved, &folder);
            lock(&self.map).insert(Arc::clone(&topic));
            return Err(error);
        }
        for partition in &topic.partitions {
            partition.close_deleted();
        }
        if let Err(error) = fs::remove_dir_all(&moved) {
            tracing::warn!(folder = %moved.display(), %error, "a deleted topic's folder remains until the next start");
        }
        Ok(())
    }

    fn existing(&self, name: &str) -> Result<Arc<Topic>, Error> {
        self.get(name).ok_or_else(|| Error::Unknown(name.to_owned()))
    }

    /// Stores the catalog with this state of a topic, then shows it to clients: what they write to it
    /// must not be in a topic that a crash forgets.
    fn publish(&self, topic: Arc<Topic>) -> Result<(), Error> {
        self.store(Some(&topic))?;
        lock(&self.map).insert(topic);
        Ok(())
    }

    fn insert(&self, topic: Topic) {
        lock(&self.map).insert(Arc::new(topic));
    }

    fn remove(&self, name: &str) {
        let mut map = lock(&self.map);
        if let Some(topic) = map.by_name.remove(name) {
            map.names.remove(&topic.id);
        }
    }

    fn sync_topic(&self, folder: &Path) -> Result<(), Error> {
        for folder in [folder, &self.topics_dir()] {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("cannot sync", folder))?;
        }
        Ok(())
    }

    /// Writes the catalog as a whole, `changed` in the place of the topic of its name, and puts it in
    /// the place of the old one.
    fn store(&self, changed: Option<&Arc<Topic>>) -> Result<(), Error> {
        let mut topics = lock(&self.map).by_name.clone();
        if let Some(topic) = changed {
            topics.insert(topic.name.clone(), Arc::clone(topic));
        }
        let topics = topics
            .into_iter()
            .map(|(name, topic)| {
                let stored = StoredTopic {
                    id: topic.id,
                    partitions: topic.partitions.len() as i32,
                    config: topic.config.overrides().clone(),
                };
                (name, stored)
            })
            .collect();
        Catalog::new(self.cluster_id, topics).write(&self.dir.join(CATALOG))
    }

    /// Forces every partition to the disk.
    pub(crate) fn sync_all(&self) -> Result<(), Error> {
        self.each(|_, partition| partition.sync_now())
    }

    /// Forces every partition to the disk, so that opening it again takes no time.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        self.each(|_, partition| partition.settle())
    }

    /// Closes segments, deletes what is no longer kept, and compacts. What fails is tried again
    /// with the next call.
    pub(crate) fn maintain(&self) {
        self.reserve.keep();
        for topic in self.all() {
            let rules = topic.config.rules(&self.options);
            for (index, partition) in topic.partitions.iter().enumerate() {
                let expired = self.reserve.spend(log::Error::is_full, || partition.expire(&rules));
                if let Err(error) = expired.and_then(|()| partition.tidy(&rules)) {
                    tracing::error!(topic = %topic.name, partition = index, %error, "a partition could not be tidied up; it will be tried again");
                }
            }
        }
    }

    fn each(&self, work: impl Fn(&Topic, &Partition) -> Result<(), log::Error>) -> Result<(), Error> {
        for topic in self.all() {
            for (index, partition) in topic.partitions.iter().enumerate() {
                work(&topic, partition).map_err(|source| Error::Partition {
                    topic: topic.name.clone(),
                    partition: index as i32,
                    source,
                })?;
            }
        }
        Ok(())
    }
}

impl Error {
    fn is_full(&self) -> bool {
        match self {
            Error::Io { source, .. } => is_full(source),
            Error::Partition { source, .. } => source.is_full(),
            _ => false,
        }
    }
}

impl Map {
    fn insert(&mut self, topic: Arc<Topic>) {
        self.names.insert(topic.id, topic.name.clone());
        self.by_name.insert(topic.name.clone(), topic);
    }
}

/// Whether any segment in a topic's folder has bytes.
fn holds_records(topic: &Path) -> bool {
    let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries(topic).any(|partition| {
        entries(&partition).any(|file| fs::metadata(&file).is_ok_and(|metadata| metadata.len() > 0))
    })
}

fn check_name(name: &str) -> Result<(), Error> {
    let fits = (1..=NAME_CHARS_MAX).contains(&name.len())
        && name != "."
        && name != ".."
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if fits { Ok(()) } else { Err(Error::Name(name.to_owned())) }
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.to_path_buf();
    move |source| Error::Io { doing, path, source }
}
