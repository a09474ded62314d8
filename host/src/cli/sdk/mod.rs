//! The SDKs and templates that the binary carries, so that a project's SDK always fits the host and needs no registry.

#[cfg(test)]
mod listing;
mod rust;
#[cfg(test)]
mod tests;

use super::language::Language;
use anyhow::Context as _;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The files of `plugin-sdk`, by their paths from there, in order.
static EMBEDDED: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// What Lantern writes into a project: never committed, and made anew when it is not there.
pub const FOLDER: &str = ".lantern";
/// The list of what was written, so that a file which an SDK no longer has is taken away.
const WRITTEN: &str = ".written";
/// Cut off the name of a template's file: under its own name, tools would take it for one of this repository's.
const TEMPLATE_SUFFIX: &str = ".tmpl";

/// Files by their paths with `/`.
type Files = BTreeMap<String, Cow<'static, [u8]>>;

/// What [`write`] has made.
pub struct Written {
    /// The folder of the language's SDK.
    pub sdk: PathBuf,
    /// Held while the project is built, since two builds would write the same files.
    _lock: File,
}

/// Writes the language's SDK and the contract into a project, where they differ from what is there. While it is
/// held, other builds of the project wait.
///
/// # Errors
/// When the project's folder cannot be written.
pub fn write(project: &Path, language: Language) -> anyhow::Result<Written> {
    let folder = project.join(FOLDER);
    let doing = || format!("cannot write the SDK to {}", folder.display());
    fs::create_dir_all(&folder).with_context(doing)?;
    let lock = File::create(folder.join("lock")).with_context(doing)?;
    lock.lock().with_context(doing)?;
    let sdk = folder.join("sdk").join(language.sdk());
    update(&sdk, &sdk_files(language)?).with_context(doing)?;
    update(&folder.join("wit"), &below("wit/").filter(|(path, _)| path.ends_with(".wit")).collect())
        .with_context(doing)?;
    Ok(Written { sdk, _lock: lock })
}

/// The files of a new project in a language, of a kind; none if there is no such template.
pub fn template(language: Language, kind: &str) -> impl Iterator<Item = (String, &'static [u8])> {
    let folder = match language {
        Language::Rust => format!("template/{kind}/"),
        Language::Typescript => format!("javascript/template-typescript/{kind}/"),
        _ => format!("{}/template/{kind}/", language.sdk()),
    };
    EMBEDDED.iter().filter_map(move |(path, bytes)| {
        let path = path.strip_prefix(&folder)?;
        Some((path.strip_suffix(TEMPLATE_SUFFIX).unwrap_or(path).to_owned(), *bytes))
    })
}

/// The files of a language's SDK.
fn sdk_files(language: Language) -> anyhow::Result<Files> {
    if language == Language::Rust {
        return rust::files();
    }
    let folder = format!("{}/", language.sdk());
    Ok(below(&folder).filter(|(path, _)| !path.starts_with("template") && !path.starts_with('.')).collect())
}

/// The embedded files of a folder, by their paths from there.
fn below(folder: &str) -> impl Iterator<Item = (String, Cow<'static, [u8]>)> {
    EMBEDDED
        .iter()
        .filter_map(move |(path, bytes)| Some((path.strip_prefix(folder)?.to_owned(), Cow::Borrowed(*bytes))))
}

/// Makes a folder hold these files. Those that are right already are left alone, since compilers go by the time
/// of a change; so is what others have written there.
fn update(folder: &Path, files: &Files) -> std::io::Result<()> {
    let list = folder.join(WRITTEN);
    let before = fs::read_to_string(&list).unwrap_or_default();
    for gone in before.lines().filter(|path| !files.contains_key(*path)) {
        match fs::remove_file(folder.join(gone)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    for (path, bytes) in files {
        write_if_new(&folder.join(path), bytes)?;
    }
    let now: String = files.keys().map(|path| format!("{path}\n")).collect();
    write_if_new(&list, now.as_bytes())
}

fn write_if_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    match fs::read(path) {
        Ok(there) if there == bytes => Ok(()),
        _ => write_whole(path, bytes),
    }
}

/// Replaces a file in one step, so that whoever reads it sees the old one or the new one.
pub fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
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
