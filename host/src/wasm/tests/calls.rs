//! Calls in both directions, and how they end.

use super::*;
use crate::wasm::{CallError, Trap};
use std::time::Duration;

// Any language can implement the contract: 60 lines of text do, with no SDK and no component tooling.
#[test]
fn a_core_module_written_by_hand_is_a_plugin() {
    let mut instance = instance(&guest(ECHO, ""), &Limits::default());
    assert_eq!(instance.describe().unwrap(), r#"{"name":"by-hand","topics":["t"]}"#);
    for bytes in [&b""[..], b"events", &[0xff; 100_000]] {
        assert_eq!(instance.apply(bytes, 1).unwrap(), bytes);
    }
}

// A component that was built elsewhere is taken as it is.
#[test]
fn a_component_is_a_plugin() {
    let component = crate::wasm::to_component(&guest(ECHO, "")).unwrap().into_owned();
    assert!(wasmparser::Parser::is_component(&component));
    assert_eq!(instance(&component, &Limits::default()).apply(b"events", 1).unwrap(), b"events");
}

const SQL: &str = r#"
    (call $prepare (i32.const 2048) (i32.const 8) (i32.const 3000))
    (call $sql_apply (local.get $events) (local.get $events_len) (i32.const 3100))
    (call $query (i32.load (i32.const 3004)) (local.get $events) (i32.const 2) (i32.const 9) (i32.const 3200))
    (call $log (i32.const 2) (i32.const 2048) (i32.const 8))
    (call $log (i32.const 77) (i32.const 2048) (i32.const 0))
    (call $answer (i32.const 3000) (i32.const 300))"#;

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

// What a guest asks reaches the host unchanged, and the answers reach the guest.
#[test]
fn a_plugin_is_answered_what_the_host_answers() {
    let mut instance = instance(&guest(SQL, r#"(data (i32.const 2048) "SELECT 1")"#), &Limits::default());
    let answers = instance.apply(b"ops", 1).unwrap();
    let imports = instance.into_imports();
    assert_eq!(imports.asked, ["prepare SELECT 1", "apply ops", "query 41 op 9"]);
    assert_eq!(imports.logged, [(Level::Info, "SELECT 1".to_owned()), (Level::Trace, String::new())]);
    assert_eq!((answers[0], word(&answers, 4)), (0, 41));
    assert_eq!((answers[100], word(&answers, 104)), (0, 42));
    assert_eq!((answers[200], word(&answers, 208)), (0, 4));
}

#[test]
fn a_plugin_is_told_what_the_host_refuses() {
    let mut instance = instance(&guest(SQL, r#"(data (i32.const 2048) "SELECT 1")"#), &Limits::default());
    instance.imports().refuses = true;
    let answers = instance.apply(b"ops", 1).unwrap();
    for at in [0, 100, 200] {
        let sql = 1;
        assert_eq!(
            (answers[at], answers[at + 4], word(&answers, at + 12)),
            (1, sql, 21),
            "kind, length of the message"
        );
        assert_eq!((answers[at + 16], word(&answers, at + 20)), (1, 3), "index");
    }
}

// A failure is an answer: the instance is as good as before, and goes on with its memory.
#[test]
fn a_failure_arrives_with_its_event_and_spends_nothing() {
    let fails = r#"
        (i32.store8 (i32.const 1024) (i32.const 1))
        (i32.store8 (i32.const 1028) (i32.const 0))
        (i32.store (i32.const 1032) (i32.const 2048))
        (i32.store (i32.const 1036) (i32.const 9))
        (i32.store8 (i32.const 1040) (i32.const 1))
        (i32.store (i32.const 1044) (i32.const 7))
        (i32.const 1024)"#;
    let mut instance = instance(&guest(fails, r#"(data (i32.const 2048) "no amount")"#), &Limits::default());
    for _ in 0..2 {
        let failure = Failure { fault: Fault::BadInput, message: "no amount".into(), index: Some(7) };
        assert_eq!(instance.apply(b"", 1), Err(CallError::Failure(failure)));
    }
}

// A trap cannot carry a text, so that a panic logs its message first; and where it happened is shown.
#[test]
fn a_panic_arrives_with_its_message_and_where_it_was() {
    let panics = r#"(call $log (i32.const 0) (i32.const 2048) (i32.const 30)) (call $inner) (i32.const 0)"#;
    let more = r#"(data (i32.const 2048) "panicked: boom at src/lib.rs:3") (func $inner unreachable)"#;
    match instance(&guest(panics, more), &Limits::default()).apply(b"", 1) {
        Err(CallError::Trap { kind: Trap::Unreachable, message, backtrace }) => {
            assert_eq!(message, "panicked: boom at src/lib.rs:3");
            assert!(backtrace[0].contains("inner") && backtrace[1].contains("apply"), "{backtrace:?}");
        }
        other => panic!("{other:?}"),
    }
}

// An error of an earlier call has nothing to do with this one's end.
#[test]
fn only_the_call_that_trapped_explains_its_trap() {
    let body = r#"
        (if (i32.eqz (local.get $events_len)) (then (call $log (i32.const 0) (i32.const 2048) (i32.const 9)))
            (else unreachable))
        (call $answer (i32.const 0) (i32.const 0))"#;
    let mut instance = instance(&guest(body, r#"(data (i32.const 2048) "panicked!")"#), &Limits::default());
    instance.apply(b"", 1).unwrap();
    match instance.apply(b"x", 1) {
        Err(CallError::Trap { message, .. }) => assert_eq!(message, "it gave up (executed `unreachable`)"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn other_traps_say_what_they_are() {
    let check = |body: &str, part: &str| match instance(&guest(body, ""), &Limits::default()).apply(b"", 1) {
        Err(CallError::Trap { kind: Trap::Other, message, .. }) => {
            assert!(message.contains(part), "{message}")
        }
        other => panic!("{body}: {other:?}"),
    };
    check("(i32.div_u (i32.const 1) (i32.const 0))", "divide by zero");
    check("(i32.load (i32.const -8))", "out of bounds");
    // Results that are not of the contract's form.
    check("(call $answer (i32.const -8) (i32.const 100))", "out of bounds");
    check("(i32.const 1025)", "not aligned");
    check("(i32.store8 (i32.const 1024) (i32.const 2)) (i32.const 1024)", "invalid expected discriminant");
}

// A trap leaves a guest's memory half changed, so that nothing may run in it again.
#[test]
fn after_a_trap_an_instance_refuses_calls_and_a_new_one_works() {
    let body = "(if (local.get $events_len) (then unreachable)) (call $answer (i32.const 0) (i32.const 0))";
    let component = compile(&guest(body, ""));
    let limits = Limits::default();
    let mut first = Instance::new(engine(), &component, Recorder::default(), &limits).unwrap();
    first.apply(b"", 1).unwrap();
    first.apply(b"x", 1).unwrap_err();
    for _ in 0..2 {
        match first.apply(b"", 1) {
            Err(CallError::Trap { kind: Trap::Other, message, .. }) => {
                assert!(message.contains("trapped before"))
            }
            other => panic!("{other:?}"),
        }
    }
    let mut second = Instance::new(engine(), &component, first.into_imports(), &limits).unwrap();
    second.apply(b"", 1).unwrap();
}

// Promise 5: which NaN a processor makes of 0/0 differs between processors (x86 sets the sign).
#[test]
fn a_nan_has_the_same_bits_on_every_processor() {
    let body = r#"
        (f64.store (i32.const 3000) (f64.div (f64.const 0) (f64.convert_i32_u (local.get $events_len))))
        (f64.store (i32.const 3008) (f64.sqrt (f64.const -1)))
        (f32.store (i32.const 3016) (f32.mul (f32.const inf) (f32.convert_i32_u (local.get $events_len))))
        (call $answer (i32.const 3000) (i32.const 20))"#;
    let bits = instance(&guest(body, ""), &Limits::default()).apply(b"", 1).unwrap();
    assert_eq!(bits[..8], 0x7ff8_0000_0000_0000_u64.to_le_bytes());
    assert_eq!(bits[8..16], 0x7ff8_0000_0000_0000_u64.to_le_bytes());
    assert_eq!(bits[16..], 0x7fc0_0000_u32.to_le_bytes());
}

// Statements run in the host, where epochs do not reach: who runs them is told the deadline.
#[test]
fn imports_are_told_the_deadline_of_every_call() {
    let limits = Limits { event_ms_max: 1_000, call_ms_max: 600_000, ..Limits::default() };
    let mut instance = instance(&guest(ECHO, ""), &limits);
    let before = Instant::now();
    instance.apply(b"", 20).unwrap();
    let deadlines = instance.into_imports().deadlines;
    assert_eq!(deadlines.len(), 2, "one for the start, one for the call");
    assert!(deadlines[1] >= before + Duration::from_secs(20));
    assert!(deadlines[1] <= Instant::now() + Duration::from_secs(20));
}
