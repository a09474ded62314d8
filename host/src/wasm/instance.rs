//! One plugin's memory, and its calls.

use super::component::{Component, META, PROJECTION};
use super::engine::{Engine, TICK};
use super::error::Error;
use super::failure::Failure;
use super::imports::{Host, Imports, linker};
use super::limits::{Limits, bytes};
use super::trap::{CallError, Trap, explain};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use wasmtime::component::{ComponentNamedList, Func, Lift, Lower};
use wasmtime::{AsContextMut, Store};

type DescribeResult = (String,);
type ApplyResult = (Result<Vec<u8>, Failure>,);

/// One plugin's memory, and its calls. It lives on one thread at a time, which needs
/// [`Limits::thread_stack_bytes`] of stack.
pub struct Instance<I: Imports> {
    store: Store<Host<I>>,
    describe: Func,
    apply: Func,
    limits: Limits,
    trapped: bool,
}

/// Stops an instance's code from another thread, within a tick and for good.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// The running call and every later one end with [`Trap::Interrupted`].
    pub fn interrupt(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was interrupted. Host functions that take long ask this.
    pub fn is_interrupted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<I: Imports> Instance<I> {
    /// Makes an instance, and runs what the plugin does at its start.
    ///
    /// # Errors
    /// When an import or export is not of the contract's type, or the plugin does not start within its limits.
    pub fn new(engine: &Engine, component: &Component, imports: I, limits: &Limits) -> Result<Self, Error> {
        let host = Host::new(imports, limits, Arc::clone(engine.ticks()));
        let mut store = Store::new(engine.wasmtime(), host);
        store.limiter(|host| host);
        store.set_hostcall_fuel(bytes(limits.output_bytes_max));
        store.epoch_deadline_callback(|store| store.data().on_tick());
        begin_call(&mut store, limits.call_time());

        let linked = linker(engine.wasmtime())
            .and_then(|linker| linker.instantiate_pre(component.wasmtime()))
            .map_err(|error| Error::ImportType { reason: format!("{error:#}") })?;
        let instance = match linked.instantiate(&mut store) {
            Ok(instance) => instance,
            Err(error) => {
                let reason = explain(&error, store.data_mut()).to_string();
                return Err(Error::Start { reason });
            }
        };
        let (describe, apply) = component.functions();
        let describe = instance.get_func(&mut store, describe);
        let apply = instance.get_func(&mut store, apply);
        Ok(Self {
            describe: typed::<(), DescribeResult>(&mut store, describe, META, "describe")?,
            apply: typed::<(&[u8],), ApplyResult>(&mut store, apply, PROJECTION, "apply")?,
            store,
            limits: limits.clone(),
            trapped: false,
        })
    }

    /// The plugin's manifest, as JSON.
    ///
    /// # Errors
    /// When the plugin traps.
    pub fn describe(&mut self) -> Result<String, CallError> {
        let describe = self.describe;
        let (manifest,) = self.call::<_, DescribeResult>(describe, (), self.limits.call_time())?;
        Ok(manifest)
    }

    /// Applies a frame of `event_count` events; answers the frame of writes that are left to do.
    ///
    /// # Errors
    /// When the plugin answers with a failure, or traps.
    pub fn apply(&mut self, events: &[u8], event_count: usize) -> Result<Vec<u8>, CallError> {
        let apply = self.apply;
        let (result,) = self.call::<_, ApplyResult>(apply, (events,), self.limits.batch_time(event_count))?;
        Ok(result?)
    }

    /// What the plugin may ask of its host.
    pub fn imports(&mut self) -> &mut I {
        self.store.data_mut().imports()
    }

    /// Ends the instance and gives its imports back.
    pub fn into_imports(self) -> I {
        self.store.into_data().into_imports()
    }

    /// A handle that stops this instance from another thread.
    pub fn interrupt(&self) -> Interrupt {
        Interrupt(Arc::clone(self.store.data().interrupted()))
    }

    fn call<P, R>(&mut self, function: Func, params: P, time: Duration) -> Result<R, CallError>
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

/// Checks that a function is there and of the contract's type, so that calls need not expect otherwise.
fn typed<P, R>(
    store: impl AsContextMut,
    function: Option<Func>,
    interface: &'static str,
    name: &'static str,
) -> Result<Func, Error>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    let wrong = |reason| Error::ExportType { interface, function: name, reason };
    let function = function.ok_or_else(|| wrong("it is not a function".to_owned()))?;
    match function.typed::<P, R>(&store) {
        Ok(_) => Ok(function),
        Err(error) => Err(wrong(format!("{error:#}"))),
    }
}
