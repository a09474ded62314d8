//! The plugins of every language, built once.

use anyhow::{Context, Result, bail};
use lantern::plugin::Plugin;
use lantern::wasm::{Engine, Limits};
use lantern_tests::report::{say, skip};
use lantern_tests::site::{binary, transcript};
use lantern_tests::target;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::thread;

pub const REFERENCE: &str = "rust";

/// A language, the program that has to be there to build its plugins, and where to get it. The rest `lantern build` fetches itself.
const LANGUAGES: [(&str, &str, &str); 8] = [
    (REFERENCE, "cargo", "Rust: https://rustup.rs"),
    ("go", "go", "Go 1.24: https://go.dev/dl"),
    ("c", "python3", "Python 3.10 with pip, for zig cc: apt-get install python3-pip"),
    ("zig", "python3", "Python 3.10 with pip, for Zig: apt-get install python3-pip"),
    ("assemblyscript", "npm", "Node.js 20 with npm: apt-get install nodejs npm"),
    ("javascript", "npm", "Node.js 20 with npm: apt-get install nodejs npm"),
    ("typescript", "npm", "Node.js 20 with npm: apt-get install nodejs npm"),
    ("python", "python3", "Python 3.10 with pip: apt-get install python3-pip"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Projection,
    Aggregate,
    Upcaster,
}

/// A built plugin.
pub struct Built {
    pub language: &'static str,
    pub kind: Kind,
    pub wasm: Vec<u8>,
    pub plugin: Plugin,
}

/// One engine and one set of limits for all: large languages may take their time at the start.
pub fn engine() -> Result<&'static Engine> {
    static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
    let cache = target::cache_dir()?.join("languages-compiled");
    let engine =
        ENGINE.get_or_init(|| Engine::with_limits(Some(cache), &limits()).map_err(|error| error.to_string()));
    engine.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

pub fn limits() -> Limits {
    Limits { event_ms_max: 60_000, call_ms_max: 60_000, ..Limits::default() }
}

/// The plugins of one kind, the reference first; those of languages that are not here are skipped with a line.
pub fn all(kind: Kind) -> Result<Vec<&'static Built>> {
    static BUILT: OnceLock<Result<Vec<Built>, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    let built = built.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(built.iter().filter(|built| built.kind == kind).collect())
}

/// Builds language by language side by side: most of a build is one thread of another program.
fn build() -> Result<Vec<Built>> {
    let _lock = target::lock("languages")?;
    thread::scope(|scope| {
        let running: Vec<_> =
            LANGUAGES.into_iter().map(|language| scope.spawn(move || build_language(language))).collect();
        let mut all = Vec::new();
        for language in running {
            match language.join() {
                Ok(built) => all.extend(built?),
                Err(_) => bail!("a build has panicked"),
            }
        }
        Ok(all)
    })
}

fn build_language((language, program, install): (&'static str, &str, &str)) -> Result<Vec<Built>> {
    if Command::new(program).arg("--version").output().is_err() {
        skip(&format!("{program} for plugins in {language}: install {install}"));
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for (kind, folder) in
        [(Kind::Projection, "projection"), (Kind::Aggregate, "aggregate"), (Kind::Upcaster, "upcaster")]
    {
        let source = target::tests_dir().join("conformance").join(language).join(folder);
        let wasm = fs::read(built(language, folder, &source)?)?;
        let plugin = Plugin::load(engine()?, &wasm, &format!("{language}/{folder}"), &limits())?;
        all.push(Built { language, kind, wasm, plugin });
    }
    Ok(all)
}

fn built(language: &str, folder: &str, source: &PathBuf) -> Result<PathBuf> {
    let out = target::cache_dir()?.join(format!("conformance-{language}-{folder}.wasm"));
    let output = Command::new(binary()?)
        .arg("build")
        .arg(source)
        .arg("--out")
        .arg(&out)
        .current_dir(target::cache_dir()?)
        .output()
        .context("lantern build")?;
    if !output.status.success() {
        bail!("cannot build {}: {}", source.display(), transcript(&output));
    }
    Ok(out)
}

/// Asks every plugin of a kind, and compares with what the reference says.
pub fn compare<T: PartialEq + std::fmt::Debug>(kind: Kind, what: impl Fn(&Built) -> Result<T>) -> Result<()> {
    let mut reference: Option<T> = None;
    let mut wrong = Vec::new();
    for built in all(kind)? {
        let found = what(built).with_context(|| format!("in {}", built.language));
        match (found, &reference) {
            (Ok(found), None) => reference = Some(found),
            (Ok(found), Some(expected)) if found == *expected => {}
            (Ok(found), Some(expected)) => {
                wrong.push(format!("{}:\n{found:#?}\nand the reference:\n{expected:#?}", built.language));
            }
            (Err(error), _) => wrong.push(format!("{error:#}")),
        }
    }
    if !wrong.is_empty() {
        say(&wrong.join("\n\n"));
        bail!("{} languages differ, see above", wrong.len());
    }
    Ok(())
}
