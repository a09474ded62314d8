//! The plugins that are tested, built from `tests/guests` by `lantern build`.
//!
//! A guest's name and topics are compiled into it, while tests that share a broker need topics of
//! their own. So the guests keep both in one literal of a fixed length behind [`MARKER`], and the
//! tests write other ones over it in the built file.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::site::{self, transcript};
use crate::target;

/// Stands before the words in the guest's literal: the name, then its topics.
const MARKER: &[u8] = b"lantern-tests-guest:";
/// The room for the words, with spaces after them.
const WORDS_BYTES: usize = 200;

/// A built plugin.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// The name in its manifest, which is its read model's.
    pub name: String,
    /// The file's content.
    pub wasm: Vec<u8>,
}

impl Plugin {
    /// The SHA-256 of the file in hex, by which the host knows it.
    #[must_use]
    pub fn digest(&self) -> String {
        Sha256::digest(&self.wasm).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Builds one of `tests/guests` once per test process, and gives it a name and topics.
///
/// # Errors
///
/// Where it cannot be built.
pub fn plugin(guest: &str, name: &str, topics: &[&str]) -> Result<Plugin> {
    let mut wasm = built(&target::tests_dir().join("guests").join(guest), guest)?.to_vec();
    let found: Vec<usize> = (0..wasm.len()).filter(|&at| wasm[at..].starts_with(MARKER)).collect();
    ensure!(found.len() == 1, "{guest} has its marker {} times", found.len());
    let words = format!("{name} {}", topics.join(" "));
    ensure!(words.len() <= WORDS_BYTES, "{words:?} is longer than {WORDS_BYTES} bytes");
    let start = found[0] + MARKER.len();
    let room = wasm.get_mut(start..start + WORDS_BYTES).context("the literal is cut short")?;
    ensure!(
        room.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b' '),
        "{guest} has less room for its words than {WORDS_BYTES} bytes"
    );
    room.fill(b' ');
    room[..words.len()].copy_from_slice(words.as_bytes());
    Ok(Plugin { name: name.to_owned(), wasm })
}

/// Builds one of the plugins under `examples`, as it is.
///
/// # Errors
///
/// Where it cannot be built.
pub fn example(folder: &str) -> Result<Plugin> {
    let name = folder.replace('/', "-");
    let root = target::tests_dir().parent().context("the tests lie in the workspace")?;
    let wasm = built(&root.join("examples").join(folder), &name)?.to_vec();
    Ok(Plugin { name, wasm })
}

/// A topic's name that no other test uses.
#[must_use]
pub fn unique_topic(label: &str) -> String {
    format!("{label}-{:08x}", rand::random::<u32>())
}

fn built(source: &Path, guest: &str) -> Result<Arc<[u8]>> {
    static BUILT: Mutex<Option<HashMap<String, Arc<[u8]>>>> = Mutex::new(None);
    // A build that panicked has inserted nothing.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_default();
    if let Some(wasm) = built.get(guest) {
        return Ok(wasm.clone());
    }
    let _lock = target::lock("guests")?;
    let out = target::cache_dir()?.join(format!("{guest}.wasm"));
    let output = std::process::Command::new(site::binary()?)
        .arg("build")
        .arg(source)
        .arg("--out")
        .arg(&out)
        .current_dir(target::cache_dir()?)
        .output()?;
    ensure!(output.status.success(), "cannot build {guest}: {}", transcript(&output));
    let wasm: Arc<[u8]> = fs::read(&out)?.into();
    built.insert(guest.to_owned(), wasm.clone());
    Ok(wasm)
}

/// Assembles one of the `tests/guests/*.wat`, which no SDK would make, with a manifest put where
/// it says `MANIFEST`.
///
/// # Errors
///
/// Where it is not WebAssembly text.
pub fn assembled(guest: &str, manifest: &Value) -> Result<Plugin> {
    let path = target::tests_dir().join(format!("guests/{guest}.wat"));
    let source = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let manifest_text = manifest.to_string();
    let source = source
        .replace("MANIFEST_BYTES", &manifest_text.len().to_string())
        .replace("MANIFEST", &manifest_text.escape_default().to_string());
    let wasm = wat::parse_str(&source).with_context(|| path.display().to_string())?;
    let name = manifest["name"].as_str().unwrap_or(guest).to_owned();
    Ok(Plugin { name, wasm })
}

/// The names of everything under `tests/guests`.
///
/// # Errors
///
/// Where the folder cannot be read.
pub fn all() -> Result<BTreeSet<String>> {
    let folder = fs::read_dir(target::tests_dir().join("guests"))?;
    folder
        .map(|entry| {
            let name = entry?.file_name();
            let name = name.to_str().context("a guest's name is not UTF-8")?;
            Ok(name.trim_end_matches(".wat").to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{all, assembled};
    use crate::target;

    // A guest that does not assemble would be refused for another reason than the one it is for.
    #[test]
    fn every_guest_in_text_assembles() {
        let texts = all()
            .unwrap()
            .into_iter()
            .filter(|guest| target::tests_dir().join(format!("guests/{guest}.wat")).exists());
        for guest in texts {
            assembled(&guest, &serde_json::json!({ "name": guest, "topics": ["t"] })).unwrap();
        }
    }
}
