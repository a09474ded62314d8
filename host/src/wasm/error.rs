//! Why WebAssembly cannot be run as a plugin.

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
    #[error("it imports {imports}, which a projection is not given; {advice}")]
    ImportNotGranted {
        /// What is imported.
        imports: String,
        /// What to do.
        advice: &'static str,
    },
    /// An import has the contract's name and another type.
    #[error("an import is not of the type that the contract {package} gives it: {reason}; build the plugin against this version's contract", package = lantern_contract::PACKAGE)]
    ImportType {
        /// Which one, and how the types differ.
        reason: String,
    },
    /// A function that every projection exports is not there.
    #[error("it does not export {missing}, so it is not a projection; it exports {exports}")]
    ExportMissing {
        /// The interface or function that is missing.
        missing: String,
        /// What is exported.
        exports: String,
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
