//! Lists the files of `plugin-sdk`, so that the binary carries the SDKs and templates that fit it.

#![allow(clippy::print_stdout, reason = "cargo reads what a build script prints")]

#[path = "src/cli/sdk/listing.rs"]
mod listing;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let host = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let root = host.join("../plugin-sdk").canonicalize()?;
    let mut list = String::from("[\n");
    // Files and not folders: what tools leave in a folder would have everything compiled again. A test sees to it
    // that a new file, which nothing here asks cargo to notice, is not forgotten.
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/cli/sdk/listing.rs");
    for path in listing::files(&root)? {
        let file = root.join(&path);
        println!("cargo::rerun-if-changed={}", file.display());
        // Writing to a String cannot fail.
        let _ = writeln!(list, "    ({path:?}, include_bytes!({file:?})),");
    }
    list.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("embedded.rs");
    write_if_new(&out, &list)
}

/// Leaves a file alone that is as it should be.
fn write_if_new(path: &Path, text: &str) -> io::Result<()> {
    match fs::read_to_string(path) {
        Ok(old) if old == text => Ok(()),
        _ => fs::write(path, text),
    }
}
