//! Rust's tools: the crate, the WebAssembly target, the compiler.

use super::{Compiler, Project, shared_target};
use crate::cli::language::Language;
use crate::cli::{output, sdk};
use anyhow::{Context as _, bail};
use serde::Deserialize;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TARGET: &str = "wasm32-unknown-unknown";

/// For speed in the engine, and for backtraces with the names of functions; whatever the crate's own
/// profile says, which is made for other targets.
const SETTINGS: [&str; 7] = [
    "profile.release.opt-level=3",
    "profile.release.lto=true",
    "profile.release.codegen-units=1",
    "profile.release.panic=\"abort\"",
    "profile.release.debug=false",
    "profile.release.strip=\"debuginfo\"",
    // Every function looks at the clock of deadlines when it is entered, so calls cost more than natively, for
    // which the compiler's own threshold (225) is made. Measured with orders.wasm: 12 % of its time for 13 % of
    // its size.
    "target.wasm32-unknown-unknown.rustflags=[\"-Cllvm-args=-inline-threshold=600\"]",
];

/// What `cargo metadata` says of a workspace.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
    #[serde(default)]
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    /// Where its source is, if it is on this machine.
    path: Option<PathBuf>,
    /// Nothing for what the crate itself uses.
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    crate_types: Vec<String>,
}

/// What `cargo build` says, a line each; only artifacts are of interest.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

impl Package {
    fn is_cdylib(&self) -> bool {
        self.targets.iter().any(|target| target.crate_types.iter().any(|kind| kind == "cdylib"))
    }
}

/// A crate that can be a plugin.
pub(super) struct Crate {
    dir: PathBuf,
    package: Package,
    /// The folders of its source, and of the crates on this machine that it uses.
    folders: Vec<PathBuf>,
    /// Names and manifests of all crates of its workspace.
    members: Vec<(String, PathBuf)>,
    /// The workspace's folder.
    workspace: PathBuf,
    /// Where cargo builds.
    target: PathBuf,
}

impl Crate {
    /// Looks at the crate in `dir`, whose path is canonical, and has the target be there that it is compiled for.
    pub fn open(dir: &Path) -> anyhow::Result<Crate> {
        let manifest = dir.join("Cargo.toml");
        write_sdk(dir, &manifest)?;
        let metadata = metadata(dir, &manifest)?;
        let folders = folders(&metadata, dir);
        let (workspace, target) = (metadata.workspace_root.clone(), metadata.target_directory.clone());
        let members =
            metadata.packages.iter().map(|it| (it.name.clone(), it.manifest_path.clone())).collect();
        let package = choose(&manifest, metadata)?;
        ensure_target(dir)?;
        Ok(Crate { dir: dir.to_owned(), package, folders, members, workspace, target })
    }
}

impl Crate {
    /// Has cargo forget what it built of these crates of the workspace.
    fn clean(&self, names: &[&str]) -> anyhow::Result<()> {
        let mut cargo = cargo(&self.dir);
        cargo.args(["clean", "--quiet", "--release", "--target", TARGET]);
        cargo.args(names.iter().flat_map(|name| ["--package", name]));
        let output = cargo.stdin(Stdio::null()).output().context("cannot start cargo")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("cargo cannot clean {}:\n{}", self.target.display(), said.trim());
        }
        Ok(())
    }
}

impl Compiler for Crate {
    fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    fn claim(&self) -> anyhow::Result<Option<File>> {
        if self.target.starts_with(&self.workspace) {
            return Ok(None);
        }
        let crates: Vec<_> =
            self.members.iter().map(|(name, manifest)| (name.as_str(), manifest.as_path())).collect();
        shared_target::claim(&self.target, &crates, |names| self.clean(names)).map(Some)
    }

    fn build(&self, _: &Project) -> anyhow::Result<PathBuf> {
        let Crate { dir, package, .. } = self;
        let mut cargo = cargo(dir);
        cargo.args(["build", "--release", "--lib", "--target", TARGET, "--package", &package.id]);
        cargo.arg("--message-format=json-render-diagnostics");
        for setting in SETTINGS {
            cargo.args(["--config", setting]);
        }
        // Flags of the host's build, such as target-cpu, are not for the plugin's.
        cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        let mut running =
            cargo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
        let stdout = running.stdout.take().context("cargo has no stdout")?;
        let mut artifact = None;
        for line in BufReader::new(stdout).lines() {
            if let Some(found) = artifact_of(&package.id, &line?) {
                artifact = Some(found);
            }
        }
        if !running.wait()?.success() {
            bail!("{} does not compile; the compiler's messages are above", package.name);
        }
        artifact.with_context(|| format!("cargo built {} and named no .wasm file", package.name))
    }
}

