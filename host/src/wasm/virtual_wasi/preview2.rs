//! WASI 0.2 for components that import it, as much as a runtime needs to start and to run.
//!
//! Interfaces are defined under the very names and versions that a component imports. What is in them and means nothing here
//! (files, sockets) is there too, and ends the call with its name when it is called: Python's runtime imports all of it and uses none.

use super::{Exit, Stream};
use crate::wasm::imports::{Host, Imports};
use wasmtime::StoreContextMut;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, LinkerInstance, Resource, ResourceAny, ResourceType, Val};

/// What to do about an import of WASI that is not given.
pub(in crate::wasm) const ADVICE: &str = "a plugin has no network, files, clock or environment; of WASI it is given what a \
     runtime needs to start (preview 1, or wasi:cli, clocks, filesystem, io, random and sockets of 0.2, all of them empty): leave the \
     feature out that needs it, with componentize-js by `--disable http`";

/// The packages of WASI that are there.
const PACKAGES: [&str; 6] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];
/// How much a stream takes at once.
const WRITE_BYTES_MAX: u64 = 64 << 10;
/// How many random bytes there are at once: here each takes 40 bytes.
const RANDOM_BYTES_MAX: u64 = 64 << 10;

struct InputStream;
struct OutputStream;
struct Pollable;
/// A resource of which there is none.
struct Absent;

/// Whether an import is of the virtual WASI.
pub(in crate::wasm) fn is_granted(import: &str) -> bool {
    PACKAGES.iter().any(|package| import.starts_with(package)) && version(import).starts_with("0.2.")
}

fn version(import: &str) -> &str {
    import.rsplit_once('@').map_or("", |(_, version)| version)
}

/// Defines what a component imports of WASI.
pub(in crate::wasm) fn link<I: Imports>(
    linker: &mut Linker<Host<I>>,
    component: &Component,
) -> wasmtime::Result<()> {
    let engine = linker.engine().clone();
    for (interface, item) in component.component_type().imports(&engine) {
        if !is_granted(interface) {
            continue;
        }
        let ComponentItem::ComponentInstance(ty) = item.ty else { continue };
        let mut instance = linker.instance(interface)?;
        for (name, item) in ty.exports(&engine) {
            match item.ty {
                ComponentItem::ComponentFunc(_) => define(&mut instance, interface, name)?,
                ComponentItem::Resource(_) => instance.resource(name, resource(name), |_, _| Ok(()))?,
                // Types are not to be given.
                _ => {}
            }
        }
    }
    Ok(())
}

fn resource(name: &str) -> ResourceType {
    match name {
        "input-stream" => ResourceType::host::<InputStream>(),
        "output-stream" => ResourceType::host::<OutputStream>(),
        "pollable" => ResourceType::host::<Pollable>(),
        _ => ResourceType::host::<Absent>(),
    }
}

fn define<I: Imports>(
    instance: &mut LinkerInstance<'_, Host<I>>,
    interface: &str,
    name: &str,
) -> wasmtime::Result<()> {
    let path = interface.split('@').next().unwrap_or(interface);
    let function = format!("{path}#{name}");
    instance.func_new(name, move |mut store, ty, params, results| {
        let answer = call(&mut store, &function, params)?;
        match (results, answer) {
            ([result], Some(answer)) => *result = answer,
            ([], None) => {}
            // A version of WASI with other types than those that are known here.
            _ => {
                wasmtime::bail!("{function} is of another type here: {:?}", ty.results().collect::<Vec<_>>())
            }
        }
        Ok(())
    })
}

