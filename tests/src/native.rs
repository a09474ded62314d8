//! What native tests of plugins in C and Zig need beside their compilers.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::report::skip;

/// Whether the system's SQLite can be compiled and linked with. If it cannot, what to install is said.
#[must_use]
pub fn sqlite_is_there() -> bool {
    let found = Command::new("sh")
        .args(["-c", "echo '#include <sqlite3.h>' | cc -E -"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let is_there = found.is_ok_and(|status| status.success());
    if !is_there {
        skip("a C compiler and sqlite3.h: apt-get install gcc libc6-dev libsqlite3-dev");
    }
    is_there
}

/// Where `lantern build` keeps the compilers that it fetches.
///
/// # Errors
///
/// Where there is neither `XDG_CACHE_HOME` nor `HOME`.
pub fn toolchains() -> Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    Ok(cache.context("neither XDG_CACHE_HOME nor HOME is set")?.join("lantern/toolchains"))
}
