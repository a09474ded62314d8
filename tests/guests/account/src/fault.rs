//! What a faulty account does when a command tells it to.

use super::Event;
use lantern_sdk::Rejection;
use serde::Deserialize;

/// What goes wrong. Its names are the command's data: `"Loop"`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub enum Fault {
    /// It never ends.
    Loop,
    /// It gives up.
    Trap,
    /// It gives up, and says why.
    Panic,
    /// It asks for memory without end.
    Memory,
    /// It decides a million events.
    Events,
    /// It decides an event of 100 MB.
    Bytes,
    /// It decides an event that it cannot evolve.
    Evolve,
    /// It rejects, with a detail of 2 MB.
    Detail,
}

/// An event with this padding cannot be evolved.
const UNDIGESTED: &str = "cannot be evolved";

impl Fault {
    /// Lets it happen.
    pub(crate) fn happen(self) -> Result<Vec<Event>, Rejection> {
        Ok(match self {
            Fault::Loop => loop {
                std::hint::black_box(());
            },
            Fault::Trap => trap(),
            Fault::Panic => panicked(),
            Fault::Memory => eat_memory(),
            Fault::Events => (0..1_000_000).map(|_| padded("")).collect(),
            Fault::Bytes => vec![padded(&"x".repeat(100 << 20))],
            Fault::Evolve => vec![padded(UNDIGESTED)],
            Fault::Detail => {
                return Err(Rejection::new("large", "it says a lot").detail(&"x".repeat(2 << 20)));
            }
        })
    }
}

pub(crate) fn padded(padding: &str) -> Event {
    Event::Padded { padding: padding.to_owned() }
}

#[allow(clippy::panic, reason = "the fault is a panic")]
pub(crate) fn evolving(padding: &str) {
    if padding == UNDIGESTED {
        panic!("the account cannot evolve this event");
    }
}

#[allow(clippy::panic, reason = "the fault is a panic")]
fn panicked() -> ! {
    panic!("the account panics")
}

fn trap() -> ! {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort();
}

fn eat_memory() -> ! {
    let mut eaten = Vec::new();
    loop {
        eaten.push(vec![1_u8; 1 << 20]);
        std::hint::black_box(&eaten);
    }
}
