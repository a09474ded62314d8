//! What a plugin imports and exports, checked once it is compiled.

use super::error::Error;
use super::kind::{COMMANDS, Kind, PROJECTION, TwoKinds, UPCAST};
use super::virtual_wasi;
use std::fmt::Write as _;
use std::sync::Arc;
use wasmtime::component::ComponentExportIndex;
use wasmtime::component::types::ComponentItem;

pub(super) const META: &str = "lantern:plugin/meta@0.1.0";
/// Names in a message; more would not be read.
const NAMES_MAX: usize = 12;

/// A compiled plugin. A clone is the same code.
#[derive(Clone)]
pub struct Component {
    component: wasmtime::component::Component,
    describe: ComponentExportIndex,
    functions: Functions,
    configuration: Option<Arc<str>>,
}

/// What a plugin exports beside its description.
#[derive(Clone)]
enum Functions {
    Projection { apply: ComponentExportIndex },
    Commands { decide: ComponentExportIndex, evolve: ComponentExportIndex },
    Upcaster { upcast: ComponentExportIndex },
}

impl Component {
    /// Checks that a component imports nothing but what it is given, and exports what its kind does.
    pub(super) fn checked(
        engine: &wasmtime::Engine,
        component: wasmtime::component::Component,
    ) -> Result<Self, Error> {
        let kind = Kind::of(|interface| component.get_export_index(None, interface).is_some())?;
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
                Kind::Upcaster => {
                    Functions::Upcaster { upcast: export(engine, &component, UPCAST, "upcast")? }
                }
            },
            component,
            configuration: None,
        })
    }

    /// The same, with the configuration that its file carries.
    pub(super) fn with_configuration(self, configuration: Option<Arc<str>>) -> Self {
        Self { configuration, ..self }
    }

    /// What was set for it.
    pub(super) fn configuration(&self) -> Option<Arc<str>> {
        self.configuration.clone()
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match self.functions {
            Functions::Projection { .. } => Kind::Projection,
            Functions::Commands { .. } => Kind::Commands,
            Functions::Upcaster { .. } => Kind::Upcaster,
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
            _ => Err(self.is_not(Kind::Projection)),
        }
    }

    /// A command handler's functions.
    pub(super) fn decide_and_evolve(&self) -> Result<(&ComponentExportIndex, &ComponentExportIndex), Error> {
        match &self.functions {
            Functions::Commands { decide, evolve } => Ok((decide, evolve)),
            _ => Err(self.is_not(Kind::Commands)),
        }
    }

    /// An upcaster's function.
    pub(super) fn upcast(&self) -> Result<&ComponentExportIndex, Error> {
        match &self.functions {
            Functions::Upcaster { upcast } => Ok(upcast),
            _ => Err(self.is_not(Kind::Upcaster)),
        }
    }

    fn is_not(&self, expected: Kind) -> Error {
        Error::OtherKind { expected, found: self.kind() }
    }
}

impl From<TwoKinds> for Error {
    fn from(TwoKinds(first, second): TwoKinds) -> Self {
        Error::TwoKinds { first, second }
    }
}

fn check_imports(
    engine: &wasmtime::Engine,
    component: &wasmtime::component::Component,
    kind: Kind,
) -> Result<(), Error> {
    let ty = component.component_type();
    // Patch versions are compatible: whatever differs in type is found when it is linked.
    let is_granted = |import: &str| {
        let mut granted = kind.granted().iter().copied().chain([virtual_wasi::PROCESS]);
        granted.any(|granted| release(granted) == release(import)) || virtual_wasi::is_granted(import)
    };
    let strange: Vec<&str> =
        ty.imports(engine).map(|(name, _)| name).filter(|name| !is_granted(name)).collect();
    if strange.is_empty() { Ok(()) } else { Err(not_granted(&strange, kind)) }
}

/// An interface's name without the patch version.
fn release(interface: &str) -> &str {
    interface.rsplit_once('.').map_or(interface, |(release, _)| release)
}

pub(super) fn not_granted(names: &[&str], kind: Kind) -> Error {
    let wasi = names.iter().any(|name| name.starts_with("wasi"));
    Error::ImportNotGranted {
        imports: list(names),
        kind,
        advice: if wasi { virtual_wasi::ADVICE } else { kind.advice() },
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

/// Names in a message.
pub(super) fn list<T: AsRef<str>>(names: &[T]) -> String {
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
