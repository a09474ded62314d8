//! The adapter for WASI preview 1.

use std::sync::LazyLock;
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The module that preview 1 is imported from.
pub(in crate::wasm) const PREVIEW1: &str = "wasi_snapshot_preview1";

/// What the adapter asks of the host.
const WIT: &str = "
    package lantern:virtual@0.1.0;
    interface process {
        write: func(%stream: u32, bytes: list<u8>);
        exit: func(status: u32);
    }
    world adapter { import process; }
";

/// The adapter with its world, as the wrapping of a core module takes it.
///
/// # Errors
/// Never: it is a part of this program. Still an error, since whoever wraps has a way for one.
pub(in crate::wasm) fn adapter() -> anyhow::Result<&'static [u8]> {
    static ADAPTER: LazyLock<Result<Vec<u8>, String>> =
        LazyLock::new(|| assemble().map_err(|error| format!("{error:#}")));
    match &*ADAPTER {
        Ok(bytes) => Ok(bytes),
        Err(error) => anyhow::bail!("the adapter for WASI: {error}"),
    }
}

fn assemble() -> anyhow::Result<Vec<u8>> {
    let mut module = wat::parse_str(include_str!("preview1.wat"))?;
    let mut resolve = Resolve::default();
    let package = resolve.push_str("virtual.wit", WIT)?;
    let world = resolve.select_world(&[package], Some("adapter"))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    Ok(module)
}
