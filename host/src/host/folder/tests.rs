//! The folder as editors, copying programs and slow networks write to it.

use super::*;
use std::io::Write as _;

/// How long anything may take that a test waits for.
const WAIT_MAX: Duration = Duration::from_secs(20);

async fn next(folder: &mut Folder) -> Change {
    tokio::time::timeout(WAIT_MAX, folder.next()).await.expect("a change in time")
}

/// A folder that is watched, and its path as events have it.
fn watched() -> (tempfile::TempDir, Folder, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::watch(&dir.path().join("plugins")).unwrap();
    let path = folder.path.clone();
    (dir, folder, path)
}

fn saved(folder: &Path, name: &str) -> Change {
    Change::Saved(folder.join(name))
}

/// Saves another plugin and waits for it: whatever would have been taken by then was taken.
async fn nothing_but(folder: &mut Folder, marker: &str) {
    let path = folder.path.join(marker);
    fs::write(&path, marker).unwrap();
    assert_eq!(next(folder).await, Change::Saved(path));
}

// A start with the same folder must always do the same, so the order is that of the names.
#[tokio::test]
async fn what_is_there_at_the_start_comes_in_the_order_of_names() {
    let dir = tempfile::tempdir().unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(60);
    for name in ["b.wasm", "a.wasm", "c.wasm", ".hidden.wasm", "a.wasm~", "d.wasm.tmp", "readme.md"] {
        let file = fs::File::create(dir.path().join(name)).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    fs::create_dir(dir.path().join("folder.wasm")).unwrap();
    let mut folder = Folder::watch(dir.path()).unwrap();
    let path = folder.path.clone();
    for name in ["a.wasm", "b.wasm", "c.wasm"] {
        assert_eq!(next(&mut folder).await, saved(&path, name));
    }
    // Who starts takes them all at once, also those that were written just now.
    fs::write(path.join("d.wasm"), "new").unwrap();
    let mut again = Folder::watch(dir.path()).unwrap();
    assert_eq!(again.first().await, ["a.wasm", "b.wasm", "c.wasm", "d.wasm"].map(|name| path.join(name)));
    assert_eq!(next(&mut folder).await, saved(&path, "d.wasm"));
    nothing_but(&mut folder, "z.wasm").await;
}

// A large plugin comes in pieces, from a slow disk or over a network: half of it is no plugin.
#[tokio::test]
async fn a_file_is_taken_when_its_writer_has_closed_it_and_not_before() {
    let (_dir, mut folder, path) = watched();
    let mut file = fs::File::create(path.join("slow.wasm")).unwrap();
    for piece in 0..5 {
        file.write_all(&vec![0; 1 << 20]).unwrap();
        nothing_but(&mut folder, &format!("marker-{piece}.wasm")).await;
    }
    drop(file);
    assert_eq!(next(&mut folder).await, saved(&path, "slow.wasm"));
}

// The same for one that is replaced in place, as `cp` does.
#[tokio::test]
async fn a_file_that_is_written_anew_is_taken_when_it_is_whole_again() {
    let (_dir, mut folder, path) = watched();
    fs::write(path.join("a.wasm"), "one").unwrap();
    assert_eq!(next(&mut folder).await, saved(&path, "a.wasm"));
    let mut file = fs::File::create(path.join("a.wasm")).unwrap();
    nothing_but(&mut folder, "marker.wasm").await;
    file.write_all(b"two").unwrap();
    drop(file);
    assert_eq!(next(&mut folder).await, saved(&path, "a.wasm"));
    // A second writer that comes before the first one's file was taken.
    fs::write(path.join("a.wasm"), "three").unwrap();
    let file = fs::File::options().append(true).open(path.join("a.wasm")).unwrap();
    (&file).write_all(b"four").unwrap();
    nothing_but(&mut folder, "other.wasm").await;
    drop(file);
    assert_eq!(next(&mut folder).await, saved(&path, "a.wasm"));
}

// Editors and compilers write beside and rename; some take the old file away before.
#[tokio::test]
async fn a_file_that_is_renamed_over_another_is_saved_and_nothing_was_removed() {
    let (_dir, mut folder, path) = watched();
    fs::write(path.join("a.wasm"), "one").unwrap();
    assert_eq!(next(&mut folder).await, saved(&path, "a.wasm"));
    fs::write(path.join(".a.wasm.tmp"), "two").unwrap();
    fs::rename(path.join(".a.wasm.tmp"), path.join("a.wasm")).unwrap();
    assert_eq!(next(&mut folder).await, saved(&path, "a.wasm"));
    fs::rename(path.join("a.wasm"), path.join("a.wasm~")).unwrap();
    fs::write(path.join("a.wasm"), "three").unwrap();
    assert_eq!(next(&mut folder).await, saved(&path, "a.wasm"));
    fs::remove_file(path.join("a.wasm")).unwrap();
    fs::hard_link(path.join("a.wasm~"), path.join("a.wasm")).unwrap();
    assert_eq!(next(&mut folder).await, saved(&path, "a.wasm"));
}

#[tokio::test]
async fn a_file_that_is_removed_or_renamed_away_is_removed_once() {
    let (_dir, mut folder, path) = watched();
    fs::write(path.join("a.wasm"), "one").unwrap();
    assert_eq!(next(&mut folder).await, saved(&path, "a.wasm"));
    fs::remove_file(path.join("a.wasm")).unwrap();
    assert_eq!(next(&mut folder).await, Change::Removed(path.join("a.wasm")));
    fs::write(path.join("a.wasm"), "two").unwrap();
    assert_eq!(next(&mut folder).await, saved(&path, "a.wasm"));
    fs::rename(path.join("a.wasm"), path.join("b.wasm")).unwrap();
    assert_eq!(next(&mut folder).await, saved(&path, "b.wasm"));
    assert_eq!(next(&mut folder).await, Change::Removed(path.join("a.wasm")));
    nothing_but(&mut folder, "z.wasm").await;
}

// A file that came and went before anybody looked was never there.
#[tokio::test]
async fn a_file_that_does_not_stay_is_not_told() {
    let (_dir, mut folder, path) = watched();
    fs::write(path.join("a.wasm"), "one").unwrap();
    fs::remove_file(path.join("a.wasm")).unwrap();
    nothing_but(&mut folder, "z.wasm").await;
}

// People move whole folders in and out of place.
#[tokio::test]
async fn a_folder_that_is_replaced_is_followed() {
    let (dir, mut folder, path) = watched();
    fs::write(path.join("a.wasm"), "one").unwrap();
    assert_eq!(next(&mut folder).await, saved(&path, "a.wasm"));
    fs::rename(&path, dir.path().join("old")).unwrap();
    assert_eq!(next(&mut folder).await, Change::Removed(path.join("a.wasm")));
    assert!(!path.exists(), "a folder in this place would keep others from moving theirs here");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("b.wasm"), "two").unwrap();
    assert_eq!(next(&mut folder).await, saved(&path, "b.wasm"));
    fs::write(path.join("c.wasm"), "three").unwrap();
    assert_eq!(next(&mut folder).await, saved(&path, "c.wasm"));
}

