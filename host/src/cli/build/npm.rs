//! What projects in JavaScript, TypeScript and AssemblyScript use of npm's registry beside their SDK.

use super::Project;
use crate::cli::output;
use anyhow::{Context as _, bail};
use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

#[derive(serde::Deserialize)]
struct Package {
    #[serde(default)]
    dependencies: BTreeMap<String, serde_json::Value>,
}

/// Runs `npm install` in a project that uses packages beside those that are `ours`, and has none installed.
///
/// # Errors
/// When its package.json cannot be read, or npm fails.
pub(super) fn install(project: &Project, ours: &[&str]) -> anyhow::Result<()> {
    let path = project.dir.join("package.json");
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let package: Package = serde_json::from_slice(&text)
        .with_context(|| format!("{} is no package.json that npm would take", path.display()))?;
    let is_alone = package.dependencies.keys().all(|name| ours.contains(&name.as_str()));
    if is_alone || project.dir.join("node_modules").is_dir() {
        return Ok(());
    }
    output::remark("running `npm install`, since package.json has dependencies and there is no node_modules");
    let status = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund"])
        .current_dir(&project.dir)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .context("cannot start npm")?;
    if !status.success() {
        bail!("`npm install` fails in {}; its messages are above", project.dir.display());
    }
    Ok(())
}
