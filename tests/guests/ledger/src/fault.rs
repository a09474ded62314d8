//! What a faulty ledger does when an event tells it to. Any other ledger applies the same event as
//! it applies all, so that a test can mend the plugin and go on.

use lantern_sdk::{Db, Event, Result, log};

/// Does what the event's payload orders by its name.
pub fn ordered_by(event: &Event<'_>, db: &mut Db) -> Result<()> {
    match event.payload().unwrap_or_default() {
        b"fault: refuse" => Err(event.bad_input("the ledger does not take this entry")),
        b"fault: json" => event.json::<Vec<u32>>().map(drop),
        b"fault: sql" => db.execute("INSERT INTO a_table_that_is_not VALUES (1)", ()),
        b"fault: pragma" => db.execute("PRAGMA synchronous = OFF", ()),
        b"fault: checkpoint" => {
            db.execute("UPDATE _lantern_checkpoints SET next_offset = next_offset + 1", ())
        }
        b"fault: panic" => panicked(event),
        b"fault: trap" => trap(),
        b"fault: loop" => loop_for_ever(),
        b"fault: memory" => eat_memory(),
        b"fault: stack" => {
            let depth = overflow_stack(u64::from(event.index()));
            Err(event.bad_input(depth))
        }
        b"fault: log" => {
            flood_the_log();
            Ok(())
        }
        _ => Ok(()),
    }
}

#[allow(clippy::panic, reason = "the fault is a panic")]
fn panicked(event: &Event<'_>) -> Result<()> {
    panic!("the ledger panics at {event}")
}

fn trap() -> Result<()> {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort();
}

fn loop_for_ever() -> Result<()> {
    loop {
        std::hint::black_box(());
    }
}

fn eat_memory() -> Result<()> {
    let mut eaten = Vec::new();
    loop {
        eaten.push(vec![1_u8; 1 << 20]);
        std::hint::black_box(&eaten);
    }
}

fn overflow_stack(depth: u64) -> u64 {
    // Frames without memory of their own: it is the engine's stack that overflows, not the one that the
    // compiler keeps in linear memory. No compiler makes a loop of this, since something is left to do.
    if depth == std::hint::black_box(u64::MAX) {
        depth
    } else {
        overflow_stack(depth + 1).rotate_left(7) ^ depth
    }
}

fn flood_the_log() {
    for line in 0..200_000 {
        log::warn(format_args!("flood {line} {}", "x".repeat(100)));
    }
}
