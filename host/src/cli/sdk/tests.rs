//! What is written into projects.

use super::*;

// The build script asks cargo to watch the files that it knows; a new one must not be missing from a binary.
#[test]
fn every_file_of_the_sdks_is_embedded() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin-sdk");
    let there = listing::files(&root).unwrap();
    let embedded: Vec<&str> = EMBEDDED.iter().map(|(path, _)| *path).collect();
    assert_eq!(embedded, there, "a file came or went: `touch host/build.rs` and build again");
}

// Builds of a project must not begin from nothing each time, and an SDK's older files must not be compiled with its newer ones.
#[test]
fn a_folder_is_made_right_and_what_is_right_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let files = |names: &[(&str, &'static str)]| -> Files {
        names.iter().map(|(name, text)| ((*name).to_owned(), Cow::Borrowed(text.as_bytes()))).collect()
    };
    update(dir.path(), &files(&[("a.go", "1"), ("b/c.go", "2"), ("old.go", "3")])).unwrap();
    let changed = |name: &str| fs::metadata(path(name)).unwrap().modified().unwrap();
    let before = changed("a.go");
    fs::create_dir(path("node_modules")).unwrap();
    fs::write(path("node_modules/x"), "").unwrap();
    fs::write(path("b/c.go"), "somebody's edit").unwrap();
    update(dir.path(), &files(&[("a.go", "1"), ("b/c.go", "2")])).unwrap();
    assert_eq!(changed("a.go"), before);
    assert_eq!(fs::read_to_string(path("b/c.go")).unwrap(), "2");
    assert!(!path("old.go").exists() && path("node_modules/x").exists());
}

// A project outside of this workspace has nothing to inherit from.
#[test]
fn the_rust_sdk_is_a_workspace_of_its_own() {
    let files = rust::files().unwrap();
    let text = |path: &str| String::from_utf8(files[path].to_vec()).unwrap();
    let (sdk, contract) = (text("Cargo.toml"), text("contract/Cargo.toml"));
    assert!(!sdk.contains("dev-dependencies") && !contract.contains("dev-dependencies"));
    let workspace: toml::Table = sdk.parse().unwrap();
    let dependencies = workspace["workspace"]["dependencies"].as_table().unwrap();
    for (name, _) in workspace["dependencies"].as_table().unwrap() {
        assert!(dependencies.contains_key(name), "{name}");
    }
    for path in ["src/lib.rs", "contract/src/lib.rs", "testing/src/lib.rs", "wit/lantern.wit"] {
        assert!(files.contains_key(path), "{path}");
    }
}
