//! Compilers that come from PyPI and npm: fetched once, in the version that Lantern is tested with, into the user's
//! cache.

use super::tools::Program;
use crate::cli::output;
use crate::data_dir::user_cache;
use anyhow::{Context as _, bail};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The last lines of an installer's messages that are shown.
const LINES_MAX: usize = 30;

const PYTHON: Program = Program {
    name: "python3",
    version: &["--version"],
    at_least: (3, 10),
    install: "Install Python 3.10 or newer with pip: `apt install python3 python3-pip`, `brew install python`, or \
              https://www.python.org/downloads",
};
/// The SDK reads a project's `pyproject.toml` by a module that came with this version.
const PYTHON_OF_PLUGINS: Program = Program {
    at_least: (3, 11),
    install: "Plugins in Python need Python 3.11 or newer with pip: `apt install python3 python3-pip`, `brew install python`, \
              or https://www.python.org/downloads",
    ..PYTHON
};
/// Debian and others have it in a package of its own.
const PIP: Program = Program {
    name: "python3",
    version: &["-m", "pip", "--version"],
    // Any: what it is asked for is older than Python 3.
    at_least: (0, 0),
    install: "Install pip for this Python: `apt install python3-pip`, `python3 -m ensurepip`, or \
              https://pip.pypa.io/en/stable/installation",
};
const NODE: Program = Program {
    name: "node",
    version: &["--version"],
    at_least: (20, 0),
    install: "Install Node.js 20 or newer with npm: `apt install nodejs npm`, `brew install node`, or \
              https://nodejs.org",
};
const NPM: Program =
    Program { name: "npm", version: &["--version"], at_least: (9, 0), install: NODE.install };

/// Where packages come from.
#[derive(Clone, Copy)]
pub(super) enum Registry {
    Pypi,
    Npm,
}

/// Packages that are fetched together.
pub(super) struct Toolchain {
    /// With its version, the name of its folder.
    pub name: &'static str,
    pub registry: Registry,
    /// As the registry's tool names a package of one version.
    pub packages: &'static [&'static str],
}

/// The Python that builds plugins in Python.
///
/// # Errors
/// When it is missing or old.
pub(super) fn python() -> anyhow::Result<()> {
    PYTHON_OF_PLUGINS.check()
}

/// Node.js, which runs tools of npm.
///
/// # Errors
/// When it is missing or old.
pub(super) fn node() -> anyhow::Result<()> {
    NODE.check()
}

impl Toolchain {
    /// Where it is, after it is fetched if it was not there.
    ///
    /// # Errors
    /// When it cannot be fetched.
    pub fn open(&self) -> anyhow::Result<PathBuf> {
        let cache = user_cache::toolchains();
        let cache = cache.context("there is no place for toolchains: set HOME or XDG_CACHE_HOME")?;
        fetched(&cache, self.name, |folder| self.install(folder))
    }

    fn install(&self, folder: &Path) -> anyhow::Result<()> {
        let (registry, mut command) = match self.registry {
            Registry::Pypi => {
                PYTHON.check()?;
                PIP.check()?;
                let mut pip = Command::new("python3");
                pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
                pip.args(["--only-binary", ":all:", "--target"]).arg(folder);
                ("PyPI", pip)
            }
            Registry::Npm => {
                NODE.check()?;
                NPM.check()?;
                let mut npm = Command::new("npm");
                npm.args(["install", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]);
                // What a package would run when it is installed is not needed, and not trusted.
                npm.args(["--ignore-scripts", "--prefix"]).arg(folder);
                ("npm", npm)
            }
        };
        output::remark(&format!("fetching {} from {registry}, once", self.packages.join(", ")));
        let done = command
            .args(self.packages)
            .current_dir(folder)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        if !done.status.success() {
            bail!(
                "{} could not be fetched from {registry}; the network may be needed, or a mirror to be configured:\n{}",
                self.packages.join(", "),
                last_lines(&String::from_utf8_lossy(&done.stderr))
            );
        }
        Ok(())
    }
}

/// A folder of the cache, which is there whole or not at all: it is made beside and renamed, by one process at a time.
fn fetched(
    cache: &Path,
    name: &str,
    install: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let folder = cache.join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let doing = || format!("cannot keep {name} in {}", cache.display());
    fs::create_dir_all(cache).with_context(doing)?;
    let lock = File::create(cache.join(format!("{name}.lock"))).with_context(doing)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            output::remark(&format!("waiting for another build that fetches {name}"));
            lock.lock().with_context(doing)?;
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(doing),
    }
    if folder.is_dir() {
        return Ok(folder);
    }
    let new = tempfile::Builder::new().prefix(".fetching-").tempdir_in(cache).with_context(doing)?;
    install(new.path())?;
    fs::rename(new.path(), &folder).with_context(doing)?;
    // Nothing is left of it to remove.
    let _ = new.keep();
    Ok(folder)
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(LINES_MAX)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    // Half a compiler gives errors that nobody understands, and would stay for ever.
    #[test]
    fn an_installation_that_fails_leaves_nothing_and_is_tried_again() {
        let cache = tempfile::tempdir().unwrap();
        let half = |folder: &Path| {
            fs::write(folder.join("half"), "").unwrap();
            bail!("the network is gone")
        };
        let error = fetched(cache.path(), "tool-1", half).unwrap_err().to_string();
        assert_eq!(error, "the network is gone");
        assert!(!cache.path().join("tool-1").exists());
        let names = |folder: &Path| -> Vec<String> {
            let entries = fs::read_dir(folder).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        assert_eq!(names(cache.path()), ["tool-1.lock"]);
        let whole = |folder: &Path| Ok(fs::write(folder.join("whole"), "")?);
        let folder = fetched(cache.path(), "tool-1", whole).unwrap();
        assert_eq!(names(&folder), ["whole"]);
        // From now on without asking anybody, the network least of all.
        let never = |_: &Path| bail!("installed twice");
        assert_eq!(fetched(cache.path(), "tool-1", never).unwrap(), folder);
    }

    // Two builds in two terminals, or of several plugins at once.
    #[test]
    fn builds_at_the_same_time_fetch_a_toolchain_once() {
        let cache = tempfile::tempdir().unwrap();
        let installed = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let install = |folder: &Path| {
                        installed.fetch_add(1, Ordering::SeqCst);
                        Ok(fs::write(folder.join("tool"), "whole")?)
                    };
                    let folder = fetched(cache.path(), "tool-2", install).unwrap();
                    assert_eq!(fs::read_to_string(folder.join("tool")).unwrap(), "whole");
                });
            }
        });
        assert_eq!(installed.load(Ordering::SeqCst), 1);
    }
}
