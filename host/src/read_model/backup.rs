//! A copy of a read model that is in use: one file with its checkpoint and the plugins that wrote it.

use super::durability::sync_folder;
use super::hash::quoted;
use super::relocate::LOG;
use super::{Checkpoints, Error, Snapshot, blueprint, durability};
use rusqlite::{Connection, OptionalExtension};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Lantern's own table of the plugins in a backup.
const ARTIFACTS: &str = "_lantern_artifacts";
/// Pages that are copied between two reports of progress: 4 MiB.
const STEP_PAGES: i32 = 1024;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The name of the plugin whose read model it is.
    pub plugin: String,
    /// The digest of the plugin that wrote last.
    pub digest: String,
    /// The next offsets to apply.
    pub checkpoints: Checkpoints,
    /// The digests of the plugins that are in it.
    pub artifacts: Vec<String>,
    /// The log that its offsets are of, where that was moved: see [`super::relocate`].
    pub log: Option<String>,
}

/// Copies a read model as it is now to `target`, which is there whole or not at all. `artifact` gives the bytes of
/// a plugin that wrote it, if they are there; `log` names the log that its offsets are of, where that was moved; `progress` is told
/// how many pages of how many are copied.
///
/// # Errors
/// When `target` exists and is not to be replaced, or reading or writing fails.
pub fn write(
    source: &Path,
    target: &Path,
    replace: bool,
    log: Option<&str>,
    artifact: &mut dyn FnMut(&str) -> io::Result<Option<Vec<u8>>>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Contents, Error> {
    let file = |source| Error::File { path: target.into(), source };
    if !replace && target.symlink_metadata().is_ok() {
        return Err(file(io::Error::new(io::ErrorKind::AlreadyExists, "it exists already")));
    }
    let snapshot = Snapshot::of(source)?;
    if durability::is_relaxed(snapshot.connection(), source)? {
        return Err(Error::Query(format!("{} is still being built: back it up later", source.display())));
    }
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    let scratch = tempfile::Builder::new()
        .prefix(".lantern-backup-")
        .tempdir_in(folder.unwrap_or(Path::new(".")))
        .map_err(file)?;
    let unfinished = scratch.path().join("backup.db");
    let mut artifacts = Vec::new();
    {
        let storage = |source| Error::Storage { path: target.into(), source };
        let mut copy = Connection::open(&unfinished).map_err(storage)?;
        copy.execute_batch("PRAGMA synchronous = OFF").map_err(storage)?;
        copy_pages(&snapshot, &mut copy, progress).map_err(storage)?;
        copy.execute_batch(&format!(
            "PRAGMA journal_mode = DELETE;
             CREATE TABLE {ARTIFACTS} (digest TEXT PRIMARY KEY, wasm BLOB NOT NULL) WITHOUT ROWID"
        ))
        .map_err(storage)?;
        if let Some(log) = log {
            // One that was begun after the move says nothing of it.
            copy.execute("INSERT OR REPLACE INTO _lantern_meta (key, value) VALUES (?1, ?2)", (LOG, log))
                .map_err(storage)?;
        }
        for digest in snapshot.digests()? {
            if let Some(wasm) = artifact(&digest).map_err(file)? {
                let insert = format!("INSERT INTO {ARTIFACTS} VALUES (?1, ?2)");
                copy.execute(&insert, (&digest, wasm)).map_err(storage)?;
                artifacts.push(digest);
            }
        }
        copy.close().map_err(|(_, source)| storage(source))?;
    }
    File::open(&unfinished).and_then(|written| written.sync_all()).map_err(file)?;
    std::fs::rename(&unfinished, target).and_then(|()| sync_folder(target)).map_err(file)?;
    Ok(Contents {
        plugin: snapshot.plugin()?,
        digest: snapshot.digest()?,
        checkpoints: snapshot.checkpoints()?,
        artifacts,
        log: match log {
            Some(log) => Some(log.to_owned()),
            None => snapshot.ask(|connection| blueprint::meta(connection, LOG))?,
        },
    })
}

/// Within the snapshot's transaction, so that no writer makes it begin anew.
fn copy_pages(
    snapshot: &Snapshot,
    copy: &mut Connection,
    progress: &mut dyn FnMut(u64, u64),
) -> rusqlite::Result<()> {
    use rusqlite::backup::{Backup, StepResult};
    let backup = Backup::new(snapshot.connection(), copy)?;
    loop {
        let step = backup.step(STEP_PAGES)?;
        let at = backup.progress();
        let total = u64::try_from(at.pagecount).unwrap_or(0);
        progress(total.saturating_sub(u64::try_from(at.remaining).unwrap_or(0)), total);
        match step {
            StepResult::Done => return Ok(()),
            // The source is held and the copy is ours alone: nobody else can be in the way for long.
            StepResult::Busy | StepResult::Locked => std::thread::sleep(std::time::Duration::from_millis(5)),
            _ => {}
        }
    }
}

/// What a file that should be a backup holds.
///
/// # Errors
/// When it is none, or cannot be read.
pub fn inspect(path: &Path) -> Result<Contents, Error> {
    let snapshot = Snapshot::of(path)?;
    let there = "SELECT name FROM sqlite_schema WHERE name = ?1";
    let found: Option<String> =
        snapshot.ask(|connection| connection.query_row(there, [ARTIFACTS], |row| row.get(0)).optional())?;
    if found.is_none() {
        let reason = "it is a read model, but no backup: make one with `lantern backup`".into();
        return Err(Error::Foreign { path: path.into(), reason });
    }
    let artifacts = snapshot.ask(|connection| {
        connection
            .prepare(&format!("SELECT digest FROM {ARTIFACTS} ORDER BY digest"))?
            .query_map([], |row| row.get(0))?
            .collect()
    })?;
    Ok(Contents {
        plugin: snapshot.plugin()?,
        digest: snapshot.digest()?,
        checkpoints: snapshot.checkpoints()?,
        artifacts,
        log: snapshot.ask(|connection| blueprint::meta(connection, LOG))?,
    })
}

/// Makes the read model in a backup into the file `target`, which must not exist; `artifact` is given every plugin
/// in it.
///
/// # Errors
/// When it is no backup, or reading or writing fails.
pub fn restore(
    path: &Path,
    target: &Path,
    artifact: &mut dyn FnMut(&str, &[u8]) -> io::Result<()>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Contents, Error> {
    let contents = inspect(path)?;
    let snapshot = Snapshot::of(path)?;
    for digest in &contents.artifacts {
        let select = format!("SELECT wasm FROM {ARTIFACTS} WHERE digest = ?1");
        let wasm: Vec<u8> =
            snapshot.ask(|connection| connection.query_row(&select, [digest], |row| row.get(0)))?;
        artifact(digest, &wasm).map_err(|source| Error::File { path: path.into(), source })?;
    }
    let file = |source| Error::File { path: target.into(), source };
    if target.symlink_metadata().is_ok() {
        return Err(file(io::Error::new(io::ErrorKind::AlreadyExists, "it exists already")));
    }
    let unfinished = beside(target);
    // Left by a restore that was killed.
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file(error)),
        _ => {}
    }
    {
        let storage = |source| Error::Storage { path: target.into(), source };
        let mut copy = Connection::open(&unfinished).map_err(storage)?;
        copy.execute_batch("PRAGMA synchronous = OFF").map_err(storage)?;
        copy_pages(&snapshot, &mut copy, progress).map_err(storage)?;
        copy.execute_batch(&format!("DROP TABLE {}", quoted(ARTIFACTS))).map_err(storage)?;
        copy.close().map_err(|(_, source)| storage(source))?;
    }
    File::open(&unfinished).and_then(|written| written.sync_all()).map_err(file)?;
    std::fs::rename(&unfinished, target).and_then(|()| sync_folder(target)).map_err(file)?;
    Ok(contents)
}

