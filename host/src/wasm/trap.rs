//! How a call ends when it does not end well.

use super::failure::Failure;
use super::imports::{DeadlinePassed, Host, Imports};
use super::virtual_wasi::Exit;
use std::fmt;

/// How a call ended when it did not end well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The plugin answered with a failure. Its instance is as good as before.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// The plugin was stopped in the middle. Its instance is spent: make a new one.
    #[error("{message}")]
    Trap {
        /// What stopped it.
        kind: Trap,
        /// What happened, in a sentence, with the message of a panic.
        message: String,
        /// The plugin's functions that were running, the innermost first.
        backtrace: Vec<String>,
    },
}

/// What stopped a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trap {
    /// It took longer than it may.
    Deadline,
    /// It was refused memory or room in a table, and gave up.
    Memory,
    /// Its stack overflowed.
    Stack,
    /// It handed over more bytes than it may in one call.
    Output,
    /// It gave up: in Rust a panic, in Go the end of the process.
    Unreachable,
    /// Anything else: an access out of bounds, a division by zero, a result that is not of the contract's form.
    Other,
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Trap::Deadline => "deadline",
            Trap::Memory => "memory",
            Trap::Stack => "stack",
            Trap::Output => "output",
            Trap::Unreachable => "unreachable",
            Trap::Other => "trap",
        })
    }
}

/// Says what an error of wasmtime means here.
pub(super) fn explain<I: Imports>(error: &wasmtime::Error, host: &mut Host<I>) -> CallError {
    let (kind, what) = classify(error, host);
    let stderr = host.world().take_stderr();
    let message = match host.take_last_error() {
        // The SDKs log a panic's message before they give up, since a trap cannot carry one.
        Some(last) if kind == Trap::Unreachable && last.starts_with("panicked") => last,
        Some(last) => format!("{what}; the last error that it logged: {last}"),
        // Runtimes that have a standard error say there why they give up.
        None if !stderr.is_empty() => format!("{what}; on standard error it wrote: {stderr}"),
        None => what,
    };
    CallError::Trap { kind, message, backtrace: backtrace(error) }
}

fn classify<I: Imports>(error: &wasmtime::Error, host: &mut Host<I>) -> (Trap, String) {
    if let Some(passed) = error.downcast_ref::<DeadlinePassed>() {
        return (Trap::Deadline, passed.to_string());
    }
    let trap = error.downcast_ref::<wasmtime::Trap>();
    if trap == Some(&wasmtime::Trap::StackOverflow) {
        let bytes = host.limits().stack_bytes_max;
        return (Trap::Stack, format!("its stack overflowed; the limit `stack_bytes_max` is {bytes} bytes"));
    }
    // A guest learns that it is refused memory from the result of `memory.grow` and traps by itself, so the
    // trap alone does not tell.
    if let Some(refused) = host.take_refused() {
        return (Trap::Memory, refused);
    }
    if let Some(exit) = error.downcast_ref::<Exit>() {
        return (Trap::Unreachable, exit.to_string());
    }
    let cause = error.root_cause().to_string();
    if trap.is_none() && cause.contains("fuel allocated for hostcalls") {
        let bytes = host.limits().output_bytes_max;
        return (
            Trap::Output,
            format!("it handed over too much in one call; the limit `output_bytes_max` is {bytes} bytes"),
        );
    }
    match trap {
        Some(wasmtime::Trap::UnreachableCodeReached) => {
            (Trap::Unreachable, "it gave up (executed `unreachable`)".to_owned())
        }
        _ => (Trap::Other, cause),
    }
}

fn backtrace(error: &wasmtime::Error) -> Vec<String> {
    let Some(trace) = error.downcast_ref::<wasmtime::WasmBacktrace>() else { return Vec::new() };
    // Its text has the demangled names, which its parts have not. The first line is a heading.
    trace.to_string().lines().skip(1).map(|line| line.trim().to_owned()).collect()
}