/// Calls a function of WASI, by `package/interface#name`.
fn call<I: Imports>(
    store: &mut StoreContextMut<'_, Host<I>>,
    function: &str,
    params: &[Val],
) -> wasmtime::Result<Option<Val>> {
    let ok = |value: Option<Val>| Some(Val::Result(Ok(value.map(Box::new))));
    Ok(match (function, params) {
        ("wasi:cli/environment#get-environment" | "wasi:cli/environment#get-arguments", _) => {
            Some(Val::List(Vec::new()))
        }
        ("wasi:cli/environment#initial-cwd", _) => Some(Val::Option(None)),
        ("wasi:cli/exit#exit", params) => {
            let failed = matches!(params, [Val::Result(Err(_))]);
            return Err(Exit { status: u32::from(failed) }.into());
        }
        ("wasi:cli/exit#exit-with-code", [Val::U8(status)]) => {
            return Err(Exit { status: u32::from(*status) }.into());
        }
        ("wasi:cli/stdin#get-stdin", _) => Some(own::<I, InputStream>(store, 0)?),
        ("wasi:cli/stdout#get-stdout", _) => Some(own::<I, OutputStream>(store, Stream::Out as u32)?),
        ("wasi:cli/stderr#get-stderr", _) => Some(own::<I, OutputStream>(store, Stream::Err as u32)?),
        (
            "wasi:cli/terminal-stdin#get-terminal-stdin"
            | "wasi:cli/terminal-stdout#get-terminal-stdout"
            | "wasi:cli/terminal-stderr#get-terminal-stderr",
            _,
        ) => Some(Val::Option(None)),
        ("wasi:clocks/monotonic-clock#now", _) => Some(Val::U64(store.data_mut().world().now_ns())),
        ("wasi:clocks/monotonic-clock#resolution", _) => Some(Val::U64(1_000)),
        ("wasi:clocks/monotonic-clock#subscribe-duration", [Val::U64(ns)]) => {
            let world = store.data_mut().world();
            let now = world.now_ns();
            world.sleep_until(now.saturating_add(*ns));
            Some(own::<I, Pollable>(store, 0)?)
        }
        ("wasi:clocks/monotonic-clock#subscribe-instant", [Val::U64(at)]) => {
            store.data_mut().world().sleep_until(*at);
            Some(own::<I, Pollable>(store, 0)?)
        }
        ("wasi:clocks/wall-clock#now", _) => Some(time(0, 0)),
        ("wasi:clocks/wall-clock#resolution", _) => Some(time(0, 1_000)),
        (
            "wasi:random/random#get-random-bytes" | "wasi:random/insecure#get-insecure-random-bytes",
            [Val::U64(len)],
        ) => {
            if *len > RANDOM_BYTES_MAX {
                wasmtime::bail!(
                    "it asked for {len} random bytes at once; a plugin is given {RANDOM_BYTES_MAX} at most"
                );
            }
            let len = usize::try_from(*len)?;
            Some(Val::List(store.data_mut().world().random_bytes(len).map(Val::U8).collect()))
        }
        ("wasi:random/random#get-random-u64" | "wasi:random/insecure#get-insecure-random-u64", _) => {
            Some(Val::U64(store.data_mut().world().random()))
        }
        ("wasi:random/insecure-seed#insecure-seed" | "wasi:random/insecure-seed#get-insecure-seed", _) => {
            let world = store.data_mut().world();
            Some(Val::Tuple(vec![Val::U64(world.random()), Val::U64(world.random())]))
        }
        ("wasi:io/poll#[method]pollable.ready", _) => Some(Val::Bool(true)),
        ("wasi:io/poll#[method]pollable.block", _) => None,
        ("wasi:io/poll#poll", [Val::List(pollables)]) => Some(Val::List(
            (0..pollables.len()).map(|at| Val::U32(u32::try_from(at).unwrap_or(u32::MAX))).collect(),
        )),
        (
            "wasi:io/streams#[method]input-stream.subscribe"
            | "wasi:io/streams#[method]output-stream.subscribe",
            _,
        ) => Some(own::<I, Pollable>(store, 0)?),
        (
            "wasi:io/streams#[method]input-stream.read"
            | "wasi:io/streams#[method]input-stream.blocking-read"
            | "wasi:io/streams#[method]input-stream.skip"
            | "wasi:io/streams#[method]input-stream.blocking-skip",
            _,
        ) => {
            let closed = Val::Variant("closed".to_owned(), None);
            Some(Val::Result(Err(Some(Box::new(closed)))))
        }
        ("wasi:io/streams#[method]output-stream.check-write", _) => ok(Some(Val::U64(WRITE_BYTES_MAX))),
        (
            "wasi:io/streams#[method]output-stream.write"
            | "wasi:io/streams#[method]output-stream.blocking-write-and-flush",
            [Val::Resource(stream), Val::List(written)],
        ) => {
            let stream = stream.try_into_resource::<OutputStream>(&mut *store)?.rep();
            let written: Vec<u8> = written
                .iter()
                .map_while(|byte| if let Val::U8(byte) = byte { Some(*byte) } else { None })
                .collect();
            let stream = if stream == Stream::Err as u32 { Stream::Err } else { Stream::Out };
            store.data_mut().write(stream, &written);
            ok(None)
        }
        (
            "wasi:io/streams#[method]output-stream.flush"
            | "wasi:io/streams#[method]output-stream.blocking-flush",
            _,
        ) => ok(None),
        ("wasi:filesystem/preopens#get-directories", _) => Some(Val::List(Vec::new())),
        ("wasi:filesystem/types#filesystem-error-code", _) => Some(Val::Option(None)),
        _ => wasmtime::bail!("it called {function}, which is not there for plugins; {ADVICE}"),
    })
}

fn own<I: Imports, T: 'static>(store: &mut StoreContextMut<'_, Host<I>>, rep: u32) -> wasmtime::Result<Val> {
    Ok(Val::Resource(ResourceAny::try_from_resource(Resource::<T>::new_own(rep), store)?))
}

fn time(seconds: u64, nanoseconds: u32) -> Val {
    Val::Record(vec![
        ("seconds".to_owned(), Val::U64(seconds)),
        ("nanoseconds".to_owned(), Val::U32(nanoseconds)),
    ])
}
