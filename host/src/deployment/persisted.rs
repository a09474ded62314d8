//! What other processes can read of a projection or a rebuild: a small file, replaced whole.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;

/// The least time between two versions of the file.
const EVERY: Duration = Duration::from_millis(200);

/// Writes every change of a status to a file, until nobody changes it any more. One that is the last is
/// written at once.
pub async fn follow<S: Serialize + Clone>(
    mut status: watch::Receiver<S>,
    path: PathBuf,
    is_last: impl Fn(&S) -> bool,
) {
    loop {
        let now = status.borrow_and_update().clone();
        if let Err(error) = write(&path, &now) {
            // The projection itself says what is wrong with the disk.
            tracing::debug!(path = %path.display(), %error, "status not written");
        }
        if status.changed().await.is_err() {
            return;
        }
        let is_last = is_last(&status.borrow());
        if !is_last {
            tokio::time::sleep(EVERY).await;
        }
    }
}

fn write(path: &Path, status: &impl Serialize) -> std::io::Result<()> {
    let bytes = serde_json::to_vec_pretty(status)?;
    match replace(path, &bytes) {
        // A full disk has no room beside the file, and its status is what people look at now.
        Err(error) if error.kind() == ErrorKind::StorageFull => overwrite(path, bytes),
        other => other,
    }
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Writes over what is there, which needs no room. Spaces cover the rest of a longer text.
fn overwrite(path: &Path, mut bytes: Vec<u8>) -> std::io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    let there = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    bytes.resize(bytes.len().max(there), b' ');
    file.write_all(&bytes)
}

/// What was written last, if anything was.
pub fn read<S: DeserializeOwned>(path: &Path) -> Option<S> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
