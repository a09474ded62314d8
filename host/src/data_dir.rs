//! The data folder: where everything lies, and who may write it.

pub mod user_cache;

use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const LOCK_FILE: &str = "lantern.lock";
const MOVED_FILE: &str = "log.json";

/// A data folder: paths only; see [`DataDir::lock`] for the right to write.
#[derive(Clone, Debug)]
pub struct DataDir {
    root: PathBuf,
}

/// Who holds a data folder: the content of its lock file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// What it does, such as `lantern run`.
    pub command: String,
    /// When it took the folder, as RFC 3339.
    pub started: String,
    /// Where the broker is that it uses, when it is known.
    pub broker: Option<String>,
    /// Whether that broker is the embedded one, and so ends with the process.
    pub embedded: bool,
    /// Where it answers HTTP, if it does.
    #[serde(default)]
    pub http: Option<String>,
}

/// Where the log of a data folder was moved to: the content of its `log.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The cluster id.
    pub cluster: String,
    /// The brokers, as they were configured.
    pub servers: String,
    /// When, as RFC 3339.
    pub at: String,
    /// Whether everything that reads the log has been moved too.
    pub is_done: bool,
}

impl Moved {
    /// To be moved there now.
    pub fn to(cluster: &str, servers: &str) -> Self {
        Moved { cluster: cluster.into(), servers: servers.into(), at: now(), is_done: false }
    }
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else has it.
    #[error(
        "the data folder {} is in use by process {} (`{}`, since {}). \
         Stop it, or give another folder with --data-dir", root.display(), holder.pid, holder.command, holder.started
    )]
    Held {
        /// The folder.
        root: PathBuf,
        /// Who has it.
        holder: Box<Holder>,
    },
    /// A file or folder of it cannot be made, read or written.
    #[error("cannot use the data folder: {}: {source}. Check that it exists, is writable and has space, \
             or give another with --data-dir", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl DataDir {
    /// The data folder at `root`, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        DataDir { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The catalog of plugins and deployments.
    pub fn catalog(&self) -> PathBuf {
        self.root.join("lantern.db")
    }

    /// The embedded broker's topics.
    pub fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// What exports of the log know of their copies.
    pub fn exports(&self) -> PathBuf {
        self.root.join("export")
    }

    /// Whether the embedded broker has topics here: it makes its folder for whoever only looks.
    pub fn has_topics(&self) -> bool {
        fs::read_dir(self.log().join("topics")).is_ok_and(|mut topics| topics.next().is_some())
    }

    /// Where the log was moved to, if it was.
    ///
    /// # Errors
    /// When the file that says it cannot be read.
    pub fn moved(&self) -> Result<Option<Moved>, Error> {
        let path = self.root.join(MOVED_FILE);
        let moved = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        moved.map_err(|source| Error::Io { path, source })
    }

    /// The cluster that the log was moved to, and everything that reads it, if they were.
    ///
    /// # Errors
    /// As for [`DataDir::moved`].
    pub fn cluster(&self) -> Result<Option<String>, Error> {
        Ok(self.moved()?.filter(|moved| moved.is_done).map(|moved| moved.cluster))
    }

    /// Notes where the log is moved to.
    ///
    /// # Errors
    /// When the disk refuses; then it says what it said before.
    pub fn set_moved(&self, moved: &Moved) -> Result<(), Error> {
        let path = self.root.join(MOVED_FILE);
        let written = (|| {
            let mut file = tempfile::NamedTempFile::new_in(&self.root)?;
            serde_json::to_writer(&mut file, moved)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            File::open(&self.root)?.sync_all()
        })();
        written.map_err(|source| Error::Io { path, source })
    }

    /// Every artifact that was run, by digest.
    pub fn artifacts(&self) -> PathBuf {
        self.root.join("plugins")
    }

    /// Ready-made plugins, as they are set up.
    pub fn ready_made(&self) -> PathBuf {
        self.root.join("ready-made")
    }

    /// Compiled code.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Where read models and their generations are.
    pub fn read_model_folder(&self) -> PathBuf {
        self.root.join("read-models")
    }

    /// The generations of a read model.
    pub fn generations(&self, name: &str) -> PathBuf {
        self.read_model_folder().join(name)
    }

    /// One generation of a read model.
    pub fn generation(&self, name: &str, number: u32) -> PathBuf {
        self.generations(name).join(format!("{number}.db"))
    }

    /// What people open: a link to the live generation.
    pub fn read_model(&self, name: &str) -> PathBuf {
        self.root.join("read-models").join(format!("{name}.db"))
    }

    /// The names of the read models that are there, sorted.
    pub fn read_models(&self) -> Vec<String> {
        databases(&self.root.join("read-models"))
    }

    /// The state, versions and events of the aggregates of one type.
    pub fn aggregates(&self, name: &str) -> PathBuf {
        self.root.join("aggregates").join(format!("{name}.db"))
    }

    /// The types of aggregates that are there, sorted.
    pub fn aggregate_types(&self) -> Vec<String> {
        databases(&self.root.join("aggregates"))
    }

    /// How a projection was when its state last changed.
    pub fn status(&self, name: &str) -> PathBuf {
        self.root.join("status").join(format!("{name}.json"))
    }

    /// How a rebuild was when its state last changed.
    pub fn rebuild_status(&self, name: &str) -> PathBuf {
        self.root.join("status").join(format!("{name}.rebuild.json"))
    }

    /// Makes a folder and those above it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn create(&self, path: &Path) -> Result<(), Error> {
        fs::create_dir_all(path).map_err(|source| Error::Io { path: path.into(), source })
    }

    /// Takes the folder for this process; it is free again when the [`Lock`] is dropped or the process ends.
    ///
    /// # Errors
    /// When somebody else has it ([`Error::Held`]), or it cannot be written.
    pub fn lock(&self, command: &str) -> Result<Lock, Error> {
        self.create(&self.root)?;
        let path = self.root.join(LOCK_FILE);
        let io = |source| Error::Io { path: path.clone(), source };
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = read_holder(&mut file).unwrap_or_else(|| Holder::new("another process"));
                return Err(Error::Held { root: self.root.clone(), holder: Box::new(holder) });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let mut lock =
            Lock { file, path, holder: Holder { pid: std::process::id(), ..Holder::new(command) } };
        lock.write()?;
        Ok(lock)
    }

    /// Who has the folder now, if anybody.
    pub fn holder(&self) -> Option<Holder> {
        let mut file = File::open(self.root.join(LOCK_FILE)).ok()?;
        match file.try_lock_shared() {
            // Nobody; what it says is of an earlier process.
            Ok(()) => None,
            Err(_) => Some(read_holder(&mut file).unwrap_or_else(|| Holder::new("another process"))),
        }
    }
}

