//! The languages that plugins are written in, and how a folder shows which it is.

use anyhow::bail;
use serde::Serialize;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// A language that a plugin is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    Rust,
    Go,
    Python,
    #[value(alias = "js")]
    Javascript,
    #[value(alias = "ts")]
    Typescript,
    C,
    Zig,
    #[value(alias = "as")]
    Assemblyscript,
}

/// What is looked for, for those who have none of it.
const LOOKED_FOR: &str = "Cargo.toml (Rust), go.mod (Go), pyproject.toml (Python), package.json (JavaScript; TypeScript \
     with tsconfig.json, AssemblyScript with asconfig.json), build.zig (Zig), *.c or src/*.c (C)";

impl Language {
    /// The language of the source in a folder.
    ///
    /// # Errors
    /// When it is no folder, or holds nothing that can be built.
    pub fn of(dir: &Path) -> anyhow::Result<Language> {
        if !dir.is_dir() {
            bail!("{} is not a folder: name the folder of a plugin's source", dir.display());
        }
        let has = |file: &str| dir.join(file).is_file();
        let found = if has("Cargo.toml") {
            Language::Rust
        } else if has("go.mod") {
            Language::Go
        } else if has("pyproject.toml") {
            Language::Python
        } else if has("package.json") && has("asconfig.json") {
            Language::Assemblyscript
        } else if has("package.json") && has("tsconfig.json") {
            Language::Typescript
        } else if has("package.json") {
            Language::Javascript
        } else if has("build.zig") {
            Language::Zig
        } else if !c_files(dir).is_empty() {
            Language::C
        } else {
            bail!(
                "{} has nothing that `lantern build` builds. It looks for {LOOKED_FOR}. Name the folder of a plugin's \
                 source, or begin one with `lantern new`",
                dir.display()
            );
        };
        Ok(found)
    }

    /// The folder of its SDK, in `plugin-sdk` and in a project's `.lantern/sdk`.
    pub fn sdk(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::Go => "go",
            Language::Python => "python",
            Language::Javascript | Language::Typescript => "javascript",
            Language::C => "c",
            Language::Zig => "zig",
            Language::Assemblyscript => "assemblyscript",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Language::Rust => "Rust",
            Language::Go => "Go",
            Language::Python => "Python",
            Language::Javascript => "JavaScript",
            Language::Typescript => "TypeScript",
            Language::C => "C",
            Language::Zig => "Zig",
            Language::Assemblyscript => "AssemblyScript",
        })
    }
}

/// The C sources of a folder, and of its `src`, in order.
pub fn c_files(dir: &Path) -> Vec<PathBuf> {
    let folders = [dir.to_owned(), dir.join("src")];
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "c") && path.is_file())
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    // The wrong compiler's messages would be of no help to anybody.
    #[test]
    fn a_folder_s_files_show_its_language() {
        let check = |files: &[&str], expected: Language| {
            let dir = tempfile::tempdir().unwrap();
            for file in files {
                let path = dir.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "").unwrap();
            }
            assert_eq!(Language::of(dir.path()).unwrap(), expected, "{files:?}");
        };
        check(&["Cargo.toml", "src/lib.rs", "src/native.c"], Language::Rust);
        check(&["go.mod", "main.go"], Language::Go);
        check(&["pyproject.toml", "app.py"], Language::Python);
        check(&["package.json", "index.js"], Language::Javascript);
        check(&["package.json", "tsconfig.json"], Language::Typescript);
        check(&["package.json", "asconfig.json", "tsconfig.json"], Language::Assemblyscript);
        check(&["build.zig", "src/part.c"], Language::Zig);
        check(&["plugin.c"], Language::C);
        check(&["src/plugin.c"], Language::C);
    }

    #[test]
    fn a_folder_without_a_language_says_what_was_looked_for() {
        let dir = tempfile::tempdir().unwrap();
        let check = |dir: &Path, parts: &[&str]| {
            let error = Language::of(dir).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        };
        check(&dir.path().join("nowhere"), &["is not a folder"]);
        fs::write(dir.path().join("requirements.txt"), "").unwrap();
        check(dir.path(), &["Cargo.toml (Rust)", "pyproject.toml (Python)", "*.c", "lantern new"]);
    }
}
