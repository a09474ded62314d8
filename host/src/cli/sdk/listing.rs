//! Which files of `plugin-sdk` the binary carries. Used by the build script, and by the test that it has found them all.

use std::fs;
use std::io;
use std::path::Path;

/// What tools leave beside the sources, what only this repository's own tests need, and the sources of what is compiled beside them.
const LEFT_OUT: [&str; 11] = [
    "target",
    "fuzz",
    "vectors",
    "node_modules",
    "__pycache__",
    "zig-out",
    "dist",
    "build",
    "engine",
    "native",
    "package-lock.json",
];

/// What is kept compiled: that of which every plugin in JavaScript is made, and what every plugin in Python has in it.
const COMPILED: [&str; 2] = ["javascript/engine.wasm", "python/lantern/_native.cpython-314-wasm32-wasi.so"];
/// How the names of compiled files end.
const COMPILED_ENDS: [&str; 3] = [".wasm", ".pyc", ".so"];

/// Folders of tests: of an SDK they stay here, a template's are the user's first.
const TESTS: [&str; 3] = ["tests", "test", "testdata"];
/// How the names of tests end.
const TEST_ENDS: [&str; 4] = ["_test.go", ".test.js", ".test.mjs", ".test.ts"];

/// The files below `root`, by their paths from there with `/`, in order.
///
/// # Errors
/// When the tree cannot be read.
pub(super) fn files(root: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            // A name that is not UTF-8 is no source of ours.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let is_template = path.split('/').any(|part| part.starts_with("template"));
            let is_hidden = name.starts_with('.') && !name.starts_with(".gitignore");
            let is_compiled = COMPILED_ENDS.iter().any(|end| name.ends_with(end));
            let is_left_out = LEFT_OUT.contains(&&*name) || (is_compiled && !COMPILED.contains(&&*path));
            let is_test = TESTS.contains(&&*name) || TEST_ENDS.iter().any(|end| name.ends_with(end));
            if is_hidden || is_left_out || (is_test && !is_template) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
