//! Compiled code is kept, and never trusted more than it deserves.

use super::*;
use crate::wasm::cache::{self, Cache};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

struct Kept {
    folder: tempfile::TempDir,
    engine: Engine,
    cache: Cache,
    key: String,
    guest: Vec<u8>,
}

/// A cache with one compiled guest in it.
fn kept() -> Kept {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("compiled");
    let engine = Engine::new(Some(path.clone())).unwrap();
    let guest = guest(ECHO, "");
    engine.compile(&guest).unwrap();
    let cache = Cache::open(path).unwrap();
    let key = cache::key(engine.wasmtime(), &guest);
    Kept { folder, engine, cache, key, guest }
}

impl Kept {
    fn file(&self, kind: &str) -> PathBuf {
        self.folder.path().join("compiled").join(&self.key).with_extension(kind)
    }

    fn loads(&self) -> bool {
        self.cache.load(self.engine.wasmtime(), &self.key).is_some()
    }

    fn works(&self) {
        let component = self.engine.compile(&self.guest).unwrap();
        let instance = Instance::new(&self.engine, &component, Recorder::default(), &Limits::default());
        assert_eq!(instance.unwrap().apply(b"events", 1).unwrap(), b"events");
    }
}

// A start with large plugins takes milliseconds instead of seconds.
#[test]
fn compiled_code_is_found_again_by_another_engine() {
    let kept = kept();
    assert!(kept.loads());
    let next = Engine::new(Some(kept.folder.path().join("compiled"))).unwrap();
    assert!(kept.cache.load(next.wasmtime(), &cache::key(next.wasmtime(), &kept.guest)).is_some());
    Kept { engine: next, ..kept }.works();
}

// What `lantern build` has compiled for seconds, the first `lantern run` on a new data folder need not compile again.
#[test]
fn compiled_code_of_another_folder_is_taken_over() {
    let Kept { folder, engine, cache, guest: echo, key } = kept();
    // Under the echo's key lies another guest, so that it shows where the code has come from.
    let silent = guest("(call $answer (i32.const 0) (i32.const 0))", "");
    cache.store(&key, engine.compile(&silent).unwrap().wasmtime());
    let own = folder.path().join("own");
    let answer = |engine: &Engine| {
        let component = engine.compile(&echo).unwrap();
        let instance = Instance::new(engine, &component, Recorder::default(), &Limits::default());
        instance.unwrap().apply(b"events", 1).unwrap()
    };
    let host = Engine::new(Some(own.clone())).unwrap().looking_into(Some(folder.path().join("compiled")));
    assert_eq!(answer(&host), b"");
    // It needs the other folder no more.
    assert_eq!(answer(&Engine::new(Some(own)).unwrap()), b"");
    let without = Engine::new(Some(folder.path().join("third"))).unwrap();
    assert_eq!(answer(&without.looking_into(Some(folder.path().join("none")))), b"events");
    assert!(!folder.path().join("none").exists());
}

// Damaged machine code would be run in this process: it is noticed, compiled anew and replaced.
#[test]
fn damaged_code_is_compiled_anew() {
    let check = |damage: &dyn Fn(&Kept)| {
        let kept = kept();
        damage(&kept);
        assert!(!kept.loads());
        kept.works();
        assert!(kept.loads());
    };
    check(&|kept| {
        let mut code = fs::read(kept.file("cwasm")).unwrap();
        let middle = code.len() / 2;
        code[middle] ^= 1;
        fs::write(kept.file("cwasm"), code).unwrap();
    });
    check(&|kept| File::options().write(true).open(kept.file("cwasm")).unwrap().set_len(100).unwrap());
    check(&|kept| fs::write(kept.file("cwasm"), "").unwrap());
    check(&|kept| fs::remove_file(kept.file("cwasm")).unwrap());
    check(&|kept| fs::remove_file(kept.file("sha256")).unwrap());
    check(&|kept| fs::write(kept.file("sha256"), "0".repeat(64)).unwrap());
}

#[test]
fn another_plugin_or_release_has_another_key() {
    let kept = kept();
    assert_ne!(kept.key, cache::key(kept.engine.wasmtime(), b"another"));
    assert_eq!(kept.key, cache::key(engine().wasmtime(), &kept.guest));
    let small = Engine::with_limits(None, &Limits { stack_bytes_max: 1 << 16, ..Limits::default() }).unwrap();
    assert_eq!(kept.key, cache::key(small.wasmtime(), &kept.guest), "the stack is not compiled in");
}

#[test]
fn the_folder_is_made_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("compiled");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    Cache::open(path.clone()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

// A cache is a help: without one, plugins are compiled.
#[test]
fn a_cache_that_cannot_be_written_is_done_without() {
    let kept = kept();
    fs::remove_dir_all(kept.folder.path().join("compiled")).unwrap();
    kept.works();
}

#[test]
fn the_codes_not_used_for_longest_are_removed() {
    let kept = kept();
    let compiled = kept.folder.path().join("compiled");
    let long_ago = SystemTime::now() - Duration::from_secs(1_000);
    for n in 0..600 {
        let path = compiled.join(format!("{n:03}.cwasm"));
        let file = File::create(&path).unwrap();
        file.set_modified(long_ago + Duration::from_secs(n)).unwrap();
        File::create(path.with_extension("sha256")).unwrap();
    }
    kept.cache.store(&kept.key, kept.engine.compile(&kept.guest).unwrap().wasmtime());
    assert!(kept.loads());
    assert_eq!(fs::read_dir(&compiled).unwrap().count(), 2 * 512);
    assert!(!compiled.join("000.cwasm").exists() && compiled.join("599.cwasm").exists());
}
