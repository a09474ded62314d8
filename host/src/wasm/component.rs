//! What kind of WebAssembly a file is, how a core module is wrapped, and what a plugin must export.

use super::error::Error;
use super::imports::{LOGGER, SQL};
use std::borrow::Cow;
use std::fmt::{self, Write as _};
use wasmparser::{Encoding, Parser, Payload};
use wasmtime::component::ComponentExportIndex;
use wasmtime::component::types::ComponentItem;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

pub(super) const META: &str = "lantern:plugin/meta@0.1.0";
pub(super) const PROJECTION: &str = "lantern:plugin/projection@0.1.0";
pub(super) const COMMANDS: &str = "lantern:plugin/commands@0.1.0";
const TYPES: &str = "lantern:plugin/types@0.1.0";
/// Names in a message; more would not be read.
const NAMES_MAX: usize = 12;

const ADVICE_WASI: &str = "a plugin has no files, network, clock or environment: in Rust, build for wasm32-unknown-unknown \
     (`lantern build` does)";
const ADVICE_PROJECTION: &str = "a projection may import lantern:plugin/logger and lantern:plugin/sql";
const ADVICE_COMMANDS: &str =
    "a command handler may import lantern:plugin/logger: all that it decides on is its state";

/// What a plugin is, by what it exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Events in, rows out.
    Projection,
    /// Commands in, events out.
    Commands,
}

impl Kind {
    /// The world of the contract.
    fn world(self) -> &'static str {
        match self {
            Kind::Projection => "projection-plugin",
            Kind::Commands => "command-handler",
        }
    }

    /// The interfaces that it is given. `types` has types only: there is nothing to give.
    fn granted(self) -> &'static [&'static str] {
        match self {
            Kind::Projection => &[LOGGER, SQL, TYPES],
            Kind::Commands => &[LOGGER, TYPES],
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Kind::Projection => ADVICE_PROJECTION,
            Kind::Commands => ADVICE_COMMANDS,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Projection => "projection",
            Kind::Commands => "command handler",
        })
    }
}

/// A compiled plugin. A clone is the same code.
#[derive(Clone)]
pub struct Component {
    component: wasmtime::component::Component,
    describe: ComponentExportIndex,
    functions: Functions,
}

/// What a plugin exports beside its description.
#[derive(Clone)]
enum Functions {
    Projection { apply: ComponentExportIndex },
    Commands { decide: ComponentExportIndex, evolve: ComponentExportIndex },
}

impl Component {
    /// Checks that a component imports nothing but what it is given, and exports what its kind does.
    pub(super) fn checked(
        engine: &wasmtime::Engine,
        component: wasmtime::component::Component,
    ) -> Result<Self, Error> {
        let has = |interface| component.get_export_index(None, interface).is_some();
        let kind = match (has(PROJECTION), has(COMMANDS)) {
            (true, true) => return Err(Error::TwoKinds),
            (_, is_handler) => kind(is_handler),
        };
        check_imports(engine, &component, kind)?;
        Ok(Self {
            describe: export(engine, &component, META, "describe")?,
            functions: match kind {
                Kind::Projection => {
                    Functions::Projection { apply: export(engine, &component, PROJECTION, "apply")? }
                }
                Kind::Commands => Functions::Commands {
                    decide: export(engine, &component, COMMANDS, "decide")?,
                    evolve: export(engine, &component, COMMANDS, "evolve")?,
                },
            },
            component,
        })
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match self.functions {
            Functions::Projection { .. } => Kind::Projection,
            Functions::Commands { .. } => Kind::Commands,
        }
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::component::Component {
        &self.component
    }

    pub(super) fn describe(&self) -> &ComponentExportIndex {
        &self.describe
    }

    /// A projection's function.
    pub(super) fn apply(&self) -> Result<&ComponentExportIndex, Error> {
        match &self.functions {
            Functions::Projection { apply } => Ok(apply),
            Functions::Commands { .. } => Err(self.is_not(Kind::Projection)),
        }
    }

    /// A command handler's functions.
    pub(super) fn decide_and_evolve(&self) -> Result<(&ComponentExportIndex, &ComponentExportIndex), Error> {
        match &self.functions {
            Functions::Commands { decide, evolve } => Ok((decide, evolve)),
            Functions::Projection { .. } => Err(self.is_not(Kind::Commands)),
        }
    }

    fn is_not(&self, expected: Kind) -> Error {
        Error::OtherKind { expected, found: self.kind() }
    }
}

/// What says nothing of commands is taken for a projection, and told what it lacks for one.
fn kind(is_handler: bool) -> Kind {
    if is_handler { Kind::Commands } else { Kind::Projection }
}

fn check_imports(
    engine: &wasmtime::Engine,
    component: &wasmtime::component::Component,
    kind: Kind,
) -> Result<(), Error> {
    let ty = component.component_type();
    // Patch versions are compatible: whatever differs in type is found when it is linked.
    let is_granted = |import: &str| kind.granted().iter().any(|granted| release(granted) == release(import));
    let strange: Vec<&str> =
        ty.imports(engine).map(|(name, _)| name).filter(|name| !is_granted(name)).collect();
    if strange.is_empty() { Ok(()) } else { Err(not_granted(&strange, kind)) }
}

/// An interface's name without the patch version.
fn release(interface: &str) -> &str {
    interface.rsplit_once('.').map_or(interface, |(release, _)| release)
}

fn not_granted(names: &[&str], kind: Kind) -> Error {
    let wasi = names.iter().any(|name| name.starts_with("wasi"));
    Error::ImportNotGranted {
        imports: list(names),
        kind,
        advice: if wasi { ADVICE_WASI } else { kind.advice() },
    }
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
        return Err(not_granted(&strange, outline.kind()));
    }
    wrap(input, &outline)
        .map(Cow::Owned)
        .map_err(|error| Error::Wrap { reason: format!("{error:#}"), exports: list(&outline.exports) })
}

fn wrap(module: &[u8], outline: &Outline) -> anyhow::Result<Vec<u8>> {
    let mut module = Cow::Borrowed(module);
    if !outline.has_world {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("lantern.wit", lantern_contract::WIT)?;
        let world = resolve.select_world(&[package], Some(outline.kind().world()))?;
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
    /// What it is taken for.
    fn kind(&self) -> Kind {
        kind(self.exports.iter().any(|export| export.starts_with(COMMANDS)))
    }

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
