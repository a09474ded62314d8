//! Core modules: what can be seen of one, and how it is wrapped as a component.

use super::component::{list, not_granted};
use super::error::Error;
use super::kind::Kind;
use super::virtual_wasi;
use std::borrow::Cow;
use wasmparser::{Encoding, Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

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
    let kind = outline.kind()?;
    // Said here, since the wrapping says only that it knows no such interface.
    let strange: Vec<&str> =
        outline.imports.iter().map(String::as_str).filter(|name| outline.is_strange(name, kind)).collect();
    if !strange.is_empty() {
        return Err(not_granted(&strange, kind));
    }
    wrap(input, &outline, kind)
        .map(Cow::Owned)
        .map_err(|error| Error::Wrap { reason: format!("{error:#}"), exports: list(&outline.exports) })
}

fn wrap(module: &[u8], outline: &Outline, kind: Kind) -> anyhow::Result<Vec<u8>> {
    let mut module = Cow::Borrowed(module);
    if !outline.has_world {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("lantern.wit", lantern_contract::WIT)?;
        let world = resolve.select_world(&[package], Some(kind.world()))?;
        embed_component_metadata(module.to_mut(), &resolve, world, StringEncoding::UTF8)?;
    }
    let mut encoder = ComponentEncoder::default().validate(true).module(&module)?;
    if outline.imports.iter().any(|name| name == virtual_wasi::PREVIEW1) {
        encoder = encoder.adapter(virtual_wasi::PREVIEW1, virtual_wasi::adapter()?)?;
    }
    encoder.encode()
}

/// What can be seen of a core module without compiling it.
#[derive(Default)]
struct Outline {
    /// Modules that it imports from, each once; of `env`, which toolchains use for whatever they do not find, the functions too.
    imports: Vec<String>,
    exports: Vec<String>,
    /// Whether its bindings left the world that they were made for.
    has_world: bool,
}

impl Outline {
    /// What it is taken for.
    fn kind(&self) -> Result<Kind, Error> {
        Ok(Kind::of(|interface| self.exports.iter().any(|export| export.starts_with(interface)))?)
    }

    /// Whether nothing of this name is given to it. Of a module that brings a world this is known only when it is wrapped.
    fn is_strange(&self, import: &str, kind: Kind) -> bool {
        if import.starts_with("env.") {
            return true;
        }
        let is_interface = import.contains(':') && !import.contains(['[', '|']);
        let is_given = import == virtual_wasi::PREVIEW1 || kind.granted().contains(&import);
        !is_given && (import.starts_with("wasi") || is_interface && !self.has_world)
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
                        let import = import?;
                        let name = match import.module {
                            "env" => format!("env.{}", import.name),
                            module => module.to_owned(),
                        };
                        if !outline.imports.contains(&name) {
                            outline.imports.push(name);
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
