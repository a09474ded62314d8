//! The Rust SDK outside of this workspace: its manifests say by themselves what they inherit here.

use super::{Files, below};
use anyhow::Context as _;
use std::borrow::Cow;
use toml::{Table, Value};

/// The workspace's manifest, which says the versions of what the SDK uses.
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");
const MANIFEST: &str = "Cargo.toml";
/// Where the SDK's crates are, from each other.
const PATHS: [(&str, &str); 3] =
    [("lantern-sdk", "."), ("lantern-contract", "contract"), ("lantern-testing", "testing")];

/// The crate `lantern-sdk` and, in folders of its own, `lantern-contract` and `lantern-testing`, as a workspace of their own.
pub(super) fn files() -> anyhow::Result<Files> {
    let mut files: Files = ["src/", "contract/", "testing/", "wit/"]
        .into_iter()
        .flat_map(|folder| below(folder).map(move |(path, bytes)| (format!("{folder}{path}"), bytes)))
        .filter(|(path, _)| path.ends_with(".rs") || path.ends_with(".wit"))
        .collect();
    for folder in ["", "contract/", "testing/"] {
        let path = format!("{folder}{MANIFEST}");
        let (_, text) = below(&path).next().with_context(|| format!("no {path} is embedded"))?;
        let text = std::str::from_utf8(&text).with_context(|| path.clone())?;
        let manifest = standalone(text, folder.is_empty()).with_context(|| path.clone())?;
        files.insert(path, Cow::Owned(manifest.into_bytes()));
    }
    Ok(files)
}

/// A manifest without what only this repository needs; the first one of the new workspace with what its crates inherit.
fn standalone(text: &str, is_root: bool) -> Result<String, toml::de::Error> {
    let mut manifest: Table = text.parse()?;
    manifest.remove("dev-dependencies");
    manifest.remove("lints");
    if is_root {
        manifest.insert("workspace".into(), Value::Table(inherited(WORKSPACE.parse()?)));
    }
    Ok(manifest.to_string())
}

/// What the SDK's crates inherit of this workspace.
fn inherited(root: Table) -> Table {
    let mut workspace = Table::new();
    let root = root.get("workspace").and_then(Value::as_table);
    if let Some(package) = root.and_then(|root| root.get("package")) {
        workspace.insert("package".into(), package.clone());
    }
    let mut dependencies =
        root.and_then(|root| root.get("dependencies")).and_then(Value::as_table).cloned().unwrap_or_default();
    // The crates of this repository are not there.
    dependencies.retain(|_, dependency| dependency.get("path").is_none());
    for (name, path) in PATHS {
        let path = Table::from_iter([("path".to_owned(), Value::from(path))]);
        dependencies.insert(name.to_owned(), Value::Table(path));
    }
    workspace.insert("dependencies".into(), Value::Table(dependencies));
    workspace.insert("members".into(), Value::Array(vec!["contract".into(), "testing".into()]));
    workspace.insert("resolver".into(), "3".into());
    workspace
}
