//! Projects in every language, from `lantern new` to rows: what it makes is built, passes its own tests, and the pages under
//! docs/getting-started do what they say.

mod dev;
mod examples;
mod languages;
mod missing;
mod pages;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lantern_tests::native;
use lantern_tests::python;
use lantern_tests::site::{self, transcript};
use lantern_tests::target;
use tempfile::TempDir;

/// A folder outside of the workspace, as a user's is, and shells in it that find `lantern`.
struct Desk {
    dir: TempDir,
    bin: PathBuf,
    target: PathBuf,
}

impl Desk {
    fn new() -> Result<Desk> {
        let dir = TempDir::with_prefix("lantern-projects-")?;
        let bin = dir.path().join("bin");
        fs::create_dir(&bin)?;
        symlink(site::binary()?, bin.join("lantern"))?;
        let target =
            target::profile_dir()?.parent().context("a profile lies in cargo's target folder")?.to_owned();
        Ok(Desk { dir, bin, target })
    }

    fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// A shell that will run a script, after crates have been given the versions that are fetched and compiled already.
    fn shell(&self, script: &str) -> Result<Command> {
        let lock = target::tests_dir().join("../Cargo.lock");
        for entry in fs::read_dir(self.folder())? {
            let folder = entry?.path();
            if folder.join("Cargo.toml").exists() && !folder.join("Cargo.lock").exists() {
                fs::copy(&lock, folder.join("Cargo.lock"))?;
            }
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .current_dir(self.folder())
            .env("PATH", format!("{}:{path}", self.bin.display()))
            .env("CARGO_TARGET_DIR", &self.target)
            .env("TOOLCHAINS", native::toolchains()?)
            .stdin(Stdio::null());
        if script.contains("$PYTEST") {
            let python = python::for_tests()?;
            command.env("PYTEST", format!("{} -m pytest", python.display()));
        }
        Ok(command)
    }

    /// Runs a script; answers what it printed on standard output.
    fn run(&self, script: &str) -> Result<String> {
        let output = self.shell(script)?.output()?;
        ensure!(output.status.success(), "`{script}`: {}", transcript(&output));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
