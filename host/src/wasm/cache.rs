//! Compiled code, kept between starts.
//!
//! What is loaded from here runs in this process, so it must be what this engine wrote. Hence the folder
//! is this user's alone; a file is named by a digest of the plugin, of everything that its compilation depends
//! on, and of this release; and the digest of its content stands in a file beside it and is checked, so that a
//! damaged file is compiled anew. The content is read and then used from memory, not mapped: a mapped
//! file that somebody truncates would end the process, and mapping was not faster.
//!
//! The cache never stands in the way: what cannot be read is compiled, what cannot be written is said in the log.

#![allow(unsafe_code, reason = "to load compiled code is unsafe; see `Cache::load`")]

use super::error::Error;
use sha2::{Digest as _, Sha256};
use std::fs::{self, DirBuilder, Permissions};
use std::hash::{Hash, Hasher};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use wasmtime::component::Component;

/// Compiled plugins that are kept; the ones not used for longest are removed.
const ENTRIES_MAX: usize = 512;
const CODE: &str = "cwasm";
const DIGEST: &str = "sha256";

pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Opens a folder, makes it when it is not there, and sees to it that only this user can write to it.
    pub(super) fn open(folder: PathBuf) -> Result<Self, Error> {
        match prepare(&folder) {
            Ok(()) => Ok(Self { folder }),
            Err(error) => Err(Error::Cache { path: folder, reason: error.to_string() }),
        }
    }

    /// The compiled code, if it is there, whole, and of this engine.
    pub(super) fn load(&self, engine: &wasmtime::Engine, key: &str) -> Option<Component> {
        let path = self.path(key, CODE);
        let code = fs::read(&path).ok()?;
        let digest = fs::read_to_string(self.path(key, DIGEST)).unwrap_or_default();
        if digest != hex(&Sha256::digest(&code)) {
            tracing::warn!(path = %path.display(), "compiled code is damaged and is compiled anew");
            return None;
        }
        // SAFETY: the bytes must come from `Component::serialize`. They were written by `store` below: the
        // folder belongs to this user alone (`prepare`), nothing else writes there, and the digest shows that
        // they are as they were written. Whether this engine can run them, wasmtime checks from their header.
        let component = unsafe { Component::deserialize(engine, &code) };
        match component {
            Ok(component) => {
                touch(&path);
                Some(component)
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), error = format!("{error:#}"), "compiled code is compiled anew");
                None
            }
        }
    }

    /// Keeps compiled code, if that works.
    pub(super) fn store(&self, key: &str, component: &Component) {
        let result = component.serialize().map_err(io::Error::other).and_then(|code| {
            // A crash, or another process, in between leaves a digest that does not fit: compiled anew.
            self.write(key, DIGEST, hex(&Sha256::digest(&code)).as_bytes())?;
            self.write(key, CODE, &code)?;
            self.evict()
        });
        if let Err(error) = result {
            tracing::warn!(folder = %self.folder.display(), %error, "compiled code is not kept");
        }
    }

    fn write(&self, key: &str, kind: &str, content: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(content)?;
        file.persist(self.path(key, kind))?;
        Ok(())
    }

    fn path(&self, key: &str, kind: &str) -> PathBuf {
        self.folder.join(key).with_extension(kind)
    }

    fn evict(&self) -> io::Result<()> {
        let mut entries: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|kind| kind != CODE) {
                continue;
            }
            // Somebody else may be evicting too.
            if let Ok(metadata) = fs::metadata(&path) {
                entries.push((metadata.modified()?, path));
            }
        }
        entries.sort();
        let surplus = entries.len().saturating_sub(ENTRIES_MAX);
        for (_, path) in entries.drain(..surplus) {
            for file in [path.with_extension(DIGEST), path] {
                match fs::remove_file(&file) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// The name under which a plugin's compiled code is kept.
pub(super) fn key(engine: &wasmtime::Engine, input: &[u8]) -> String {
    let mut hasher = DigestHasher(Sha256::new());
    // The release and the contract decide how a core module is wrapped.
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    lantern_contract::WIT.hash(&mut hasher);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    input.hash(&mut hasher);
    hex(&hasher.0.finalize())
}

fn prepare(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let metadata = fs::metadata(folder)?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
    }
    if metadata.mode() & 0o077 != 0 {
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Marks a file as used, for `evict`. Its age is a hint, so that it fails does not matter.
fn touch(path: &Path) {
    let _ = fs::File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Gives what can be hashed to SHA-256, whose results are the same in every process and release of Rust.
struct DigestHasher(Sha256);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Never asked: the digest itself is taken.
    fn finish(&self) -> u64 {
        0
    }
}