/// Writes the embedded SDK into a crate that takes it from there, as `lantern new` makes them.
fn write_sdk(dir: &Path, manifest: &Path) -> anyhow::Result<()> {
    let path = format!("{}/sdk/{}", sdk::FOLDER, Language::Rust.sdk());
    let text = fs::read_to_string(manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    if text.contains(&path) {
        // Cargo waits for other builds by itself.
        drop(sdk::write(dir, Language::Rust)?);
    }
    Ok(())
}

/// The folder of a crate, and those of the crates that it uses by their path, and so on as far as the workspace
/// says.
fn folders(metadata: &Metadata, dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    let mut looked_at = 0;
    while let Some(folder) = found.get(looked_at) {
        looked_at += 1;
        let manifest = folder.join("Cargo.toml");
        let used = metadata.packages.iter().filter(|package| package.manifest_path == manifest);
        let used = used.flat_map(|package| &package.dependencies);
        let used = used.filter(|dependency| dependency.kind.as_deref() != Some("dev"));
        let new: Vec<PathBuf> = used.filter_map(|dependency| dependency.path.clone()).collect();
        for folder in new {
            if !found.contains(&folder) {
                found.push(folder);
            }
        }
    }
    found
}

/// The module that a line of cargo's output announces, if it is this package's.
fn artifact_of(package_id: &str, line: &str) -> Option<PathBuf> {
    let message: Message = serde_json::from_str(line).ok()?;
    let is_ours = message.reason == "compiler-artifact" && message.package_id == package_id;
    let mut modules =
        message.filenames.into_iter().filter(|file| file.extension().is_some_and(|it| it == "wasm"));
    modules.next().filter(|_| is_ours)
}

fn metadata(dir: &Path, manifest: &Path) -> anyhow::Result<Metadata> {
    let output = cargo(dir)
        .args(["metadata", "--no-deps", "--format-version=1", "--manifest-path"])
        .arg(manifest)
        .output()
        .context("cannot start cargo: install Rust from https://rustup.rs")?;
    if !output.status.success() {
        bail!(
            "cargo cannot read {}:\n{}",
            manifest.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    serde_json::from_slice(&output.stdout).context("cannot understand what `cargo metadata` answers")
}

/// The package of this manifest, if it can be a plugin.
fn choose(manifest: &Path, metadata: Metadata) -> anyhow::Result<Package> {
    let (mut own, others): (Vec<_>, Vec<_>) =
        metadata.packages.into_iter().partition(|package| package.manifest_path == manifest);
    match own.pop() {
        Some(package) if package.is_cdylib() => Ok(package),
        Some(package) => bail!(
            "the crate {} is not built as a module: add to {}\n\n[lib]\ncrate-type = [\"cdylib\"]\n",
            package.name,
            manifest.display()
        ),
        None => {
            let candidates: Vec<String> = others
                .iter()
                .filter(|package| package.is_cdylib())
                .filter_map(|package| package.manifest_path.parent())
                .map(|folder| folder.display().to_string())
                .collect();
            let candidates = if candidates.is_empty() {
                "none of them can be a plugin".to_owned()
            } else {
                candidates.join(", ")
            };
            bail!(
                "{} is of a workspace: name the folder of one of its crates: {candidates}",
                manifest.display()
            )
        }
    }
}

/// Adds Rust's library for WebAssembly when it is not there.
fn ensure_target(dir: &Path) -> anyhow::Result<()> {
    if has_target(dir)? {
        return Ok(());
    }
    let add = ["target", "add", TARGET];
    output::remark(&format!("Rust's target {TARGET} is not installed: running `rustup {}`", add.join(" ")));
    let added = Command::new("rustup").args(add).current_dir(dir).stdin(Stdio::null()).output();
    let reason = match added {
        Ok(added) if added.status.success() && has_target(dir)? => return Ok(()),
        Ok(added) => format!("rustup says:\n{}", String::from_utf8_lossy(&added.stderr).trim()),
        Err(error) => format!("rustup cannot be started: {error}"),
    };
    bail!(
        "plugins need Rust's target {TARGET}, and it could not be added. {reason}\nInstall it with \
         `rustup target add {TARGET}` (https://rustup.rs), or with your distribution's packages (on Debian \
         libstd-rust-dev-wasm32)"
    )
}

fn has_target(dir: &Path) -> anyhow::Result<bool> {
    let output = Command::new(tool("RUSTC", "rustc"))
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(dir)
        .output()
        .context("cannot start rustc: install Rust from https://rustup.rs")?;
    if !output.status.success() {
        bail!("rustc does not know {TARGET}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

/// Cargo, in the crate's folder, since a crate may ask for a toolchain of its own there.
fn cargo(dir: &Path) -> Command {
    let mut command = Command::new(tool("CARGO", "cargo"));
    command.current_dir(dir);
    command
}

/// A tool as the environment names it (cargo does, for what it runs), or as it is called.
fn tool(variable: &str, name: &str) -> OsString {
    std::env::var_os(variable).unwrap_or_else(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    // A dependency may be a module too, and may be built after the plugin.
    #[test]
    fn the_artifact_is_the_one_of_the_package() {
        let check = |line: &str, expected: Option<&str>| {
            assert_eq!(artifact_of("path+file:///shop#1.0.0", line), expected.map(PathBuf::from), "{line}");
        };
        let artifact = |package: &str, file: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"{package}","target":{{}},"filenames":["a/{file}"]}}"#
            )
        };
        check(&artifact("path+file:///shop#1.0.0", "shop.wasm"), Some("a/shop.wasm"));
        check(&artifact("path+file:///shop#1.0.0", "libshop.rlib"), None);
        check(&artifact("path+file:///other#1.0.0", "other.wasm"), None);
        check(r#"{"reason":"build-finished","success":true}"#, None);
        check("text that a build script printed", None);
    }

    fn packages(crate_type: &str) -> Metadata {
        let targets = vec![Target { crate_types: vec!["rlib".into(), crate_type.into()] }];
        let manifest_path = PathBuf::from("/shop/orders/Cargo.toml");
        Metadata {
            packages: vec![Package {
                id: "id".into(),
                name: "orders".into(),
                manifest_path,
                targets,
                dependencies: Vec::new(),
            }],
            workspace_root: PathBuf::from("/shop"),
            target_directory: PathBuf::from("/shop/target"),
        }
    }

    #[test]
    fn a_crate_that_cannot_be_a_plugin_is_refused_with_what_to_do() {
        let check = |manifest: &str, crate_type: &str, part: &str| {
            let error =
                choose(Path::new(manifest), packages(crate_type)).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        check("/shop/orders/Cargo.toml", "rlib", "crate-type = [\"cdylib\"]");
        check("/shop/Cargo.toml", "cdylib", "name the folder of one of its crates: /shop/orders");
        check("/shop/Cargo.toml", "rlib", "none of them can be a plugin");
        choose(Path::new("/shop/orders/Cargo.toml"), packages("cdylib")).map(|_| ()).unwrap();
    }

    // What is saved in any of these makes another plugin.
    #[test]
    fn the_source_of_a_plugin_is_its_crate_and_the_local_crates_that_it_uses() {
        let package = |name: &str, uses: &[(&str, Option<&str>)]| Package {
            id: name.into(),
            name: name.into(),
            manifest_path: format!("/shop/{name}/Cargo.toml").into(),
            targets: Vec::new(),
            dependencies: uses
                .iter()
                .map(|(path, kind)| Dependency {
                    path: (!path.is_empty()).then(|| path.into()),
                    kind: kind.map(str::to_owned),
                })
                .collect(),
        };
        let metadata = Metadata {
            packages: vec![
                package("orders", &[("/shop/money", None), ("", None), ("/shop/tests", Some("dev"))]),
                package("money", &[("/sdk", None), ("/shop/orders", Some("build")), ("/shop/money", None)]),
                package("other", &[("/shop/orders", None)]),
            ],
            workspace_root: PathBuf::from("/shop"),
            target_directory: PathBuf::from("/shop/target"),
        };
        let found = folders(&metadata, Path::new("/shop/orders"));
        assert_eq!(found, ["/shop/orders", "/shop/money", "/sdk"].map(PathBuf::from));
    }
}
