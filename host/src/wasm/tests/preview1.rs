//! Core modules that were built for WASI preview 1 find an empty world, which stands still.

use super::*;
use crate::wasm::{CallError, Trap};

const FUNCTIONS: &str = r#"
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "sock_send" (func $send (param i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#;

/// A guest that imports preview 1, and answers what lies at 3000 to 3100.
fn preview1(apply: &str, more: &str) -> Vec<u8> {
    let text = guest_text(&format!("{apply} (call $answer (i32.const 3000) (i32.const 100))"), more);
    wat::parse_str(text.replace("(memory (export", &format!("{FUNCTIONS} (memory (export"))).unwrap()
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Stores what a call answers at an address.
fn stored(at: u32, call: &str) -> String {
    format!("(i32.store (i32.const {at}) {call})")
}

// Whatever a runtime asks for at its start is answered, and nothing of it is of this machine.
#[test]
fn a_runtime_finds_no_files_no_sockets_and_no_environment() {
    let body = [
        stored(3000, "(call $prestat (i32.const 3) (i32.const 2900))"),
        stored(
            3004,
            "(call $open (i32.const 3) (i32.const 0) (i32.const 2048) (i32.const 4) (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 2900))",
        ),
        stored(3008, "(call $send (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2900))"),
        stored(3012, "(call $environ (i32.const 3016) (i32.const 3020))"),
        stored(3024, "(call $fd_read (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 3028))"),
    ];
    let guest = preview1(
        &body.concat(),
        r#"(data (i32.const 2048) "/etc") (data (i32.const 3016) "\07\07\07\07\07\07\07\07")"#,
    );
    let answers = instance(&guest, &Limits::default()).apply(b"", 1).unwrap();
    let words: Vec<u32> =
        (0..8).map(|at| u32::from_le_bytes(answers[4 * at..4 * at + 4].try_into().unwrap())).collect();
    let (badf, notcapable) = (8, 76);
    assert_eq!(words, [badf, notcapable, badf, 0, 0, 0, 0, 0]);
}

// Promise 5: a replay gives the same rows, on another day and in batches that are cut differently.
#[test]
fn the_wall_clock_stands_still_and_random_bytes_are_those_of_every_instance() {
    let body = r#"
        (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 3000)))
        (drop (call $clock (i32.const 1) (i64.const 1) (i32.const 3008)))
        (drop (call $clock (i32.const 1) (i64.const 1) (i32.const 3016)))
        (drop (call $random (i32.const 3024) (i32.const 21)))"#;
    let guest = preview1(body, "(data (i32.const 3000) \"\\07\\07\")");
    let first = instance(&guest, &Limits::default()).apply(b"", 1).unwrap();
    let second = instance(&guest, &Limits::default()).apply(b"", 1).unwrap();
    assert_eq!(first, second);
    assert_eq!(number(&first, 0), 0, "1970-01-01");
    assert!(
        number(&first, 8) > 0 && number(&first, 16) > number(&first, 8),
        "runtimes wait for the clock to move"
    );
    assert_ne!(first[24..32], first[32..40]);
    assert_eq!(first[45], 0, "so many bytes and no more");
}

// A plugin that sleeps would hold its projection up, and one that waits for a clock would never end.
#[test]
fn what_is_slept_for_has_passed_at_once() {
    let hour = 3_600_000_000_000_u64;
    let body = format!(
        r#"(drop (call $clock (i32.const 1) (i64.const 1) (i32.const 3000)))
        (i64.store (i32.const 2600) (i64.const 77)) (i64.store (i32.const 2624) (i64.const {hour}))
        (i32.store (i32.const 2616) (i32.const 1))
        (i32.store (i32.const 3016) (call $poll (i32.const 2600) (i32.const 3024) (i32.const 1) (i32.const 3020)))
        (drop (call $clock (i32.const 1) (i64.const 1) (i32.const 3008)))"#
    );
    let started = Instant::now();
    let answers = instance(&preview1(&body, ""), &Limits::default()).apply(b"", 1).unwrap();
    assert!(number(&answers, 8) - number(&answers, 0) >= hour);
    assert_eq!(number(&answers, 16), 1 << 32, "success, one event");
    assert_eq!((number(&answers, 24), number(&answers, 32)), (77, 0), "its own, without an error");
    assert!(started.elapsed().as_secs() < 60);
}

/// Writes texts of the module to a stream.
fn print(stream: u32, at: u32, len: u32) -> String {
    format!(
        "(i32.store (i32.const 2900) (i32.const {at})) (i32.store (i32.const 2904) (i32.const {len}))
        (drop (call $fd_write (i32.const {stream}) (i32.const 2900) (i32.const 1) (i32.const 2908)))"
    )
}

const TEXTS: &str = r#"(data (i32.const 2048) "one\0atw") (data (i32.const 2064) "o\0a") (data (i32.const 2080) "panic: boom\0a\0agoroutine 1")"#;

// Runtimes write in pieces; people read lines. What has no end of a line when the call ends is logged then.
#[test]
fn standard_streams_are_the_plugins_log_line_by_line() {
    let body = [print(1, 2048, 6), print(2, 2048, 3), print(1, 2064, 2), print(7, 2048, 6)];
    let mut instance = instance(&preview1(&body.concat(), TEXTS), &Limits::default());
    instance.apply(b"", 1).unwrap();
    let line = |level, text: &str| (level, text.to_owned());
    assert_eq!(
        instance.into_imports().logged,
        [line(Level::Info, "one"), line(Level::Info, "two"), line(Level::Error, "one")]
    );
}

#[test]
fn a_flood_on_a_standard_stream_is_cut_to_the_rate_of_the_log() {
    let body = format!(
        "(loop $again {} (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $n) (i32.const 10000))))",
        print(1, 2048, 4)
    );
    let limits = Limits {
        log_lines_per_second_max: 5,
        call_ms_max: 60_000,
        event_ms_max: 60_000,
        ..Limits::default()
    };
    let mut instance = instance(&preview1(&body, TEXTS), &limits);
    instance.apply(b"", 1).unwrap();
    assert!(instance.into_imports().logged.len() < 1_000);
}

// A Go panic ends the process and says why on standard error only.
#[test]
fn an_exit_is_a_trap_that_says_what_standard_error_said() {
    let body = format!("{} (call $exit (i32.const 2))", print(2, 2080, 24));
    match instance(&preview1(&body, TEXTS), &Limits::default()).apply(b"", 1) {
        Err(CallError::Trap { kind: Trap::Unreachable, message, .. }) => {
            assert_eq!(
                message,
                "it exited with status 2; on standard error it wrote: panic: boom\n\ngoroutine 1"
            );
        }
        other => panic!("{other:?}"),
    }
}

// Reactors of Go and of wasi-libc set themselves up in `_initialize`, which nobody calls by its name.
#[test]
fn a_reactor_is_initialized_before_its_first_call() {
    let guest = preview1(
        "(i64.store (i32.const 3000) (global.get $ready))",
        r#"(global $ready (mut i64) (i64.const 0)) (func (export "_initialize") (global.set $ready (i64.const 7)))"#,
    );
    assert_eq!(number(&instance(&guest, &Limits::default()).apply(b"", 1).unwrap(), 0), 7);
}

// A collector may run while the host has the guest make room for its events, and read the clock: nothing may be called then.
#[test]
fn clocks_and_randomness_may_be_asked_while_room_is_made() {
    let text =
        guest_text(ECHO, "").replace("(memory (export", &format!("{FUNCTIONS} (memory (export")).replace(
            "(local.set $at (i32.and (i32.add (global.get $heap)",
            "(drop (call $clock (i32.const 1) (i64.const 1) (i32.const 2900)))
        (drop (call $random (i32.const 2900) (i32.const 8)))
        (local.set $at (i32.and (i32.add (global.get $heap)",
        );
    let guest = wat::parse_str(text).unwrap();
    assert_eq!(instance(&guest, &Limits::default()).apply(b"events", 1).unwrap(), b"events");
}
