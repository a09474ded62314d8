//! `lantern build`

mod assemblyscript;
mod c;
mod go;
mod javascript;
mod npm;
mod python;
mod rust;
mod shared_target;
mod toolchain;
mod tools;
mod zig;

#[cfg(test)]
mod tests;

use super::language::Language;
use super::{Context, output, sdk};
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::data_dir::user_cache;
use crate::plugin::{self, Digest, Kind, Plugin};
use crate::wasm::{self, Engine};
use anyhow::Context as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A larger plugin takes seconds to compile for the engine: its compiled code is kept.
const CACHED_BYTES_MIN: usize = 1 << 20;
/// What a command handler is called.
const COMMANDS: &str = "commands";

/// Build a plugin from its source.
///
/// Compiles Rust, Go, Python, JavaScript, TypeScript, C, Zig or AssemblyScript to WebAssembly, checks what comes out as the host would, and
/// puts it into the plugins folder. The folder's files show the language. The language itself has to be installed; compilers to
/// WebAssembly that come from PyPI or npm are fetched once, into the user's cache.
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
    /// What it is: `projection`, `commands` or `upcaster`.
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

/// What compiles the source of one language.
trait Compiler: Send + Sync {
    /// The folders whose files make the plugin what it is, beside the project's own.
    fn folders(&self) -> &[PathBuf] {
        &[]
    }

    /// Makes the folder that is compiled in this project's alone for as long as what is returned is held, where projects share it.
    fn claim(&self) -> anyhow::Result<Option<File>> {
        Ok(None)
    }

    /// Compiles it to a core module or a component, and answers where that is. What the compiler says goes to stderr.
    fn build(&self, project: &Project) -> anyhow::Result<PathBuf>;
}

/// The folder of a plugin's source, ready to be compiled.
struct Project {
    /// The folder itself.
    dir: PathBuf,
    /// Where the language's SDK has been written.
    sdk: PathBuf,
    /// Where the contract has been written.
    wit: PathBuf,
    /// What compilers write goes here.
    out: PathBuf,
}

/// The source of a plugin.
pub(super) struct Source {
    dir: PathBuf,
    language: Language,
    compiler: Box<dyn Compiler>,
    folders: Vec<PathBuf>,
}

impl Source {
    /// Looks at the source in `dir`, and fetches what builds it.
    ///
    /// # Errors
    /// When it is nothing that can be built, or the tools to build it are missing.
    pub(super) fn open(dir: &Path) -> anyhow::Result<Source> {
        let language = Language::of(dir)?;
        // Compilers run in it, and messages of cargo are compared by path.
        let dir = dir.canonicalize().with_context(|| format!("cannot open {}", dir.display()))?;
        let compiler: Box<dyn Compiler> = match language {
            Language::Rust => Box::new(rust::Crate::open(&dir)?),
            Language::Go => Box::new(go::Go::open()?),
            Language::Python => Box::new(python::Python::open()?),
            Language::Javascript | Language::Typescript => Box::new(javascript::JavaScript::open()?),
            Language::C => Box::new(c::C::open()?),
            Language::Zig => Box::new(zig::Zig::open()?),
            Language::Assemblyscript => Box::new(assemblyscript::AssemblyScript::open()?),
        };
        let mut folders = vec![dir.clone()];
        folders.extend(compiler.folders().iter().filter(|folder| **folder != dir).cloned());
        Ok(Source { dir, language, compiler, folders })
    }

    /// The folders whose files make it what it is.
    pub(super) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Compiles it to a component; answers it, and the file that the compiler wrote. What the compiler says goes to stderr.
    ///
    /// # Errors
    /// When it does not compile, or is not a plugin then.
    pub(super) fn compile(&self) -> anyhow::Result<(Vec<u8>, PathBuf)> {
        let _until_read = self.compiler.claim()?;
        let artifact = match self.language {
            // Cargo has a folder of its own, and its crates may take their SDK from elsewhere.
            Language::Rust => self.compiler.build(&Project::at(&self.dir, PathBuf::new()))?,
            language => {
                let written = sdk::write(&self.dir, language)?;
                let project = Project::at(&self.dir, written.sdk.clone());
                fs::create_dir_all(&project.out)
                    .with_context(|| format!("cannot write to {}", project.out.display()))?;
                self.compiler.build(&project)?
            }
        };
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

impl Project {
    fn at(dir: &Path, sdk: PathBuf) -> Project {
        let lantern = dir.join(sdk::FOLDER);
        Project { dir: dir.to_owned(), sdk, wit: lantern.join("wit"), out: lantern.join("build") }
    }
}

fn build_into(dir: &Path, out: Option<&Path>, config: &Config) -> anyhow::Result<Built> {
    let (component, artifact) = Source::open(dir)?.compile()?;
    let origin = artifact.display().to_string();
    // What takes seconds to compile is compiled once, for this and for the host that runs on the data folder.
    let data = DataDir::new(&config.data_dir);
    let cache = if data.root().is_dir() { Some(data.cache()) } else { user_cache::compiled() };
    let cache = cache.filter(|_| component.len() >= CACHED_BYTES_MIN);
    let engine = Engine::with_limits(cache, &config.limits)?;
    let plugin = Plugin::load(&engine, &component, &origin, &config.limits)?;
    let path = match out {
        Some(out) => out.to_owned(),
        None => config.plugins_dir.join(&plugin.name).with_extension("wasm"),
    };
    sdk::write_whole(&path, &component)
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
