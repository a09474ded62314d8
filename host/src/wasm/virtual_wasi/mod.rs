//! The world that a runtime finds itself in which cannot live without WASI: empty, and standing still.
//!
//! # Layout
//!
//! * `preview1`: the adapter that is put around core modules built for preview 1 (Go, C).
//! * `preview2`: the interfaces of WASI 0.2, for components that import them (Python, JavaScript).
//! * [`Virtual`]: what both share: the clock, the randomness, and the standard streams, which are the plugin's log.
//!
//! Nothing in it depends on the machine or the time, so a replay gives the same rows. The wall clock reads 1970 rather than an
//! event's time: a call has many events, and a replay cuts them into other calls.

mod preview1;
mod preview2;

pub(super) use preview1::{PREVIEW1, adapter};
pub(super) use preview2::{ADVICE, is_granted, link as link_preview2};

use super::imports::{Host, Imports, Level};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmList};

/// What the adapter asks of the host.
pub(super) const PROCESS: &str = "lantern:virtual/process@0.1.0";
/// The longest line that is kept until its end comes.
const LINE_BYTES_MAX: usize = 8 << 10;
/// The most of one write that is looked at.
const WRITE_BYTES_MAX: usize = 64 << 10;
/// What of standard error explains a trap: its beginning, since Go writes the reason first, and stacks are long.
const STDERR_BYTES_MAX: usize = 8 << 10;

/// Which standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

/// The state of one instance's world.
pub(super) struct Virtual {
    monotonic_ns: u64,
    random: u64,
    /// What was written behind the last end of a line, of both streams.
    lines: [Vec<u8>; 2],
    /// What this call wrote to standard error.
    stderr: String,
}

/// The plugin ended its process, as far as it could.
#[derive(Debug, thiserror::Error)]
#[error("it exited with status {status}")]
pub(super) struct Exit {
    pub status: u32,
}

impl Virtual {
    pub(super) fn new() -> Self {
        // The same seed as the adapter's: "Lantern!".
        Self {
            monotonic_ns: 1,
            random: 0x4c61_6e74_6572_6e21,
            lines: [Vec::new(), Vec::new()],
            stderr: String::new(),
        }
    }

    /// A reading of the monotonic clock, which moves by it, since runtimes wait for that.
    fn now_ns(&mut self) -> u64 {
        self.monotonic_ns = self.monotonic_ns.saturating_add(1_000);
        self.monotonic_ns
    }

    /// What is slept for has passed at once.
    fn sleep_until(&mut self, at_ns: u64) {
        self.monotonic_ns = self.monotonic_ns.max(at_ns);
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn random_bytes(&mut self, len: usize) -> impl Iterator<Item = u8> {
        std::iter::repeat_with(move || self.random().to_le_bytes()).flatten().take(len)
    }

    /// Takes bytes of a stream; answers the lines that are whole now.
    fn write(&mut self, stream: Stream, bytes: &[u8]) -> Vec<String> {
        let mut whole = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = &mut self.lines[stream as usize];
            let room = LINE_BYTES_MAX - line.len();
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            // The rest of a longer line is cut off, as that of a longer message.
            line.extend_from_slice(&text[..text.len().min(room)]);
            if part.ends_with(b"\n") {
                whole.extend(self.end_line(stream));
            }
        }
        whole
    }

    fn end_line(&mut self, stream: Stream) -> Option<String> {
        let bytes = std::mem::take(&mut self.lines[stream as usize]);
        let line = String::from_utf8_lossy(&bytes).into_owned();
        if stream == Stream::Err && self.stderr.len() + line.len() < STDERR_BYTES_MAX {
            self.stderr.push_str(&line);
            self.stderr.push('\n');
        }
        (!line.is_empty()).then_some(line)
    }

    /// What the last call wrote to standard error, with the end of a line that never came.
    pub(super) fn take_stderr(&mut self) -> String {
        std::mem::take(&mut self.stderr).trim_end().to_owned()
    }
}

impl Stream {
    const BOTH: [Stream; 2] = [Stream::Out, Stream::Err];

    fn level(self) -> Level {
        match self {
            Stream::Out => Level::Info,
            Stream::Err => Level::Error,
        }
    }
}

impl<I: Imports> Host<I> {
    /// Writes to a stream, which is the plugin's log, line by line.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        for line in self.world().write(stream, bytes) {
            self.log_line(stream.level(), &line);
        }
    }

    /// Logs what was written without an end of the line.
    pub(super) fn end_lines(&mut self) {
        for stream in Stream::BOTH {
            if let Some(line) = self.world().end_line(stream) {
                self.log_line(stream.level(), &line);
            }
        }
    }
}

/// Gives what the adapter asks for.
pub(super) fn link_process<I: Imports>(linker: &mut Linker<Host<I>>) -> wasmtime::Result<()> {
    let mut process = linker.instance(PROCESS)?;
    process.func_wrap(
        "write",
        |mut store: StoreContextMut<'_, Host<I>>, (stream, bytes): (u32, WasmList<u8>)| {
            let bytes = bytes.as_le_slice(&store);
            let bytes = bytes[..bytes.len().min(WRITE_BYTES_MAX)].to_vec();
            store.data_mut().write(if stream == 2 { Stream::Err } else { Stream::Out }, &bytes);
            Ok(())
        },
    )?;
    process.func_wrap("exit", |_: StoreContextMut<'_, Host<I>>, (status,): (u32,)| -> wasmtime::Result<()> {
        Err(Exit { status }.into())
    })
}
