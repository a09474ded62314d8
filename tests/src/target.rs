//! Where cargo builds: the tests cache there what is too dear to fetch or build for each run.

use std::env;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folder of this build's profile, such as `target/debug`.
///
/// # Errors
///
/// Where the running test is not in `<target>/<profile>/deps`, where cargo puts it.
pub fn profile_dir() -> Result<PathBuf> {
    let test = env::current_exe().context("the running test has no path")?;
    let deps = test.parent().filter(|dir| dir.ends_with("deps"));
    deps.and_then(Path::parent)
        .map(Path::to_owned)
        .with_context(|| format!("{} is not in cargo's target folder", test.display()))
}

/// A folder that outlives a run, for the tests alone.
///
/// # Errors
///
/// Where it cannot be created.
pub fn cache_dir() -> Result<PathBuf> {
    let profile = profile_dir()?;
    let target = profile.parent().unwrap_or(&profile);
    let dir = target.join("lantern-tests");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

/// Where hosts and the tests keep compiled plugins: together, so that each is compiled once in a run.
///
/// # Errors
///
/// Where it cannot be created.
pub fn compiled_dir() -> Result<PathBuf> {
    let dir = cache_dir()?.join("compiled");
    // What is loaded from there runs in the host, which makes such folders its user's alone.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
    made.with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

/// Holds a name in the cache folder until it is dropped, against every other test process.
///
/// # Errors
///
/// Where the lock's file cannot be created or locked.
pub fn lock(name: &str) -> Result<File> {
    let path = cache_dir()?.join(format!("{name}.lock"));
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// The folder of this crate: guests, and what foreign tools are told.
#[must_use]
pub fn tests_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