#[tokio::test]
async fn fifty_files_at_once_are_all_taken() {
    let (_dir, mut folder, path) = watched();
    let names: BTreeSet<PathBuf> = (0..50).map(|n| path.join(format!("{n:02}.wasm"))).collect();
    for name in &names {
        fs::write(name, vec![0; 10_000]).unwrap();
    }
    let mut found = BTreeSet::new();
    while found.len() < names.len() {
        match next(&mut folder).await {
            Change::Saved(path) => assert!(found.insert(path)),
            Change::Removed(path) => panic!("{path:?} was not removed"),
        }
    }
    assert_eq!(found, names);
}

// The system's queue of events is bounded, and so is ours.
#[tokio::test]
async fn lost_events_are_made_up_for_by_listing() {
    let dir = tempfile::tempdir().unwrap();
    // A watcher that loses everything.
    let (_sender, events) = mpsc::channel(1);
    let is_lost = Arc::new(AtomicBool::new(false));
    let mut folder = Folder::start(dir.path(), None, events, Arc::clone(&is_lost)).unwrap();
    let path = folder.path.clone();
    fs::write(path.join("a.wasm"), "one").unwrap();
    is_lost.store(true, Ordering::Relaxed);
    assert_eq!(next(&mut folder).await, saved(&path, "a.wasm"));
    fs::remove_file(path.join("a.wasm")).unwrap();
    is_lost.store(true, Ordering::Relaxed);
    assert_eq!(next(&mut folder).await, Change::Removed(path.join("a.wasm")));
}

