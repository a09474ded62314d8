//! What a plugin may ask of its host, and the bookkeeping around it.

use super::failure::Failure;
use super::limits::{Limits, bytes};
use super::log_budget::{Admission, LogBudget};
use super::virtual_wasi::{self, Virtual};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use wasmtime::component::{Linker, WasmList, WasmStr};
use wasmtime::{StoreContextMut, UpdateDeadline};

pub(super) const LOGGER: &str = "lantern:plugin/logger@0.1.0";
pub(super) const CONFIG: &str = "lantern:plugin/config@0.1.0";
pub(super) const SQL: &str = "lantern:plugin/sql@0.1.0";

/// What a plugin may ask of its host.
pub trait Imports: Send + 'static {
    /// A call begins that has to end at `at`. Epochs stop the plugin's own code only, so whoever runs
    /// long statements for it has to watch the time himself.
    fn deadline(&mut self, at: Instant);

    /// A message for the plugin's log, already cut to its limits.
    fn log(&mut self, level: Level, message: &str);

    /// Checks a statement and gives it an id.
    ///
    /// # Errors
    /// What the plugin is told.
    fn prepare(&mut self, sql: &str) -> Result<u32, Failure>;

    /// Runs a frame of writes; answers how many rows changed. The bytes are the plugin's own memory:
    /// hostile input, and lent for this call.
    ///
    /// # Errors
    /// What the plugin is told.
    fn apply(&mut self, ops: &[u8]) -> Result<u32, Failure>;

    /// Runs a statement that reads, and answers a frame of at most `rows_max` rows.
    ///
    /// # Errors
    /// What the plugin is told.
    fn query(&mut self, statement: u32, params: &[u8], rows_max: u32) -> Result<Vec<u8>, Failure>;
}

/// How serious a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is not as expected.
    Warn,
    /// For people who watch.
    Info,
    /// For the plugin's author.
    Debug,
    /// For the plugin's author, in large amounts.
    Trace,
}

impl Level {
    /// Writes a plugin's message into the log of the process.
    pub fn write(self, plugin: &str, message: &str) {
        match self {
            Level::Error => tracing::error!(plugin, "{message}"),
            Level::Warn => tracing::warn!(plugin, "{message}"),
            Level::Info => tracing::info!(plugin, "{message}"),
            Level::Debug => tracing::debug!(plugin, "{message}"),
            Level::Trace => tracing::trace!(plugin, "{message}"),
        }
    }
}

impl From<u32> for Level {
    /// Levels that the contract does not know are taken as the least serious.
    fn from(level: u32) -> Self {
        match level {
            0 => Level::Error,
            1 => Level::Warn,
            2 => Level::Info,
            3 => Level::Debug,
            _ => Level::Trace,
        }
    }
}

/// Running code was stopped.
#[derive(Debug, thiserror::Error)]
#[error("it took longer than {} ms, the time that `event_ms_max` and `call_ms_max` give this call", after.as_millis())]
pub(super) struct DeadlinePassed {
    after: Duration,
}

/// The data of a store: the imports, and what has to be remembered during a call.
pub(super) struct Host<I> {
    configuration: Option<Arc<str>>,
    /// Boxed, and taken out while one of them runs, so that it can be lent the guest's memory, which
    /// belongs to the same store. There is none only after a panic in it, which nobody outlives.
    imports: Option<Box<I>>,
    limits: Limits,
    log: LogBudget,
    /// The last message of level error in this call.
    last_error: Option<String>,
    /// Bytes of all linear memories.
    memory_bytes: usize,
    /// What was refused in this call.
    refused: Option<String>,
    ticks: Arc<AtomicU64>,
    deadline_tick: u64,
    call_time: Duration,
    world: Virtual,
}

const IMPORTS_PRESENT: &str =
    "imports are put back when one of them returns, and a panic in one of them unwinds through their owner";

impl<I: Imports> Host<I> {
    pub(super) fn new(
        imports: I,
        configuration: Option<Arc<str>>,
        limits: &Limits,
        ticks: Arc<AtomicU64>,
    ) -> Self {
        Self {
            configuration,
            imports: Some(Box::new(imports)),
            log: LogBudget::new(limits.log_lines_per_second_max),
            limits: limits.clone(),
            last_error: None,
            memory_bytes: 0,
            refused: None,
            ticks,
            deadline_tick: 0,
            call_time: Duration::ZERO,
            world: Virtual::new(),
        }
    }

    pub(super) fn imports(&mut self) -> &mut I {
        self.imports.as_mut().expect(IMPORTS_PRESENT)
    }

