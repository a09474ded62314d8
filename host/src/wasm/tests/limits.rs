//! Promise 6: each limit, hit. What hits it ends with an error that names the limit, and nothing else suffers.

use super::*;
use crate::wasm::{CallError, Error, Trap};
use std::time::Duration;

const FOREVER: &str = "(loop $l (br $l)) (i32.const 0)";

fn check(limits: &Limits, apply: &str, more: &str, expected: Trap, parts: &[&str]) -> String {
    match instance(&guest(apply, more), limits).apply(&[7; 64], 1) {
        Err(CallError::Trap { kind, message, .. }) => {
            assert_eq!(kind, expected, "{message}");
            for part in parts {
                assert!(message.contains(part), "{message:?} has no {part:?}");
            }
            message
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_loop_without_end_is_stopped() {
    let limits = Limits { event_ms_max: 40, ..Limits::default() };
    let start = Instant::now();
    check(&limits, FOREVER, "", Trap::Deadline, &["40 ms", "event_ms_max"]);
    assert!(start.elapsed() >= Duration::from_millis(40));
}

#[test]
fn a_recursion_without_end_is_stopped() {
    let limits = Limits::default();
    let deep = "(func $deep (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0))))";
    check(&limits, "(call $deep (i32.const 1))", deep, Trap::Stack, &["stack_bytes_max", "1048576"]);
}

#[test]
fn the_stack_is_as_deep_as_it_is_set() {
    let deep = r#"(func $deep (param i32) (result i32)
        (if (result i32) (local.get 0)
            (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
            (else (i32.const 0))))"#;
    let guest =
        guest("(drop (call $deep (i32.const 5000))) (call $answer (i32.const 0) (i32.const 0))", deep);
    let apply = |stack_bytes_max| {
        let limits = Limits { stack_bytes_max, ..Limits::default() };
        let engine = Engine::with_limits(None, &limits).unwrap();
        let component = engine.compile(&guest).unwrap();
        Instance::new(&engine, &component, Recorder::default(), &limits).unwrap().apply(b"", 1)
    };
    apply(1 << 20).unwrap();
    assert!(matches!(apply(1 << 14), Err(CallError::Trap { kind: Trap::Stack, .. })));
    for stack_bytes_max in [0, 3 << 20] {
        let limits = Limits { stack_bytes_max, ..Limits::default() };
        let error = Engine::with_limits(None, &limits).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("stack_bytes_max"), "{error}");
    }
}

#[test]
fn memory_is_refused_beyond_the_limit() {
    let limits = Limits { memory_bytes_max: 1 << 20, ..Limits::default() };
    let hog = "(loop $l (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable)) (br $l)) (i32.const 0)";
    check(&limits, hog, "", Trap::Memory, &["memory_bytes_max", "1048576"]);
}

// Whoever can go on without the memory may.
#[test]
fn a_plugin_that_lives_with_refused_memory_goes_on() {
    let limits = Limits { memory_bytes_max: 1 << 20, ..Limits::default() };
    let asks = format!("(drop (memory.grow (i32.const 1000))) {ECHO}");
    assert_eq!(instance(&guest(&asks, ""), &limits).apply(b"events", 1).unwrap(), b"events");
}

#[test]
fn all_memories_of_a_plugin_share_the_limit() {
    let limits = Limits { memory_bytes_max: 1 << 20, ..Limits::default() };
    let hog =
        "(if (i32.eq (memory.grow $second (i32.const 4)) (i32.const -1)) (then unreachable)) (i32.const 0)";
    check(&limits, hog, "(memory $second 10)", Trap::Memory, &["memory_bytes_max"]);
}

#[test]
fn a_table_is_refused_beyond_the_limit() {
    let limits = Limits { table_elements_max: 1_000, ..Limits::default() };
    let hog = "(if (i32.eq (table.grow (ref.null func) (i32.const 1000)) (i32.const -1)) (then unreachable)) (i32.const 0)";
    check(&limits, hog, "(table 1 funcref)", Trap::Memory, &["table_elements_max"]);
}

#[test]
fn a_result_beyond_the_limit_is_not_taken() {
    let limits = Limits { output_bytes_max: 1_000, ..Limits::default() };
    check(
        &limits,
        "(call $answer (i32.const 0) (i32.const 1001))",
        "",
        Trap::Output,
        &["output_bytes_max", "1000"],
    );
    let fits = guest("(call $answer (i32.const 0) (i32.const 1000))", "");
    assert_eq!(instance(&fits, &limits).apply(b"", 1).unwrap().len(), 1_000);
}

#[test]
fn an_argument_beyond_the_limit_is_not_taken() {
    let limits = Limits { output_bytes_max: 1_000, ..Limits::default() };
    let check = |call: &str| {
        check(&limits, &format!("{call} (i32.const 0)"), "", Trap::Output, &["output_bytes_max"])
    };
    check("(call $sql_apply (i32.const 0) (i32.const 1001) (i32.const 3000))");
    check("(call $prepare (i32.const 4096) (i32.const 1001) (i32.const 3000))");
    check("(call $query (i32.const 0) (i32.const 0) (i32.const 1001) (i32.const 1) (i32.const 3000))");
    check("(call $log (i32.const 0) (i32.const 4096) (i32.const 1001))");
}

// A plugin that floods its log costs neither the disk nor the other plugins' messages, and is told of.
#[test]
fn a_flood_of_messages_is_cut_and_counted() {
    let limits = Limits { log_lines_per_second_max: 10, log_message_bytes_max: 5, ..Limits::default() };
    let floods = r#"
        (loop $l
            (call $log (i32.const 1) (i32.const 2048) (i32.const 8))
            (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000))))
        (call $answer (i32.const 0) (i32.const 0))"#;
    // The fifth byte is the first of a character of two: half a character is not logged.
    let mut instance = instance(&guest(floods, r#"(data (i32.const 2048) "floo\c3\a4d!")"#), &limits);
    instance.apply(b"", 1).unwrap();
    let logged = std::mem::take(&mut instance.imports().logged);
    // Two windows where the second's turn falls into the loop, and a line that counts between them.
    assert!((10..=21).contains(&logged.len()), "{}", logged.len());
    assert_eq!(logged[0], (Level::Warn, "floo".to_owned()));
}

#[test]
fn a_plugin_that_needs_too_much_for_its_start_is_refused() {
    let check = |limits: &Limits, more: &str, part: &str| match Instance::new(
        engine(),
        &compile(&guest(ECHO, more)),
        Recorder::default(),
        limits,
    ) {
        Err(Error::Start { reason }) => assert!(reason.contains(part), "{reason}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{part}: started"),
    };
    check(&Limits { memory_bytes_max: 100_000, ..Limits::default() }, "", "memory_bytes_max");
    check(
        &Limits { table_elements_max: 10, ..Limits::default() },
        "(table 11 funcref)",
        "table_elements_max",
    );
    check(&Limits { instances_max: 1, ..Limits::default() }, "", "instance");
    let endless = "(func $start (loop $l (br $l))) (start $start)";
    check(&Limits { call_ms_max: 30, ..Limits::default() }, endless, "30 ms");
}

// Limits belong to an instance: what one uses up is not missing from another of the same engine.
#[test]
fn a_plugin_that_misbehaves_harms_no_other() {
    let stuck = compile(&guest(FOREVER, ""));
    let limits = Limits { event_ms_max: 300, ..Limits::default() };
    let mut healthy = instance(&guest(ECHO, ""), &Limits::default());
    std::thread::scope(|scope| {
        let stuck = scope
            .spawn(|| Instance::new(engine(), &stuck, Recorder::default(), &limits).unwrap().apply(b"", 1));
        while !stuck.is_finished() {
            healthy.apply(b"events", 1).unwrap();
        }
        assert!(matches!(stuck.join().unwrap(), Err(CallError::Trap { kind: Trap::Deadline, .. })));
    });
}