impl Holder {
    fn new(command: &str) -> Self {
        Holder { pid: 0, command: command.into(), started: now(), broker: None, embedded: false, http: None }
    }
}

/// The present, as RFC 3339.
fn now() -> String {
    jiff::Timestamp::try_from(SystemTime::now())
        .and_then(|now| now.round(jiff::Unit::Second))
        .map_or_else(|_| "an unknown time".into(), |now| now.to_string())
}

/// The names of a folder's databases, sorted.
fn databases(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".db").map(str::to_owned))
        .collect();
    names.sort();
    names
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// The right to write a data folder.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    holder: Holder,
}

impl Lock {
    /// Tells others where the broker is.
    ///
    /// # Errors
    /// When the lock file cannot be written.
    pub fn announce_broker(&mut self, broker: &str, embedded: bool) -> Result<(), Error> {
        self.holder.broker = Some(broker.into());
        self.holder.embedded = embedded;
        self.write()
    }

    /// Tells others where HTTP is answered.
    ///
    /// # Errors
    /// When the lock file cannot be written.
    pub fn announce_http(&mut self, address: &str) -> Result<(), Error> {
        self.holder.http = Some(address.into());
        self.write()
    }

    fn write(&mut self) -> Result<(), Error> {
        let io = |source| Error::Io { path: self.path.clone(), source };
        // A struct of strings and numbers always has a JSON form.
        let mut text = serde_json::to_vec(&self.holder).unwrap_or_default();
        // In one step, with spaces over the rest of a longer text: others read it meanwhile.
        let there = usize::try_from(self.file.metadata().map_err(io)?.len()).unwrap_or(0);
        text.resize(text.len().max(there), b' ');
        self.file.rewind().map_err(io)?;
        self.file.write_all(&text).map_err(io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two processes on one folder would both apply the same events; the second must know whom to stop.
    #[test]
    fn a_second_holder_is_refused_by_the_name_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::new(folder.path());
        let mut lock = data.lock("lantern run").unwrap();
        lock.announce_broker("127.0.0.1:9", true).unwrap();
        lock.announce_http("127.0.0.1:10").unwrap();
        let refused = data.lock("lantern demo").unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        assert!(refused.contains("`lantern run`"), "{refused}");
        assert_eq!(data.holder().unwrap().broker.as_deref(), Some("127.0.0.1:9"));
        assert_eq!(data.holder().unwrap().http.as_deref(), Some("127.0.0.1:10"));
        drop(lock);
        assert_eq!(data.holder(), None);
        data.lock("lantern demo").unwrap();
    }
}
