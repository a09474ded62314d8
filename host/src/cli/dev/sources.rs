//! The files that a plugin is built from: when one of them is saved.

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;

/// How long after a save others are waited for: an editor saves several files at once.
const DEBOUNCE: Duration = Duration::from_millis(30);
/// How often the files are looked at where the system tells of no change.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The most files that are looked at; a folder of more is no crate.
const FILES_MAX: usize = 20_000;

/// Folders that builds of some language fill, and pages of what was fetched.
const NOT_SOURCE: [&str; 5] = ["target", "node_modules", "__pycache__", "zig-out", "venv"];
/// Files that builds write beside the source.
const NOT_SOURCES: [&str; 3] = ["Cargo.lock", "package-lock.json", "go.sum"];

/// A file's size and the time of its last change.
type Stamps = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// Folders of source that are watched.
pub struct Sources {
    folders: Vec<PathBuf>,
    others: Vec<PathBuf>,
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    told: Arc<Notify>,
    seen: Stamps,
}

impl Sources {
    /// Watches these folders, without what is built in them, what is hidden, and `others` that may lie in them.
    pub fn watch(folders: &[PathBuf], others: &[&Path]) -> Sources {
        let told = Arc::new(Notify::new());
        let tell = Arc::clone(&told);
        let watcher = notify::recommended_watcher(move |_| tell.notify_one());
        if let Err(error) = &watcher {
            tracing::debug!("the system tells nothing of saved files, so they are looked at: {error}");
        }
        let mut sources = Sources {
            folders: folders.to_vec(),
            others: others.iter().filter_map(|folder| resolved(folder)).collect(),
            watcher: watcher.ok(),
            watched: BTreeSet::new(),
            told,
            seen: Stamps::new(),
        };
        sources.seen = sources.look();
        sources
    }

    /// Waits until a file is another than when it was asked last; answers which. What is saved while nobody waits
    /// is not lost.
    pub async fn changed(&mut self) -> Vec<PathBuf> {
        loop {
            let now = self.look();
            let before = std::mem::replace(&mut self.seen, now);
            let added = self.seen.iter().filter(|(path, stamp)| before.get(*path) != Some(*stamp));
            let gone = before.keys().filter(|path| !self.seen.contains_key(*path));
            let changed: Vec<PathBuf> = added.map(|(path, _)| path).chain(gone).cloned().collect();
            if !changed.is_empty() {
                return changed;
            }
            // Either way it is looked at again.
            let _ = tokio::time::timeout(LOOK_EVERY, self.told.notified()).await;
            tokio::time::sleep(DEBOUNCE).await;
        }
    }

    /// All files as they are now; folders that are new are watched first, so that nothing is missed.
    fn look(&mut self) -> Stamps {
        let mut stamps = Stamps::new();
        let mut folders = self.folders.clone();
        while let Some(folder) = folders.pop() {
            self.watch_folder(&folder);
            // One that is gone meanwhile has no files.
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let Ok(about) = entry.metadata() else { continue };
                if about.is_dir() && is_source_folder(&path) && !self.others.contains(&path) {
                    folders.push(path);
                } else if about.is_file() && is_source(&path) && stamps.len() < FILES_MAX {
                    stamps.insert(path, (about.len(), about.modified().ok()));
                }
            }
        }
        stamps
    }

    fn watch_folder(&mut self, folder: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        if self.watched.insert(folder.to_owned())
            && let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive)
        {
            tracing::debug!("{} is looked at, as the system does not watch it: {error}", folder.display());
        }
    }
}

/// The path of a folder that may still have to be made, as it is found in its canonical parent.
fn resolved(folder: &Path) -> Option<PathBuf> {
    let parent = folder.parent().filter(|parent| *parent != Path::new(""));
    Some(parent.unwrap_or(Path::new(".")).canonicalize().ok()?.join(folder.file_name()?))
}

fn is_source_folder(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // Cargo marks what it builds, whatever its name.
    !name.starts_with('.') && !NOT_SOURCE.contains(&name) && !path.join("CACHEDIR.TAG").exists()
}

/// Whether a file may be built from, by its name.
fn is_source(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_other =
        [".swp", ".swx", ".tmp", ".bak", "~", ".wasm", ".pyc"].iter().any(|end| name.ends_with(end));
    // vim tries with this name whether it can write.
    !name.starts_with(['.', '#']) && !is_other && !NOT_SOURCES.contains(&name) && name != "4913"
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT_MAX: Duration = Duration::from_secs(20);

    async fn changed(sources: &mut Sources) -> Vec<PathBuf> {
        tokio::time::timeout(WAIT_MAX, sources.changed()).await.expect("a change in time")
    }

    // A build writes thousands of files beside the source; none of them may start the next one.
    #[tokio::test]
    async fn a_change_is_one_of_source_and_not_of_what_is_built() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for folder in ["src", "target/release", ".git", "build", "data", "node_modules/x", ".lantern/sdk"] {
            fs::create_dir_all(path(folder)).unwrap();
        }
        fs::write(path("build/CACHEDIR.TAG"), "").unwrap();
        fs::write(path("src/lib.rs"), "one").unwrap();
        let data = path("data");
        let mut sources = Sources::watch(&[dir.path().to_owned()], &[&data]);
        let built = [
            "target/a",
            "target/release/b",
            ".git/c",
            "build/d",
            "Cargo.lock",
            "src/.lib.rs.swp",
            "src/lib.rs~",
            "data/log",
            "node_modules/x/index.js",
            ".lantern/sdk/index.js",
            "package-lock.json",
            "plugin.wasm",
        ];
        for name in built {
            fs::write(path(name), "x").unwrap();
        }
        fs::write(path("src/lib.rs"), "other").unwrap();
        assert_eq!(changed(&mut sources).await, [path("src/lib.rs")]);
        fs::write(path("Cargo.toml"), "x").unwrap();
        assert_eq!(changed(&mut sources).await, [path("Cargo.toml")]);
        fs::remove_file(path("Cargo.toml")).unwrap();
        assert_eq!(changed(&mut sources).await, [path("Cargo.toml")]);
    }

    // What is saved while the compiler runs must be compiled after it.
    #[tokio::test]
    async fn what_is_saved_while_nobody_waits_is_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let mut sources = Sources::watch(&[dir.path().to_owned()], &[]);
        fs::create_dir(dir.path().join("events")).unwrap();
        fs::write(dir.path().join("events/mod.rs"), "one").unwrap();
        assert_eq!(changed(&mut sources).await, [dir.path().join("events/mod.rs")]);
        // In a folder that is newer than the watch.
        fs::rename(dir.path().join("events/mod.rs"), dir.path().join("events/other.rs")).unwrap();
        let both = [dir.path().join("events/other.rs"), dir.path().join("events/mod.rs")];
        assert_eq!(changed(&mut sources).await, both);
    }
}
