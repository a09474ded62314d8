//! Why WebAssembly cannot be run as a plugin.

use super::kind::Kind;
use std::path::PathBuf;

/// Why bytes do not become a component, or a component no instance.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine cannot be set up on this machine.
    #[error("the WebAssembly engine does not start: {reason}")]
    Engine {
        /// What the engine says.
        reason: String,
    },
    /// The folder for compiled code cannot be used.
    #[error("the folder for compiled code, {}, cannot be used: {reason}; remove it, or make it this user's own", path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The bytes are not WebAssembly.
    #[error("it is not WebAssembly, {found}: is this really a .wasm file?")]
    NotWasm {
        /// How the bytes start, in words.
        found: String,
    },
    /// The bytes start like WebAssembly and are not valid.
    #[error("it is damaged, or needs features of WebAssembly that Lantern does not offer: {reason}")]
    Invalid {
        /// What the validator says, with the position.
        reason: String,
    },
    /// A core module does not fit the contract's world.
    #[error("the core module does not fit the contract {package}: {reason}; it exports {exports}", package = lantern_contract::PACKAGE)]
    Wrap {
        /// Which function is missing or of another type.
        reason: String,
        /// What the module exports.
        exports: String,
    },
    /// Something is imported that a plugin is not given.
    #[error("it imports {imports}, which {} is not given; {advice}", kind.one())]
    ImportNotGranted {
        /// What is imported.
        imports: String,
        /// What it is taken for.
        kind: Kind,
        /// What to do.
        advice: &'static str,
    },
    /// An import has the contract's name and another type.
    #[error("an import is not of the type that the contract {package} gives it: {reason}; build the plugin against this version's contract", package = lantern_contract::PACKAGE)]
    ImportType {
        /// Which one, and how the types differ.
        reason: String,
    },
    /// A function that a plugin of its kind exports is not there.
    #[error(
        "it does not export {missing}; a projection exports lantern:plugin/projection, a command handler lantern:plugin/commands, an upcaster lantern:plugin/upcast, and all of them lantern:plugin/meta; it exports {exports}"
    )]
    ExportMissing {
        /// The interface or function that is missing.
        missing: String,
        /// What is exported.
        exports: String,
    },
    /// It exports what two kinds of plugin do.
    #[error("it is {} and {} at once: make two plugins of it", first.one(), second.one())]
    TwoKinds {
        /// One of them.
        first: Kind,
        /// The other.
        second: Kind,
    },
    /// It is a plugin of another kind than it is to be used as.
    #[error("it is {}, and not {}", found.one(), expected.one())]
    OtherKind {
        /// What it is to be used as.
        expected: Kind,
        /// What it is.
        found: Kind,
    },
    /// An export has the contract's name and another type.
    #[error(
        "its export {interface}#{function} is not of the contract's type: {reason}; build the plugin against this version's contract"
    )]
    ExportType {
        /// The interface.
        interface: &'static str,
        /// The function.
        function: &'static str,
        /// How the types differ.
        reason: String,
    },
    /// The plugin needs more than its limits before it has done anything.
    #[error("it does not start within its limits: {reason}")]
    Start {
        /// Which limit, or how its start ended.
        reason: String,
    },
}