// On a file system that tells nothing a file is whole when it has stopped to change.
#[tokio::test]
async fn without_events_a_file_is_taken_when_it_no_longer_changes() {
    let dir = tempfile::tempdir().unwrap();
    let (sender, events) = mpsc::channel(1);
    drop(sender);
    let mut folder = Folder::start(dir.path(), None, events, Arc::default()).unwrap();
    let path = folder.path.clone();
    let mut file = fs::File::create(path.join("a.wasm")).unwrap();
    let writer = tokio::task::spawn_blocking(move || {
        let mut written = 0;
        let begun = std::time::Instant::now();
        while begun.elapsed() < 2 * LIST_EVERY {
            file.write_all(&[0; 64]).unwrap();
            written += 64;
            std::thread::sleep(QUIET / 10);
        }
        written
    });
    assert_eq!(next(&mut folder).await, saved(&path, "a.wasm"));
    assert!(writer.is_finished(), "the file was taken while it was written");
    assert_eq!(fs::metadata(path.join("a.wasm")).unwrap().len(), writer.await.unwrap());
}

// Listing opens the folder, which the system tells: were that news, every listing would have the next one follow at
// once, for ever.
#[tokio::test]
async fn that_the_folder_was_listed_is_no_news_and_that_it_was_moved_is() {
    let (_dir, mut folder, path) = watched();
    let mut check = |kind, is_news| {
        folder.note(&notify::Event::new(kind).add_path(path.clone()));
        assert_eq!(folder.is_lost.swap(false, Ordering::Relaxed), is_news, "{kind:?}");
    };
    check(EventKind::Access(AccessKind::Open(AccessMode::Any)), false);
    check(EventKind::Access(AccessKind::Close(AccessMode::Read)), false);
    check(EventKind::Remove(notify::event::RemoveKind::Folder), true);
    check(EventKind::Modify(ModifyKind::Name(RenameMode::From)), true);
}

// A disk that was full for a minute must not leave a plugin behind until somebody touches its file.
#[tokio::test]
async fn a_file_that_could_not_be_deployed_comes_again_less_and_less_often_until_it_is_saved_anew() {
    let (_dir, mut folder, path) = watched();
    let file = path.join("a.wasm");
    fs::write(&file, "a").unwrap();
    assert_eq!(next(&mut folder).await, saved(&path, "a.wasm"));
    for expected in [AGAIN_FIRST, AGAIN_FIRST * 2] {
        let since = Instant::now();
        folder.again(&file);
        assert_eq!(next(&mut folder).await, saved(&path, "a.wasm"));
        assert!(since.elapsed() >= expected, "after {:?}, not {expected:?}", since.elapsed());
    }
    folder.again(&file);
    fs::remove_file(&file).unwrap();
    assert_eq!(next(&mut folder).await, Change::Removed(file.clone()));
    folder.again(&file);
    nothing_but(&mut folder, "z.wasm").await;
}
