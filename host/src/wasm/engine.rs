//! The engine: its settings, the clock of deadlines, and `compile`.

use super::cache::{self, Cache};
use super::component::Component;
use super::configured::configuration;
use super::error::Error;
use super::limits::{Limits, STACK_BYTES_MAX, bytes};
use super::wrap::to_component;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use wasmtime::{Config, EngineWeak, Strategy, WasmBacktraceDetails};

/// The clock of deadlines: how late, at most, running code is stopped.
pub const TICK: Duration = Duration::from_millis(10);

/// Compiles plugins and runs their clock. One serves the whole process; a clone is the same engine.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    cache: Option<Arc<Cache>>,
    /// Another one, that is only looked into.
    other: Option<Arc<Cache>>,
    ticks: Arc<AtomicU64>,
}

impl Engine {
    /// An engine with the default limits; compiled code is kept in the folder `cache`, if there is one.
    ///
    /// # Errors
    /// When the machine is not supported, the stack is too large, or the folder is not this user's own.
    pub fn new(cache: Option<PathBuf>) -> Result<Self, Error> {
        Self::with_limits(cache, &Limits::default())
    }

    /// As [`Engine::new`], with the stack that `limits` give.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn with_limits(cache: Option<PathBuf>, limits: &Limits) -> Result<Self, Error> {
        let cache = cache.map(Cache::open).transpose()?.map(Arc::new);
        let unusable = |reason: String| Error::Engine { reason };
        let stack = limits.stack_bytes_max;
        if stack == 0 || stack > STACK_BYTES_MAX {
            return Err(unusable(format!(
                "`stack_bytes_max` is {stack}; set it to a value from 1 to {STACK_BYTES_MAX}"
            )));
        }
        let engine =
            wasmtime::Engine::new(&settings(limits)).map_err(|error| unusable(format!("{error:#}")))?;
        let ticks = Arc::new(AtomicU64::new(0));
        let clock = (engine.weak(), Arc::clone(&ticks));
        std::thread::Builder::new()
            .name("lantern-epochs".to_owned())
            .spawn(move || tick(&clock.0, &clock.1))
            .map_err(|error| unusable(format!("no thread for its clock: {error}")))?;
        Ok(Self { engine, cache, other: None, ticks })
    }

    /// The same, which also looks for compiled code in another folder. What it finds there it keeps in its own.
    pub fn looking_into(self, folder: Option<PathBuf>) -> Self {
        let other = folder.filter(|folder| folder.is_dir()).and_then(|folder| {
            let opened = Cache::open(folder);
            opened.inspect_err(|error| tracing::debug!("compiled code is not looked for: {error}")).ok()
        });
        Self { other: other.map(Arc::new), ..self }
    }

    /// Makes a component of what a file holds: a component, or a core module of the contract's world. Takes
    /// 0.1 s and up to several seconds for large plugins, and a few milliseconds when it was compiled before.
    ///
    /// # Errors
    /// When it is not a plugin; the error says what is missing.
    pub fn compile(&self, input: &[u8]) -> Result<Component, Error> {
        let caches = [&self.cache, &self.other];
        let key = caches.iter().any(|cache| cache.is_some()).then(|| cache::key(&self.engine, input));
        let load = |cache: &Option<Arc<Cache>>| cache.as_ref()?.load(&self.engine, key.as_deref()?);
        let kept = load(&self.cache);
        let is_kept = kept.is_some();
        let compiled = match kept.or_else(|| load(&self.other)) {
            Some(compiled) => compiled,
            None => wasmtime::component::Component::from_binary(&self.engine, &to_component(input)?)
                .map_err(|error| Error::Invalid { reason: format!("{error:#}") })?,
        };
        let component = Component::checked(&self.engine, compiled)?;
        if let (Some(cache), Some(key), false) = (&self.cache, &key, is_kept) {
            cache.store(key, component.wasmtime());
        }
        Ok(component.with_configuration(configuration(input)))
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    pub(super) fn ticks(&self) -> &Arc<AtomicU64> {
        &self.ticks
    }
}

/// Settings that differ from wasmtime's defaults, or that must never follow a change of them.
fn settings(limits: &Limits) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        // Deadlines. Fuel would count exactly, and costs more.
        .epoch_interruption(true)
        // A replay gives the same rows on every machine: no bits of NaNs and no results of relaxed
        // instructions that depend on the processor. Threads are not even compiled in.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // The contract's ABI has 32-bit pointers.
        .wasm_memory64(false)
        // It costs 250 ns a call and nothing uses it.
        .concurrency_support(false)
        // Bounds and null checks by the processor: 23 % faster than in code.
        .signals_based_traps(true)
        .max_wasm_stack(bytes(limits.stack_bytes_max))
        // Lines in backtraces, when the file has them, whatever the environment says.
        .wasm_backtrace_details(WasmBacktraceDetails::Enable);
    config
}

/// Advances the clock as long as the engine lives.
fn tick(engine: &EngineWeak, ticks: &AtomicU64) {
    loop {
        std::thread::sleep(TICK);
        let Some(engine) = engine.upgrade() else { return };
        // First the count, then the epoch that makes running code look at it.
        ticks.fetch_add(1, Ordering::Relaxed);
        engine.increment_epoch();
    }
}
