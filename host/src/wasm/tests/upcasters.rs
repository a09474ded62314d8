//! Upcasters: their calls, and what is refused of what they answer.

use super::*;
use crate::wasm::{CallError, Kind, Trap, Upcaster};
use lantern_contract::frame::upcast::{NewEvent, Upcasted, Writer};

/// A core module that implements an upcaster by hand. `upcast` is the body of that function, which has `$events` and
/// `$events_len`, and leaves the address of its result.
fn upcaster_text(upcast: &str) -> String {
    let manifest = r#"{\"name\":\"by-hand\",\"topics\":[\"t\"],\"types\":[\"Old\"]}"#;
    let manifest_bytes = manifest.replace('\\', "").len();
    format!(
        r#"(module
            (import "lantern:plugin/logger@0.1.0" "write" (func $log (param i32 i32 i32)))
            (memory (export "memory") 4)
            (global $heap (mut i32) (i32.const 65536))
            (data (i32.const 512) "{manifest}")
            (func (export "cabi_realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
                (global.set $heap (i32.add (local.get $at) (local.get $size)))
                (local.get $at))
            (func (export "lantern:plugin/meta@0.1.0#describe") (result i32)
                (i32.store (i32.const 1024) (i32.const 512))
                (i32.store (i32.const 1028) (i32.const {manifest_bytes}))
                (i32.const 1024))
            (func (export "lantern:plugin/upcast@0.1.0#upcast")
                (param $events i32) (param $events_len i32) (result i32)
                (global.set $heap (i32.const 65536))
                {upcast}))"#
    )
}

/// Answers what it is given, as if that were its answer.
const ECHO: &str = "(i32.store8 (i32.const 1024) (i32.const 0))
    (i32.store (i32.const 1028) (local.get $events))
    (i32.store (i32.const 1032) (local.get $events_len))
    (i32.const 1024)";

fn upcaster(upcast: &str, limits: &Limits) -> Upcaster {
    let component = compile(&wat::parse_str(upcaster_text(upcast)).unwrap());
    assert_eq!(component.kind(), Kind::Upcaster);
    Upcaster::new(engine(), &component, "by-hand", limits).unwrap_or_else(|error| panic!("{error}"))
}

fn answer(kinds: &[&str]) -> Vec<u8> {
    let mut writer = Writer::new();
    kinds.iter().for_each(|kind| writer.push(NewEvent { kind, payload: None }));
    writer.finish()
}

#[test]
fn a_core_module_written_by_hand_is_an_upcaster() {
    let mut upcaster = upcaster(ECHO, &Limits::default());
    assert!(upcaster.describe().unwrap().contains("by-hand"));
    for kinds in [&[][..], &["A"], &["A", "B"]] {
        let frame = upcaster.upcast(&answer(kinds), kinds.len()).unwrap();
        let found: Vec<_> =
            Upcasted::parse(&frame).unwrap().iter().map(|event| event.unwrap().kind.to_owned()).collect();
        assert_eq!(found, kinds);
    }
}

// Whoever reads the topic goes by what is answered: what is not one event for each never gets so far.
#[test]
fn an_answer_that_is_not_one_event_for_each_is_refused() {
    let mut upcaster = upcaster(ECHO, &Limits::default());
    let mut check = |given: &[u8], count: usize, part: &str| match upcaster.upcast(given, count) {
        Err(CallError::Failure(failure)) => assert!(failure.message.contains(part), "{failure}"),
        other => panic!("{other:?}"),
    };
    check(b"no frame", 1, "mangled frame");
    check(&answer(&["A"]), 2, "it answered 1 events for 2");
    check(&answer(&["A", "B"]), 1, "it answered 2 events for 1");
    check(&answer(&["A", ""]), 2, "without a type");
}

#[test]
fn an_upcaster_that_loops_or_gives_up_traps() {
    let limits = Limits { event_ms_max: 60, ..Limits::default() };
    for (body, expected) in
        [("(loop $l (br $l)) (i32.const 0)", Trap::Deadline), ("unreachable", Trap::Unreachable)]
    {
        match upcaster(body, &limits).upcast(&answer(&["A"]), 1) {
            Err(CallError::Trap { kind, .. }) => assert_eq!(kind, expected),
            other => panic!("{other:?}"),
        }
    }
}

// All that an upcaster goes by is the event; and one file is one thing.
#[test]
fn an_upcaster_that_is_more_is_refused() {
    let refused = |from: &str, to: &str, parts: &[&str]| {
        let text = upcaster_text(ECHO).replace(from, to);
        let message = engine().compile(&wat::parse_str(text).unwrap()).map(|_| ()).unwrap_err().to_string();
        parts.iter().for_each(|part| assert!(message.contains(part), "{message}"));
    };
    refused(
        "(memory (export",
        r#"(import "lantern:plugin/sql@0.1.0" "prepare" (func (param i32 i32 i32))) (memory (export"#,
        &["imports lantern:plugin/sql@0.1.0", "follows from the event alone"],
    );
    refused("#upcast\"", "#upcats\"", &["lantern:plugin/upcast@0.1.0", "upcast"]);
    let component = compile(&wat::parse_str(upcaster_text(ECHO)).unwrap());
    let message = Instance::new(engine(), &component, Recorder::default(), &Limits::default()).err();
    assert!(message.unwrap().to_string().contains("it is an upcaster, and not a projection"));
}
