//! `lantern build`

mod cargo;

#[cfg(test)]
mod tests;

use super::{Context, output};
use crate::config::Config;
use crate::plugin::{self, Digest, Kind, Plugin};
use crate::wasm::{self, Engine};
use anyhow::{Context as _, bail};
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Files that show what language a plugin is written in, for those that `lantern build` cannot build.
const OTHER_LANGUAGES: [(&str, &str); 6] = [
    ("go.mod", "Go"),
    ("package.json", "JavaScript"),
    ("pyproject.toml", "Python"),
    ("requirements.txt", "Python"),
    ("build.zig", "Zig"),
    ("asconfig.json", "AssemblyScript"),
];

/// What a command handler is called.
const COMMANDS: &str = "commands";

/// Build a plugin from its source.
///
/// Compiles a Rust crate to WebAssembly, checks that it is a projection or a command handler, and puts it into the plugins folder.
/// Adds Rust's WebAssembly target when it is missing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  lantern build examples/orders\n  lantern build . --out orders.wasm")]
pub struct Build {
    /// The folder of the plugin's source.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Write the plugin here [default: <name>.wasm in the plugins folder].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print JSON: {"name": ..., "kind": ..., "version": ..., "path": ..., "bytes": ..., "digest": ..., "topics": [...]}.
    #[arg(long)]
    json: bool,
}

/// A plugin that has been built.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Built {
    /// Its name, from its manifest.
    pub name: String,
    /// What it is: `projection` or `commands`.
    pub kind: &'static str,
    /// Its version, from its manifest.
    pub version: String,
    /// Where it was written.
    pub path: PathBuf,
    /// The file's size.
    pub bytes: u64,
    /// The file's digest.
    pub digest: Digest,
    /// The topics that it reads, or the one that a command handler appends to.
    pub topics: Vec<String>,
}

impl Build {
    /// Builds, and says what was built.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let built = build_into(&self.dir, self.out.as_deref(), &context.config)?;
        if self.json {
            output::json(&built)?;
        } else {
            output::line(&built.to_string())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl std::fmt::Display for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut title = self.name.clone();
        if !self.version.is_empty() {
            title = format!("{title} {}", self.version);
        }
        let kilobytes = self.bytes.div_ceil(1_000);
        let does = if self.kind == COMMANDS { "decides commands and appends to" } else { "reads" };
        writeln!(f, "built {title}, which {does} {}: {kilobytes} KB", self.topics.join(", "))?;
        writeln!(f, "  file    {}", self.path.display())?;
        write!(f, "  sha256  {}", self.digest)
    }
}

/// Builds the plugin whose source is in `dir`, checks it, and writes it to `out`, whole or not at all. What
/// the compiler says goes to stderr.
///
/// # Errors
/// When it is not a crate that can be a plugin, does not compile, or is not a plugin then.
pub fn build(dir: &Path, out: &Path, config: &Config) -> anyhow::Result<Built> {
    build_into(dir, Some(out), config)
}

/// The source of a plugin.
pub(super) struct Source(cargo::Crate);

impl Source {
    /// Looks at the source in `dir`.
    ///
    /// # Errors
    /// When it is not a crate that can be a plugin, or the tools to build it are missing.
    pub(super) fn open(dir: &Path) -> anyhow::Result<Source> {
        recognise(dir)?;
        Ok(Source(cargo::Crate::open(dir)?))
    }

    /// The folders whose files make it what it is.
    pub(super) fn folders(&self) -> &[PathBuf] {
        &self.0.folders
    }

    /// Compiles it to a component; answers it, and the file that the compiler wrote. What the compiler says goes to stderr.
    ///
    /// # Errors
    /// When it does not compile, or is not a plugin then.
    pub(super) fn compile(&self) -> anyhow::Result<(Vec<u8>, PathBuf)> {
        let artifact = self.0.build()?;
        let module = plugin::read(&artifact)?;
        // A component, so that tools of the component model can look at it too.
        let component = wasm::to_component(&module).with_context(|| {
            format!(
                "{} compiled, and is not a plugin; is the projection or the aggregate registered?",
                artifact.display()
            )
        })?;
        Ok((component.into_owned(), artifact))
    }
}

fn build_into(dir: &Path, out: Option<&Path>, config: &Config) -> anyhow::Result<Built> {
    let (component, artifact) = Source::open(dir)?.compile()?;
    let origin = artifact.display().to_string();
    let engine = Engine::with_limits(None, &config.limits)?;
    let plugin = Plugin::load(&engine, &component, &origin, &config.limits)?;
    let path = match out {
        Some(out) => out.to_owned(),
        None => config.plugins_dir.join(&plugin.name).with_extension("wasm"),
    };
    write_whole(&path, &component)
        .with_context(|| format!("cannot write the plugin to {}", path.display()))?;
    Ok(Built {
        name: plugin.name,
        kind: match plugin.kind {
            Kind::Projection => "projection",
            Kind::Commands => COMMANDS,
            Kind::Upcaster => "upcaster",
        },
        version: plugin.manifest.version,
        path,
        bytes: component.len() as u64,
        digest: plugin.digest,
        topics: plugin.manifest.topics,
    })
}

/// Sees whether a folder holds what can be built here.
fn recognise(dir: &Path) -> anyhow::Result<()> {
    if dir.join("Cargo.toml").is_file() {
        return Ok(());
    }
    if !dir.is_dir() {
        bail!("{} is not a folder: name the folder of a plugin's source", dir.display());
    }
    if let Some((_, language)) = OTHER_LANGUAGES.iter().find(|(file, _)| dir.join(file).exists()) {
        bail!(
            "{} looks like {language}, and `lantern build` builds Rust so far: build it with its own tools and run \
             the .wasm file with `lantern run FILE`",
            dir.display()
        );
    }
    bail!("{} has no Cargo.toml: name the folder of a plugin's source", dir.display())
}

/// Replaces a file in one step, so that whoever watches the folder sees the old plugin or the new one.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".lantern-build-")
        // Readable as any file that a compiler writes; the umask takes away what it takes away.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
