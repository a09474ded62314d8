//! The ready-made plugins that the configuration sets up, as files in the data folder: from there they are deployed, and stopped
//! when their section is gone, as those of the plugins folder.

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::wasm;
use std::fs;
use std::io;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The file of a plugin cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}. Check that the data folder is writable and has space", path.display())]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// The artifact that a section `[plugins.<name>]` makes; `None` when there is no such section.
pub fn artifact(config: &Config, name: &str) -> Option<Vec<u8>> {
    let configuration = config.ready_made(name)?;
    Some(wasm::configured(lantern_plugins::READY_MADE, &configuration.to_json()))
}

/// Writes the artifact of every section, and answers the files. Those of sections that are gone are removed.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(config: &Config, data: &DataDir) -> Result<Vec<PathBuf>, Error> {
    let folder = std::path::absolute(data.ready_made()).unwrap_or_else(|_| data.ready_made());
    let mut files = Vec::new();
    for name in config.plugins.keys() {
        let path = folder.join(name).with_extension("wasm");
        let bytes = artifact(config, name).unwrap_or_default();
        // The same bytes are the same deployment: nothing to write.
        if fs::read(&path).ok().as_deref() != Some(&bytes) {
            write_whole(&folder, &path, &bytes).map_err(|source| Error { path: path.clone(), source })?;
        }
        files.push(path);
    }
    let there = fs::read_dir(&folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect());
    for path in there.unwrap_or_else(|_| Vec::<PathBuf>::new()) {
        if !files.contains(&path) {
            fs::remove_file(&path).map_err(|source| Error { path, source })?;
        }
    }
    Ok(files)
}

fn write_whole(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
