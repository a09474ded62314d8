//! A target folder of cargo that several projects build in, as `CARGO_TARGET_DIR` makes it.
//!
//! Cargo tells the crates of a project apart by name, version and place in their workspace, and what is fresh by times alone. Where two
//! projects have a crate of one name, it takes what it built of the other for fresh, or replaces it before it is read.

use anyhow::Context as _;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// In the target folder: a lock, and for each crate a file that says which manifest it was built from.
const FOLDER: &str = ".lantern-build";

/// Waits until no other project is built in `target`, and has `clean` take away those of `crates` (name and manifest) that
/// another project built last. Until what is returned is dropped, no other project is built there.
///
/// # Errors
/// When the folder cannot be written, or as `clean` does.
pub(super) fn claim(
    target: &Path,
    crates: &[(&str, &Path)],
    clean: impl FnOnce(&[&str]) -> anyhow::Result<()>,
) -> anyhow::Result<File> {
    let folder = target.join(FOLDER);
    let failed = || format!("cannot write to {}", folder.display());
    let lock = lock(&folder).with_context(failed)?;
    let mut foreign = Vec::new();
    for (name, manifest) in crates {
        if !is_built_from(&folder.join(name), manifest).with_context(failed)? {
            foreign.push(*name);
        }
    }
    if !foreign.is_empty() {
        clean(&foreign)?;
    }
    for (name, manifest) in crates.iter().filter(|(name, _)| foreign.contains(name)) {
        fs::write(folder.join(name), manifest.as_os_str().as_encoded_bytes()).with_context(failed)?;
    }
    Ok(lock)
}

fn lock(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let file = File::create(folder.join(".lock"))?;
    file.lock()?;
    Ok(file)
}

fn is_built_from(noted: &Path, manifest: &Path) -> io::Result<bool> {
    match fs::read(noted) {
        Ok(bytes) => Ok(bytes == manifest.as_os_str().as_encoded_bytes()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
