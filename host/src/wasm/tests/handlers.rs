//! Command handlers: their calls, their limits, and what is refused.

use super::*;
use crate::wasm::{CallError, Decision, Handler, Kind, Rejection, Trap};
use lantern_contract::frame::commands::{Decided, NewEvent, Writer};

/// A core module that implements a command handler by hand. `decide` is the body of that function, which has `$request`,
/// `$request_len` and a local `$n`, and leaves the address of its result. `evolve` answers its events.
fn handler_text(decide: &str, more: &str) -> String {
    let manifest = r#"{\"name\":\"by-hand\",\"topics\":[\"t\"]}"#;
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
            (func (export "lantern:plugin/commands@0.1.0#decide")
                (param $request i32) (param $request_len i32) (result i32)
                (local $n i32)
                (global.set $heap (i32.const 65536))
                {decide})
            (func (export "lantern:plugin/commands@0.1.0#evolve")
                (param $has_state i32) (param $state i32) (param $state_len i32)
                (param $events i32) (param $events_len i32) (result i32)
                (global.set $heap (i32.const 65536))
                (i32.store8 (i32.const 1024) (i32.const 0))
                (if (local.get $has_state)
                    (then (i32.store (i32.const 1028) (local.get $state))
                        (i32.store (i32.const 1032) (local.get $state_len)))
                    (else (i32.store (i32.const 1028) (local.get $events))
                        (i32.store (i32.const 1032) (local.get $events_len))))
                (i32.const 1024))
            (func $answer (param $case i32) (param $at i32) (param $len i32) (result i32)
                (i32.store8 (i32.const 1024) (i32.const 0))
                (i32.store8 (i32.const 1028) (local.get $case))
                (i32.store (i32.const 1032) (local.get $at))
                (i32.store (i32.const 1036) (local.get $len))
                (i32.const 1024))
            {more})"#
    )
}

/// Answers the request as if it were a frame of events.
const ECHO_REQUEST: &str = "(call $answer (i32.const 0) (local.get $request) (local.get $request_len))";

fn handler(decide: &str, more: &str, limits: &Limits) -> Handler {
    let component = compile(&wat::parse_str(handler_text(decide, more)).unwrap());
    Handler::new(engine(), &component, "by-hand", limits).unwrap_or_else(|error| panic!("{error}"))
}

fn events(count: usize) -> Vec<u8> {
    let mut writer = Writer::new();
    for _ in 0..count {
        writer.push(NewEvent { kind: "Deposited", payload: b"{}" });
    }
    writer.finish()
}

