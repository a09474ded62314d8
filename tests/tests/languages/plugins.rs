//! The plugins of every language, built once.

use anyhow::{Context, Result, bail};
use lantern::plugin::Plugin;
use lantern::wasm::{Engine, Limits};
use lantern_tests::report::{say, skip};
use lantern_tests::site::{binary, transcript};
use lantern_tests::target;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;

pub const REFERENCE: &str = "rust";

/// What `lantern build` says where a language's own tools are missing or old, and what to install.
const MISSING: [&str; 2] = ["is not installed", "or newer is needed"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Projection,
    Aggregate,
    Upcaster,
}

/// A built plugin.
pub struct Built {
    pub language: String,
    pub kind: Kind,
    pub wasm: Vec<u8>,
    pub plugin: Plugin,
}

/// One engine and one set of limits for all: large languages may take their time at the start.
pub fn engine() -> Result<&'static Engine> {
    static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
    let cache = target::compiled_dir()?;
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
            languages()?.into_iter().map(|language| scope.spawn(move || build_language(&language))).collect();
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

/// The languages that have plugins here, the reference first.
fn languages() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(target::tests_dir().join("conformance"))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.file_name().into_string().ok().context("a language's name is not UTF-8")?);
        }
    }
    // To run less while one works on a language.
    if let Ok(wanted) = std::env::var("LANTERN_TESTS_LANGUAGES") {
        found.retain(|language| language == REFERENCE || wanted.split(',').any(|wanted| wanted == language));
    }
    found.sort_by_key(|language| (language != REFERENCE, language.clone()));
    Ok(found)
}

fn build_language(language: &str) -> Result<Vec<Built>> {
    let mut all = Vec::new();
    for (kind, folder) in
        [(Kind::Projection, "projection"), (Kind::Aggregate, "aggregate"), (Kind::Upcaster, "upcaster")]
    {
        let source = target::tests_dir().join("conformance").join(language).join(folder);
        let Some(path) = built(language, folder, &source)? else { return Ok(Vec::new()) };
        let wasm = fs::read(path)?;
        let plugin = Plugin::load(engine()?, &wasm, &format!("{language}/{folder}"), &limits())?;
        all.push(Built { language: language.to_owned(), kind, wasm, plugin });
    }
    Ok(all)
}

/// Builds a plugin, if its language is here.
fn built(language: &str, folder: &str, source: &Path) -> Result<Option<PathBuf>> {
    let out = target::cache_dir()?.join(format!("conformance-{language}-{folder}.wasm"));
    let output = Command::new(binary()?)
        .arg("build")
        .arg(source)
        .arg("--out")
        .arg(&out)
        .current_dir(target::cache_dir()?)
        .output()
        .context("lantern build")?;
    if output.status.success() {
        return Ok(Some(out));
    }
    let said = transcript(&output);
    if MISSING.iter().any(|words| said.contains(words)) {
        skip(&format!("what plugins in {language} are built with: {said}"));
        return Ok(None);
    }
    bail!("cannot build {}: {said}", source.display())
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
