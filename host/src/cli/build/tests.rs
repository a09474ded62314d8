//! From a source to a file in the plugins folder.

use super::*;
use std::process::Command;

/// A projection without an SDK and without dependencies, so that it is built in a moment.
const SOURCE: &str = r##"
static MANIFEST: &str = r#"{"name":"tiny","version":"0.3.0","topics":["a","b"]}"#;

#[repr(C)]
struct Text(*const u8, usize);

#[unsafe(export_name = "lantern:plugin/meta@0.1.0#describe")]
extern "C" fn describe() -> *const Text {
    Box::leak(Box::new(Text(MANIFEST.as_ptr(), MANIFEST.len())))
}

#[unsafe(export_name = "lantern:plugin/projection@0.1.0#apply")]
extern "C" fn apply(_events: *const u8, _len: usize) -> *const u8 {
    panic!("boom")
}

#[unsafe(export_name = "cabi_realloc")]
extern "C" fn allocate(_: *const u8, _: usize, _: usize, size: usize) -> *const u8 {
    Box::leak(vec![0_u8; size].into_boxed_slice()).as_ptr()
}
"##;

fn crate_with(source: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "[package]\nname = \"lantern-test-tiny\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\
                    [lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n";
    fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::write(folder.path().join("src/lib.rs"), source).unwrap();
    folder
}

fn has_target() -> bool {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", "wasm32-unknown-unknown"])
        .output();
    output.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

// The file that comes out is a plugin; what does not compile replaces nothing.
#[test]
fn a_crate_becomes_a_plugin_or_leaves_the_old_one() {
    if !has_target() {
        eprintln!("skipped: Rust's target wasm32-unknown-unknown is not installed");
        return;
    }
    let source = crate_with(SOURCE);
    let config = Config { plugins_dir: source.path().join("plugins"), ..Config::default() };
    let built = build_into(source.path(), None, &config).unwrap();
    assert_eq!((built.name.as_str(), built.version.as_str()), ("tiny", "0.3.0"));
    assert_eq!(built.topics, ["a", "b"]);
    assert_eq!(built.path, source.path().join("plugins/tiny.wasm"));
    let bytes = fs::read(&built.path).unwrap();
    assert_eq!((built.digest, built.bytes), (Digest::of(&bytes), bytes.len() as u64));
    let engine = Engine::new(None).unwrap();
    Plugin::load(&engine, &bytes, "tiny", &config.limits).unwrap();

    fs::write(source.path().join("src/lib.rs"), "fn broken(").unwrap();
    let error = build(source.path(), &built.path, &config).unwrap_err().to_string();
    assert!(error.contains("does not compile"), "{error}");
    fs::write(source.path().join("src/lib.rs"), "").unwrap();
    let error = format!("{:#}", build(source.path(), &built.path, &config).unwrap_err());
    assert!(error.contains("is not a plugin") && error.contains("describe"), "{error}");
    assert_eq!(fs::read(&built.path).unwrap(), bytes);
    let left: Vec<_> = fs::read_dir(source.path().join("plugins")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

// Many have one target folder for all they build. Cargo takes what it built of the one for fresh where the other is older.
#[test]
fn projects_that_name_their_crate_alike_and_share_a_target_folder_get_their_own_plugin() {
    if !has_target() {
        eprintln!("skipped: Rust's target wasm32-unknown-unknown is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str| {
        let (module, _) = Source::open(&folder.path().join(name)).unwrap().compile().unwrap();
        let said = format!("this is {name}");
        assert!(module.windows(said.len()).any(|part| part == said.as_bytes()), "{name} is another's");
    };
    fs::create_dir(folder.path().join(".cargo")).unwrap();
    fs::write(folder.path().join(".cargo/config.toml"), "[build]\ntarget-dir = \"target\"\n").unwrap();
    for name in ["one", "other"] {
        let source = crate_with(&SOURCE.replace("boom", &format!("this is {name}")));
        // Of a temporary folder that is to stay.
        fs::rename(source.keep(), folder.path().join(name)).unwrap();
    }
    for name in ["one", "other", "one"] {
        check(name);
    }
    std::thread::scope(|scope| {
        for name in ["one", "other"] {
            scope.spawn(move || (0..3).for_each(|_| check(name)));
        }
    });
}

#[test]
fn a_folder_that_cannot_be_built_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let check = |dir: &Path, part: &str| {
        let error = build(dir, Path::new("out.wasm"), &Config::default()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    check(&folder.path().join("nowhere"), "is not a folder");
    check(folder.path(), "It looks for Cargo.toml (Rust), go.mod (Go)");
    fs::write(folder.path().join("Cargo.toml"), "[package").unwrap();
    check(folder.path(), "cargo cannot read");
}
