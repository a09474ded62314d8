//! A plugin as an artifact: bytes, digest, component, manifest.

mod digest;

#[cfg(test)]
mod tests;

pub use crate::wasm::Kind;
pub use digest::Digest;

use crate::wasm::{self, CallError, Component, Engine, Handler, Instance, Limits, NoDatabase, Upcaster};
use lantern_contract::manifest::{self, Manifest};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::thread;

/// The largest file that is taken for a plugin. Python with its interpreter is about 20 MB.
pub const FILE_BYTES_MAX: u64 = 256 << 20;

/// A plugin that has been compiled and has described itself.
#[derive(Clone)]
pub struct Plugin {
    /// Its name, from the manifest: names its read model, or the type of its aggregates.
    pub name: String,
    /// What it is, by what it exports.
    pub kind: Kind,
    /// Tells one artifact from another, whatever the file's name.
    pub digest: Digest,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its code.
    pub component: Component,
    /// Where it came from, for messages: a path, or who sent it.
    pub origin: String,
}

/// Why a file is not a plugin. Every message names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("{}: the plugin cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is larger than any plugin.
    #[error("{}: the file has more than {FILE_BYTES_MAX} bytes, the most that a plugin may have; strip its debug information", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A kept plugin is not the one that its name says.
    #[error(
        "{}: this is not the plugin that was kept here: its digest is {found}. Put that plugin's file there again, or \
         deploy it anew", path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// The digest of what is there.
        found: Digest,
    },
    /// It is not WebAssembly of the contract's form.
    #[error("{origin}: this is not a plugin: {source}")]
    Load {
        /// Where the bytes came from.
        origin: String,
        /// What is wrong with them.
        source: wasm::Error,
    },
    /// There is no thread for it to describe itself on.
    #[error("{origin}: the system has no thread for the plugin: {source}")]
    Thread {
        /// Where the bytes came from.
        origin: String,
        /// What the system says.
        source: io::Error,
    },
    /// It did not describe itself.
    #[error(
        "{origin}: the plugin does not describe itself: {source}; `describe` has to answer a manifest without using anything"
    )]
    Describe {
        /// Where the bytes came from.
        origin: String,
        /// How the call ended.
        source: CallError,
    },
    /// Its description cannot be used.
    #[error("{origin}: {source}; correct what the plugin's `describe` answers")]
    Manifest {
        /// Where the bytes came from.
        origin: String,
        /// What is wrong with it.
        source: manifest::Error,
    },
}

impl Plugin {
    /// Makes a plugin of an artifact's bytes: digest, compile, check the exports, describe. `origin` says in
    /// messages where they came from.
    ///
    /// # Errors
    /// When one of these steps fails.
    pub fn load(engine: &Engine, bytes: &[u8], origin: &str, limits: &Limits) -> Result<Self, Error> {
        let origin = origin.to_owned();
        let not_a_plugin = |source| Error::Load { origin: origin.clone(), source };
        let component = engine.compile(bytes).map_err(not_a_plugin)?;
        let kind = component.kind();
        let description = on_thread(limits, || {
            let described = match kind {
                Kind::Projection => {
                    let imports = NoDatabase::new(&origin);
                    Instance::new(engine, &component, imports, limits).map_err(not_a_plugin)?.describe()
                }
                Kind::Commands => {
                    Handler::new(engine, &component, &origin, limits).map_err(not_a_plugin)?.describe()
                }
                Kind::Upcaster => {
                    Upcaster::new(engine, &component, &origin, limits).map_err(not_a_plugin)?.describe()
                }
            };
            described.map_err(|source| Error::Describe { origin: origin.clone(), source })
        })
        .map_err(|source| Error::Thread { origin: origin.clone(), source })??;
        let manifest = manifest_of(kind, &description)
            .map_err(|source| Error::Manifest { origin: origin.clone(), source })?;
        Ok(Self { name: manifest.name.clone(), kind, digest: Digest::of(bytes), manifest, component, origin })
    }
}

fn manifest_of(kind: Kind, description: &str) -> Result<Manifest, manifest::Error> {
    let manifest = Manifest::parse(description)?;
    match kind {
        Kind::Projection => {}
        Kind::Commands => manifest.check_handler()?,
        Kind::Upcaster => manifest.check_upcaster()?,
    }
    Ok(manifest)
}

/// Runs `work` on a thread whose stack is large enough for a plugin, which the caller's may not be: a stack
/// that overflows in the host's part ends the process.
fn on_thread<T: Send>(limits: &Limits, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(limits.thread_stack_bytes());
        let running = builder.spawn_scoped(scope, work)?;
        Ok(running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Reads a plugin that is kept in a folder by its digest.
///
/// # Errors
/// As [`read`], and when what is there is another plugin, or a damaged one.
pub fn read_kept(folder: &Path, digest: &str) -> Result<Vec<u8>, Error> {
    let path = folder.join(format!("{digest}.wasm"));
    let bytes = read(&path)?;
    let found = Digest::of(&bytes);
    if found.to_string() == digest { Ok(bytes) } else { Err(Error::Changed { path, found }) }
}

/// Reads a plugin's file, whole.
///
/// # Errors
/// When it cannot be read, or is too large to be one.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    // One more byte than fits tells a file that is too large, also one that grows while it is read.
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Error::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}
