//! What kind of WebAssembly a file is, how a core module is wrapped, and what a plugin must export.

use super::error::Error;
use super::imports::{LOGGER, SQL};
use std::borrow::Cow;
use std::fmt::Write as _;
use wasmparser::{Encoding, Parser, Payload};
use wasmtime::component::ComponentExportIndex;
use wasmtime::component::types::ComponentItem;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

pub(super) const META: &str = "lantern:plugin/meta@0.1.0";
pub(super) const PROJECTION: &str = "lantern:plugin/projection@0.1.0";
/// Types only: there is nothing to give.
const TYPES: &str = "lantern:plugin/types@0.1.0";
/// The world that a core module without metadata is taken for.
const WORLD: &str = "projection-plugin";
/// Names in a message; more would not be read.
const NAMES_MAX: usize = 12;

const ADVICE_WASI: &str = "a projection has no files, network, clock or environment: in Rust, build for wasm32-unknown-unknown \
     (`lantern build` does)";
const ADVICE_OTHER: &str = "it may import lantern:plugin/logger and lantern:plugin/sql";

/// A compiled plugin. A clone is the same code.
#[derive(Clone)]
pub struct Component {
    component: wasmtime::component::Component,
    describe: ComponentExportIndex,
    apply: ComponentExportIndex,
}

impl Component {
    /// Checks that a component imports nothing but what it is given, and exports what a projection does.
    pub(super) fn checked(
        engine: &wasmtime::Engine,
        component: wasmtime::component::Component,
    ) -> Result<Self, Error> {
        check_imports(engine, &component)?;
        Ok(Self {
            describe: export(engine, &component, META, "describe")?,
            apply: export(engine, &component, PROJECTION, "apply")?,
            component,
        })
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::component::Component {
        &self.component
    }

    /// `describe` and `apply`.
    pub(super) fn functions(&self) -> (&ComponentExportIndex, &ComponentExportIndex) {
        (&self.describe, &self.apply)
    }
}

fn check_imports(engine: &wasmtime::Engine, component: &wasmtime::component::Component) -> Result<(), Error> {
    let ty = component.component_type();
    let strange: Vec<&str> =
        ty.imports(engine).map(|(name, _)| name).filter(|name| !is_granted(name)).collect();
    if strange.is_empty() { Ok(()) } else { Err(not_granted(&strange)) }
}

/// Patch versions are compatible: whatever differs in type is found when it is linked.
fn is_granted(import: &str) -> bool {
    [LOGGER, SQL, TYPES].iter().any(|granted| release(granted) == release(import))
}

/// An interface's name without the patch version.
fn release(interface: &str) -> &str {
    interface.rsplit_once('.').map_or(interface, |(release, _)| release)
}

fn not_granted(names: &[&str]) -> Error {
    let wasi = names.iter().any(|name| name.starts_with("wasi"));
    Error::ImportNotGranted { imports: list(names), advice: if wasi { ADVICE_WASI } else { ADVICE_OTHER } }
}

fn export(
    engine: &wasmtime::Engine,
    component: &wasmtime::component::Component,
    interface: &'static str,
    function: &'static str,
) -> Result<ComponentExportIndex, Error> {
    let found = component
        .get_export_index(None, interface)
        .and_then(|instance| component.get_export_index(Some(&instance), function));
    found.ok_or_else(|| {
        let ty = component.component_type();
        let mut exports = Vec::new();
        for (name, item) in ty.exports(engine) {
            match item.ty {
                ComponentItem::ComponentInstance(instance) => {
                    exports
                        .extend(instance.exports(engine).map(|(function, _)| format!("{name}#{function}")));
                }
                _ => exports.push(name.to_owned()),
            }
        }
        Error::ExportMissing { missing: format!("{interface}#{function}"), exports: list(&exports) }
    })
}

/// The bytes of a component: as they are, or of a core module that is wrapped. What it imports and exports is
/// checked when it is compiled.
///
/// # Errors
/// When it is not WebAssembly, or a core module that does not fit the contract.
pub fn to_component(input: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    if !input.starts_with(b"\0asm") {
        return Err(Error::NotWasm { found: beginning(input) });
    }
    if Parser::is_component(input) {
        return Ok(Cow::Borrowed(input));
    }
    let outline = Outline::of(input)?;
    // Said here, since the wrapping says only that it knows no such interface.
    let strange: Vec<&str> = outline
        .imports
        .iter()
        .map(String::as_str)
        .filter(|name| name.starts_with("wasi") || *name == "env")
        .collect();
    if !strange.is_empty() {
        return Err(not_granted(&strange));
    }
    wrap(input, outline.has_world)
        .map(Cow::Owned)
        .map_err(|error| Error::Wrap { reason: format!("{error:#}"), exports: list(&outline.exports) })
}

fn wrap(module: &[u8], has_world: bool) -> anyhow::Result<Vec<u8>> {
    let mut module = Cow::Borrowed(module);
    if !has_world {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("lantern.wit", lantern_contract::WIT)?;
        let world = resolve.select_world(&[package], Some(WORLD))?;
        embed_component_metadata(module.to_mut(), &resolve, world, StringEncoding::UTF8)?;
    }
    ComponentEncoder::default().validate(true).module(&module)?.encode()
}

/// What can be seen of a core module without compiling it.
#[derive(Default)]
struct Outline {
    /// Modules that it imports from, each once.
    imports: Vec<String>,
    exports: Vec<String>,
    /// Whether its bindings left the world that they were made for.
    has_world: bool,
}

impl Outline {
    fn of(module: &[u8]) -> Result<Self, Error> {
        Self::read(module).map_err(|error| Error::Invalid { reason: error.to_string() })
    }

    fn read(module: &[u8]) -> wasmparser::Result<Self> {
        let mut outline = Outline::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::Version { encoding: Encoding::Component, .. } => break,
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let module = import?.module;
                        if !outline.imports.iter().any(|known| known == module) {
                            outline.imports.push(module.to_owned());
                        }
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        outline.exports.push(export?.name.to_owned());
                    }
                }
                Payload::CustomSection(section) if section.name().starts_with("component-type") => {
                    outline.has_world = true;
                }
                _ => {}
            }
        }
        Ok(outline)
    }
}

/// How bytes that are not WebAssembly start, in words.
fn beginning(input: &[u8]) -> String {
    if input.is_empty() {
        return "the file is empty".to_owned();
    }
    let start = &input[..input.len().min(16)];
    let mut text = format!("it starts with \"{}\"", start.escape_ascii());
    if input.trim_ascii_start().starts_with(b"(") {
        text.push_str(", which looks like its text form: translate it with `wasm-tools parse`");
    }
    text
}

fn list<T: AsRef<str>>(names: &[T]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let shown: Vec<&str> = names.iter().take(NAMES_MAX).map(AsRef::as_ref).collect();
    let mut text = shown.join(", ");
    if names.len() > NAMES_MAX {
        // Writing to a string does not fail.
        let _ = write!(text, " and {} more", names.len() - NAMES_MAX);
    }
    text
}
