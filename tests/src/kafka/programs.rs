//! Java programs of the tests' own, which are clients of a broker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::target;

/// Compiles `tests/clients/java`, once and again when a source has changed, and answers where the classes are.
///
/// # Errors
///
/// Where there is no `javac`, or it does not take the sources.
pub(super) fn compile(jars: &Path) -> Result<PathBuf> {
    let folder = target::tests_dir().join("clients/java");
    let mut sources: Vec<PathBuf> =
        fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    sources.sort();
    let mut wanted = String::new();
    for source in &sources {
        wanted.push_str(&fs::read_to_string(source)?);
    }
    let classes = target::cache_dir()?.join("java-classes");
    let compiled = classes.join("sources");
    let _lock = target::lock("java-classes")?;
    if fs::read_to_string(&compiled).is_ok_and(|compiled| compiled == wanted) {
        return Ok(classes);
    }
    let output = Command::new("javac")
        .arg("-d")
        .arg(&classes)
        .arg("-cp")
        .arg(jars.join("*"))
        .args(&sources)
        .output()
        .context("cannot run javac")?;
    ensure!(output.status.success(), "javac: {}", String::from_utf8_lossy(&output.stderr));
    fs::write(compiled, wanted)?;
    Ok(classes)
}