#[test]
fn a_core_module_written_by_hand_is_a_command_handler() {
    let mut handler = handler(ECHO_REQUEST, "", &Limits::default());
    assert_eq!(handler.describe().unwrap(), r#"{"name":"by-hand","topics":["t"]}"#);
    for count in [0, 1, 1_000] {
        let frame = events(count);
        let Decision::Events(decided) = handler.decide(&frame).unwrap() else { panic!("rejected") };
        assert_eq!(Decided::parse(&decided).unwrap().len(), count);
        assert_eq!(decided, frame);
    }
    assert_eq!(handler.evolve(None, b"events", 1).unwrap(), b"events");
    assert_eq!(handler.evolve(Some(b"state"), b"events", 1).unwrap(), b"state");
    assert_eq!(handler.evolve(Some(b""), b"events", 1).unwrap(), b"");
}

#[test]
fn a_rejection_arrives_whole() {
    let rejects = r#"
        (i32.store (i32.const 1040) (i32.const 2056))
        (i32.store (i32.const 1044) (i32.const 7))
        (i32.store8 (i32.const 1048) (local.get $request_len))
        (i32.store (i32.const 1052) (i32.const 2063))
        (i32.store (i32.const 1056) (i32.const 2))
        (call $answer (i32.const 1) (i32.const 2048) (i32.const 8))"#;
    let mut handler = handler(rejects, r#"(data (i32.const 2048) "too-muchfar off[]")"#, &Limits::default());
    for (request, detail) in [(&b""[..], None), (b"x", Some("[]".to_owned()))] {
        let rejection = Rejection { code: "too-much".into(), message: "far off".into(), detail };
        assert_eq!(handler.decide(request), Ok(Decision::Rejected(rejection)));
    }
}

// Promise 6 for commands: whatever a handler does, its command fails with a reason, and nothing of it is taken.
#[test]
fn a_handler_that_misbehaves_fails_its_command() {
    let limits = Limits { event_ms_max: 60, output_bytes_max: 1 << 20, ..Limits::default() };
    let trap = |decide: &str, expected: Trap, part: &str| match handler(decide, "", &limits).decide(b"") {
        Err(CallError::Trap { kind, message, .. }) => {
            assert_eq!(kind, expected, "{message}");
            assert!(message.contains(part), "{message}");
        }
        other => panic!("{other:?}"),
    };
    trap("(loop $l (br $l)) (i32.const 0)", Trap::Deadline, "event_ms_max");
    trap("unreachable", Trap::Unreachable, "gave up");
    trap("(call $answer (i32.const 0) (i32.const 0) (i32.const 100000000))", Trap::Other, "out of bounds");
    trap("(call $answer (i32.const 7) (i32.const 0) (i32.const 0))", Trap::Other, "discriminant");
    trap(
        "(drop (memory.grow (i32.const 1600))) (call $answer (i32.const 0) (i32.const 0) (i32.const 100000000))",
        Trap::Output,
        "output_bytes_max",
    );

    let failure = |request: &[u8], part: &str| {
        let mut handler = handler(ECHO_REQUEST, "", &Limits::default());
        match handler.decide(request) {
            Err(CallError::Failure(failure)) => assert!(failure.message.contains(part), "{failure}"),
            other => panic!("{other:?}"),
        }
        // It has answered: the instance is as good as before.
        handler.decide(&events(1)).unwrap();
    };
    failure(b"no frame", "mangled frame");
    failure(&events(1_001), "`decided_events_max` is 1000");
    let mut untyped = Writer::new();
    untyped.push(NewEvent { kind: "", payload: b"" });
    failure(&untyped.finish(), "without a type");
    let mut cut = events(2);
    cut.truncate(cut.len() - 1);
    failure(&cut, "mangled frame");
}

// One kind is never taken for the other, and an author who mixes them is told.
#[test]
fn kinds_are_told_apart_by_what_they_export() {
    let commands = compile(&wat::parse_str(handler_text(ECHO_REQUEST, "")).unwrap());
    let projection = compile(&guest(ECHO, ""));
    assert_eq!((commands.kind(), projection.kind()), (Kind::Commands, Kind::Projection));
    let limits = Limits::default();
    let refused = |error: Option<crate::wasm::Error>, part: &str| {
        let message = error.expect("it was taken").to_string();
        assert!(message.contains(part), "{message}");
    };
    refused(
        Instance::new(engine(), &commands, Recorder::default(), &limits).err(),
        "it is a command handler, and not a projection",
    );
    refused(
        Handler::new(engine(), &projection, "by-hand", &limits).err(),
        "it is a projection, and not a command handler",
    );
    let refused_text = |text: String, parts: &[&str]| {
        let message = engine().compile(&wat::parse_str(text).unwrap()).map(|_| ()).unwrap_err().to_string();
        parts.iter().for_each(|part| assert!(message.contains(part), "{message}"));
    };
    // A handler decides on its state alone.
    let asks = handler_text(ECHO_REQUEST, "").replace(
        "(memory (export",
        r#"(import "lantern:plugin/sql@0.1.0" "prepare" (func (param i32 i32 i32))) (memory (export"#,
    );
    refused_text(asks, &["lantern:plugin/sql@0.1.0"]);
    let incomplete = handler_text(ECHO_REQUEST, "").replace("commands@0.1.0#evolve", "commands@0.1.0#evlove");
    refused_text(incomplete, &["lantern:plugin/commands@0.1.0", "evolve"]);
}
