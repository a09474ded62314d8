//! Python, by componentize-py.
//!
//! It takes seconds, and writes another file each time. So what was built of the same files stays, and what is tested is the
//! very file that was built.

use super::toolchain::{self, Registry, Toolchain};
use super::tools;
use super::{Compiler, Project};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

const COMPONENTIZE: Toolchain = Toolchain {
    name: "componentize-py-0.25.1",
    registry: Registry::Pypi,
    packages: &["componentize-py==0.25.1"],
};

/// Beside the plugin: the hash of what it was made of.
const MADE_OF: &str = "plugin.made-of";
/// Folders of a project that are no part of its plugin.
const LEFT_OUT: [&str; 4] = ["plugins", "lantern-data", "tests", "__pycache__"];

/// Where componentize-py is.
pub(super) struct Python(PathBuf);

impl Python {
    pub fn open() -> anyhow::Result<Python> {
        toolchain::python()?;
        Ok(Python(COMPONENTIZE.open()?))
    }
}

impl Compiler for Python {
    fn build(&self, project: &Project) -> anyhow::Result<PathBuf> {
        let out = project.out.join("plugin.wasm");
        let made_of = project.out.join(MADE_OF);
        let inputs = inputs(project).ok();
        if inputs.is_some() && out.exists() && fs::read_to_string(&made_of).ok() == inputs {
            return Ok(out);
        }
        let _ = fs::remove_file(&made_of);
        let mut python = Command::new("python3");
        python
            .current_dir(&project.dir)
            .env("PYTHONPATH", std::env::join_paths([&project.sdk, &self.0])?)
            .args(["-m", "lantern.build", "--wit"])
            .arg(&project.wit)
            .arg("--out")
            .arg(&out)
            .args(["--project", "."]);
        tools::compile_quietly(&mut python, &project.dir)?;
        if let Some(inputs) = inputs {
            // Without it the next build takes its time.
            let _ = fs::write(made_of, inputs);
        }
        Ok(out)
    }
}

/// The hash of everything that a plugin is made of: the project's files, the SDK, the contract and the compiler.
fn inputs(project: &Project) -> io::Result<String> {
    let mut sum = Sha256::new();
    sum.update(COMPONENTIZE.name);
    for folder in [&project.sdk, &project.wit, &project.dir] {
        add_folder(&mut sum, folder)?;
    }
    Ok(sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Adds names and contents of a folder, but for what is never a part of a plugin.
fn add_folder(sum: &mut Sha256, folder: &Path) -> io::Result<()> {
    let mut entries: Vec<fs::DirEntry> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') || LEFT_OUT.contains(&&*name) {
            continue;
        }
        let kind = entry.file_type()?;
        sum.update([u8::from(kind.is_dir())]);
        sum.update(name.len().to_le_bytes());
        sum.update(name.as_bytes());
        if kind.is_dir() {
            add_folder(sum, &entry.path())?;
        } else {
            let bytes = fs::read(entry.path())?;
            sum.update(bytes.len().to_le_bytes());
            sum.update(bytes);
        }
    }
    sum.update([2]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // A change that is not seen would be tested and deployed as what was before it.
    #[test]
    fn whatever_is_changed_makes_another_plugin() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let project = Project {
            dir: dir.path().to_owned(),
            sdk: dir.path().join(".lantern/sdk"),
            wit: dir.path().join(".lantern/wit"),
            out: dir.path().join(".lantern/build"),
        };
        write(".lantern/sdk/lantern/event.py", "1");
        write(".lantern/wit/lantern.wit", "1");
        write("app.py", "a");
        write("shop/prices.py", "b");
        let mut seen = vec![inputs(&project).unwrap()];
        for (path, text) in [
            ("app.py", "c"),
            ("shop/prices.py", "d"),
            ("shop/more.py", ""),
            (".lantern/sdk/lantern/event.py", "2"),
            (".lantern/wit/lantern.wit", "2"),
        ] {
            write(path, text);
            let now = inputs(&project).unwrap();
            assert!(!seen.contains(&now), "{path}");
            seen.push(now);
        }
        for path in
            ["plugins/app.wasm", "lantern-data/x", "tests/app.yaml", ".git/HEAD", "__pycache__/app.pyc"]
        {
            write(path, "x");
        }
        assert_eq!(seen.last(), Some(&inputs(&project).unwrap()));
    }
}