/// A name for a file that is not whole yet.
fn beside(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    target.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Scratch, TABLE, advance, frame};
    use super::super::{Fingerprint, Reader, Writer};
    use super::*;
    use lantern_contract::frame::value::Value;

    /// Inserts rows, in one transaction each, until the checkpoint is there.
    fn insert(writer: &mut Writer, range: std::ops::Range<i64>) {
        let text = "x".repeat(4_000);
        let insert = writer.prepare("INSERT INTO t VALUES (?1, ?2)").unwrap();
        for id in range {
            writer.begin().unwrap();
            writer.apply(&frame(insert, &[Value::Integer(id), Value::Text(&text)])).unwrap();
            writer.commit(&[advance(id, id + 1)]).unwrap();
        }
    }

    // A projection never rests: a copy that begins anew at every commit would never end, and one that does not would be
    // torn.
    #[test]
    fn a_backup_is_of_one_moment_and_ends_while_batches_are_committed() {
        let scratch = Scratch::new();
        let mut writer = scratch.open(&[TABLE]).unwrap();
        writer.begin_partition("a", 0, 0).unwrap();
        insert(&mut writer, 0..3_000);
        let expected = Fingerprint::of(&scratch.path()).unwrap();
        let target = scratch.folder.path().join("backup.db");
        let (mut next, mut steps) = (3_000, 0);
        let contents = write(
            &scratch.path(),
            &target,
            false,
            None,
            &mut |digest| Ok((digest == "d").then(|| b"bytes".to_vec())),
            &mut |done, total| {
                assert!(done <= total);
                steps += 1;
                insert(&mut writer, next..next + 100);
                next += 100;
            },
        )
        .unwrap();
        assert!(steps >= 3, "only {steps} steps: the test shows nothing");
        assert_eq!(Fingerprint::of(&target).unwrap(), expected);
        assert_eq!(contents.checkpoints[&("a".into(), 0)], 3_000);
        assert_eq!((contents.artifacts.as_slice(), contents.plugin.as_str()), (&["d".to_owned()][..], "t"));
        assert_eq!(inspect(&target).unwrap(), contents);
        let names: Vec<_> =
            std::fs::read_dir(scratch.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        let beside = names.iter().filter(|name| name.to_string_lossy().contains("backup")).count();
        assert_eq!(beside, 1, "one file, and nothing beside it: {names:?}");
        assert!(write(&scratch.path(), &target, false, None, &mut |_| Ok(None), &mut |_, _| {}).is_err());
        write(&scratch.path(), &target, true, Some("new"), &mut |_| Ok(None), &mut |_, _| {}).unwrap();
        let again = inspect(&target).unwrap();
        assert_eq!((again.checkpoints[&("a".into(), 0)], again.log.as_deref()), (next, Some("new")));
    }

    // A new host starts from the one file: what comes out of it is written on as if nothing had been.
    #[test]
    fn what_is_restored_is_the_read_model_and_goes_on() {
        let scratch = Scratch::new();
        let mut writer = scratch.open(&[TABLE]).unwrap();
        writer.begin_partition("a", 0, 0).unwrap();
        insert(&mut writer, 0..10);
        let (file, target) = (scratch.folder.path().join("backup.db"), scratch.folder.path().join("new.db"));
        write(&scratch.path(), &file, false, None, &mut |_| Ok(Some(b"bytes".to_vec())), &mut |_, _| {})
            .unwrap();
        let mut kept = Vec::new();
        let mut keep = |digest: &str, bytes: &[u8]| {
            kept.push((digest.to_owned(), bytes.to_vec()));
            Ok(())
        };
        restore(&file, &target, &mut keep, &mut |_, _| {}).unwrap();
        assert_eq!(kept, [("d".to_owned(), b"bytes".to_vec())]);
        assert_eq!(Fingerprint::of(&target).unwrap(), Fingerprint::of(&scratch.path()).unwrap());
        assert!(inspect(&target).is_err(), "a read model is no backup");
        let blueprint = super::super::tests::blueprint(&[TABLE]);
        let mut restored = Writer::open(&target, &blueprint, super::super::Durability::Normal).unwrap();
        insert(&mut restored, 10..20);
        assert_eq!(Reader::open(&target).unwrap().checkpoints().unwrap()[&("a".into(), 0)], 20);
        assert!(restore(&file, &target, &mut |_, _| Ok(()), &mut |_, _| {}).is_err(), "it exists");
    }

    #[test]
    fn what_is_no_backup_is_refused() {
        let scratch = Scratch::new();
        drop(scratch.open(&[TABLE]).unwrap());
        let check = |path: &Path, reason: &str| {
            let error = inspect(path).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        };
        check(&scratch.path(), "no backup");
        check(&scratch.folder.path().join("nothing.db"), "cannot open");
        let foreign = scratch.folder.path().join("foreign.db");
        Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
        check(&foreign, "is not a read model");
        let text = scratch.folder.path().join("text.db");
        std::fs::write(&text, "not a database, but long enough to be looked at as one".repeat(100)).unwrap();
        check(&text, "text.db");
    }
}