    pub(super) fn into_imports(self) -> I {
        *self.imports.expect(IMPORTS_PRESENT)
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What a runtime that needs WASI finds.
    pub(super) fn world(&mut self) -> &mut Virtual {
        &mut self.world
    }

    pub(super) fn take_last_error(&mut self) -> Option<String> {
        self.last_error.take()
    }

    pub(super) fn take_refused(&mut self) -> Option<String> {
        self.refused.take()
    }

    /// Forgets the call before, and gives the next one its time.
    pub(super) fn begin_call(&mut self, time: Duration, tick: Duration) {
        self.last_error = None;
        self.refused = None;
        self.world.take_stderr();
        self.call_time = time;
        let ticks = time.as_nanos().div_ceil(tick.as_nanos());
        // One more, since the tick that is running is not a whole one.
        self.deadline_tick = self
            .ticks
            .load(Ordering::Relaxed)
            .saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX))
            .saturating_add(1);
        let now = Instant::now();
        if let Some(dropped) = self.log.take_dropped(now) {
            self.log_dropped(dropped);
        }
        self.imports().deadline(now + time);
    }

    /// Asked at every tick that the guest's code sees.
    pub(super) fn on_tick(&self) -> wasmtime::Result<UpdateDeadline> {
        // Ticks are counted, not time compared: while the whole process is stopped there are none.
        if self.ticks.load(Ordering::Relaxed) >= self.deadline_tick {
            return Err(DeadlinePassed { after: self.call_time }.into());
        }
        Ok(UpdateDeadline::Continue(1))
    }

    fn log(&mut self, level: Level, message: &str) {
        if level == Level::Error {
            self.last_error = Some(message.to_owned());
        }
        self.log_line(level, message);
    }

    /// Logs what explains no trap.
    pub(super) fn log_line(&mut self, level: Level, message: &str) {
        match self.log.admit(Instant::now()) {
            Admission::Dropped => return,
            Admission::LoggedAfter { dropped } => self.log_dropped(dropped),
            Admission::Logged => {}
        }
        self.imports().log(level, message);
    }

    fn log_dropped(&mut self, dropped: u64) {
        let max = self.limits.log_lines_per_second_max;
        let message = format!(
            "{dropped} messages of this plugin were dropped; the limit `log_lines_per_second_max` is {max}"
        );
        self.imports().log(Level::Warn, &message);
    }
}

/// The start of a text that has at most `bytes_max` bytes, cut between characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

impl<I: Send> wasmtime::ResourceLimiter for Host<I> {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        let limit = self.limits.memory_bytes_max;
        if total > bytes(limit) {
            self.refused = Some(format!(
                "it ran out of memory: it asked for {total} bytes, and the limit `memory_bytes_max` is {limit}"
            ));
            return Ok(false);
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            self.refused =
                Some(format!("it ran out of memory: {desired} bytes are more than its own memory declares"));
            return Ok(false);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refused = Some(format!("it ran out of memory: {error:#}"));
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let limit = self.limits.table_elements_max;
        if desired > bytes(limit) {
            self.refused = Some(format!(
                "it asked for a table of {desired} elements, and the limit `table_elements_max` is {limit}"
            ));
            return Ok(false);
        }
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
    }

    fn instances(&self) -> usize {
        bytes(self.limits.instances_max)
    }

    fn tables(&self) -> usize {
        bytes(self.limits.instances_max)
    }

    fn memories(&self) -> usize {
        bytes(self.limits.instances_max)
    }
}

/// The contract's imports, and of the virtual WASI what this component imports.
pub(super) fn linker<I: Imports>(
    engine: &wasmtime::Engine,
    component: &wasmtime::component::Component,
) -> wasmtime::Result<Linker<Host<I>>> {
    let mut linker = Linker::new(engine);
    linker.instance(LOGGER)?.func_wrap(
        "write",
        |mut store: StoreContextMut<'_, Host<I>>, (level, message): (u32, WasmStr)| {
            let bytes_max = bytes(store.data().limits.log_message_bytes_max);
            let message = cut(&message.to_str(&store)?, bytes_max).to_owned();
            store.data_mut().log(Level::from(level), &message);
            Ok(())
        },
    )?;
    linker.instance(CONFIG)?.func_wrap("get", |store: StoreContextMut<'_, Host<I>>, (): ()| {
        Ok((store.data().configuration.as_deref().map(str::to_owned),))
    })?;
    let mut sql = linker.instance(SQL)?;
    sql.func_wrap("prepare", |mut store: StoreContextMut<'_, Host<I>>, (sql,): (WasmStr,)| {
        lend(&mut store, |imports, store| Ok((imports.prepare(&sql.to_str(store)?),)))
    })?;
    sql.func_wrap("apply", |mut store: StoreContextMut<'_, Host<I>>, (ops,): (WasmList<u8>,)| {
        lend(&mut store, |imports, store| Ok((imports.apply(ops.as_le_slice(store)),)))
    })?;
    sql.func_wrap(
        "query",
        |mut store: StoreContextMut<'_, Host<I>>, (statement, params, rows_max): (u32, WasmList<u8>, u32)| {
            lend(&mut store, |imports, store| {
                Ok((imports.query(statement, params.as_le_slice(store), rows_max),))
            })
        },
    )?;
    virtual_wasi::link_process(&mut linker)?;
    virtual_wasi::link_preview2(&mut linker, component)?;
    Ok(linker)
}

/// Runs one of the imports beside the store, so that it can read the guest's memory in place.
fn lend<I, R>(
    store: &mut StoreContextMut<'_, Host<I>>,
    run: impl FnOnce(&mut I, &StoreContextMut<'_, Host<I>>) -> wasmtime::Result<R>,
) -> wasmtime::Result<R> {
    let mut imports = store.data_mut().imports.take().expect(IMPORTS_PRESENT);
    let result = run(&mut imports, store);
    store.data_mut().imports = Some(imports);
    result
}
