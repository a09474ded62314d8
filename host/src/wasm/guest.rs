//! One plugin's memory, and how its functions are called, whatever it exports.

use super::component::{Component, META};
use super::engine::{Engine, TICK};
use super::error::Error;
use super::imports::{Host, Imports, linker};
use super::limits::{Limits, bytes};
use super::trap::{CallError, Trap, explain};
use std::sync::Arc;
use std::time::Duration;
use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Func, Lift, Lower};

type DescribeResult = (String,);

/// An instance with the one function that every plugin has.
pub(super) struct Guest<I: Imports> {
    store: Store<Host<I>>,
    instance: wasmtime::component::Instance,
    describe: Func,
    limits: Limits,
    trapped: bool,
}

impl<I: Imports> Guest<I> {
    /// Makes an instance, and runs what the plugin does at its start.
    pub(super) fn new(
        engine: &Engine,
        component: &Component,
        imports: I,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let host = Host::new(imports, component.configuration(), limits, Arc::clone(engine.ticks()));
        let mut store = Store::new(engine.wasmtime(), host);
        store.limiter(|host| host);
        store.set_hostcall_fuel(bytes(limits.output_bytes_max));
        store.epoch_deadline_callback(|store| store.data().on_tick());
        begin_call(&mut store, limits.call_time());

        let linked = linker(engine.wasmtime(), component.wasmtime())
            .and_then(|linker| linker.instantiate_pre(component.wasmtime()))
            .map_err(|error| Error::ImportType { reason: format!("{error:#}") })?;
        let instance = match linked.instantiate(&mut store) {
            Ok(instance) => instance,
            Err(error) => {
                store.data_mut().end_lines();
                let reason = explain(&error, store.data_mut()).to_string();
                return Err(Error::Start { reason });
            }
        };
        let describe =
            typed::<I, (), DescribeResult>(&mut store, &instance, component.describe(), META, "describe")?;
        Ok(Self { store, instance, describe, limits: limits.clone(), trapped: false })
    }

    /// A function of this type, so that calls need not expect another.
    pub(super) fn function<P, R>(
        &mut self,
        export: &ComponentExportIndex,
        interface: &'static str,
        name: &'static str,
    ) -> Result<Func, Error>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        typed::<I, P, R>(&mut self.store, &self.instance, export, interface, name)
    }

    pub(super) fn describe(&mut self) -> Result<String, CallError> {
        let (describe, time) = (self.describe, self.limits.call_time());
        let (manifest,) = self.call::<_, DescribeResult>(describe, (), time)?;
        Ok(manifest)
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn imports(&mut self) -> &mut I {
        self.store.data_mut().imports()
    }

    pub(super) fn into_imports(self) -> I {
        self.store.into_data().into_imports()
    }

    pub(super) fn call<P, R>(&mut self, function: Func, params: P, time: Duration) -> Result<R, CallError>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        if self.trapped {
            return Err(CallError::Trap {
                kind: Trap::Other,
                message: "the instance trapped before and cannot be called again".to_owned(),
                backtrace: Vec::new(),
            });
        }
        begin_call(&mut self.store, time);
        let result =
            function.typed::<P, R>(&self.store).and_then(|function| function.call(&mut self.store, params));
        self.store.data_mut().end_lines();
        result.map_err(|error| {
            self.trapped = true;
            explain(&error, self.store.data_mut())
        })
    }
}

fn begin_call<I: Imports>(store: &mut Store<Host<I>>, time: Duration) {
    store.data_mut().begin_call(time, TICK);
    // The deadline itself is kept by the callback, which sees every tick.
    store.set_epoch_deadline(1);
}

/// Checks that a function is there and of the contract's type.
fn typed<I, P, R>(
    store: &mut Store<Host<I>>,
    instance: &wasmtime::component::Instance,
    export: &ComponentExportIndex,
    interface: &'static str,
    name: &'static str,
) -> Result<Func, Error>
where
    I: Imports,
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    let wrong = |reason| Error::ExportType { interface, function: name, reason };
    let function = instance.get_func(&mut *store, export);
    let function = function.ok_or_else(|| wrong("it is not a function".to_owned()))?;
    match function.typed::<P, R>(&*store) {
        Ok(_) => Ok(function),
        Err(error) => Err(wrong(format!("{error:#}"))),
    }
}
