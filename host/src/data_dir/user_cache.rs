//! The user's cache: what is dear to fetch or to make, belongs to no data folder, and may be removed at any time.

use std::path::PathBuf;

/// A part of it, by the rules of XDG; nothing where the user has neither `XDG_CACHE_HOME` nor `HOME`.
fn part(name: &str) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(cache.join("lantern").join(name))
}

/// Where compilers are that were fetched.
pub fn toolchains() -> Option<PathBuf> {
    part("toolchains")
}

/// Where the compiled code is of plugins that no host runs.
pub fn compiled() -> Option<PathBuf> {
    part("compiled")
}
