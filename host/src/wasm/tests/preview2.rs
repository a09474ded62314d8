//! Components that import WASI 0.2 find an empty world, which stands still.

use super::*;
use crate::wasm::{CallError, Trap};

/// A component that imports these instances of WASI under these names, lowers what `lower` says, and whose `apply` is this body.
fn component(imports: &str, core_imports: &str, lowered: &str, apply: &str) -> Vec<u8> {
    let manifest = r#"{\"name\":\"by-hand\",\"topics\":[\"t\"]}"#;
    let manifest_bytes = manifest.replace('\\', "").len();
    let text = format!(
        r#"(component
            {imports}
            (core module $libc
                (memory (export "memory") 2)
                (global $heap (mut i32) (i32.const 65536))
                (func (export "realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
                    (local $at i32)
                    (local.set $at (global.get $heap))
                    (global.set $heap (i32.and (i32.add (i32.add (local.get $at) (local.get $size)) (i32.const 7)) (i32.const -8)))
                    (local.get $at)))
            (core instance $libc (instantiate $libc))
            {lowered}
            (core module $m
                (import "libc" "memory" (memory 0))
                {core_imports}
                (data (i32.const 512) "{manifest}")
                (data (i32.const 2048) "panic: boom\0a")
                (func (export "describe") (result i32)
                    (i32.store (i32.const 1024) (i32.const 512))
                    (i32.store (i32.const 1028) (i32.const {manifest_bytes}))
                    (i32.const 1024))
                (func (export "apply") (param i32 i32) (result i32)
                    {apply}
                    (i32.store8 (i32.const 1024) (i32.const 0))
                    (i32.store (i32.const 1028) (i32.const 3000))
                    (i32.store (i32.const 1032) (i32.const 100))
                    (i32.const 1024)))
            (core instance $i (instantiate $m (with "libc" (instance $libc)) (with "wasi" (instance $wasi))))
            (func $describe (result string) (canon lift (core func $i "describe") (memory $libc "memory")))
            (instance $meta (export "describe" (func $describe)))
            (component $projecting
                (type $fault' (enum "bad-input" "sql" "conflict" "unsupported" "other"))
                (import "fault" (type $fault (eq $fault')))
                (type $failure' (record (field "kind" $fault) (field "message" string) (field "index" (option u32))))
                (import "failure" (type $failure (eq $failure')))
                (import "apply" (func $apply (param "events" (list u8)) (result (result (list u8) (error $failure)))))
                (export $fault2 "fault" (type $fault'))
                (type $failure2' (record (field "kind" $fault2) (field "message" string) (field "index" (option u32))))
                (export $failure2 "failure" (type $failure2'))
                (export "apply" (func $apply) (func (param "events" (list u8)) (result (result (list u8) (error $failure2))))))
            (type $fault (enum "bad-input" "sql" "conflict" "unsupported" "other"))
            (type $failure (record (field "kind" $fault) (field "message" string) (field "index" (option u32))))
            (func $apply (param "events" (list u8)) (result (result (list u8) (error $failure)))
                (canon lift (core func $i "apply") (memory $libc "memory") (realloc (func $libc "realloc"))))
            (instance $projection (instantiate $projecting (with "fault" (type $fault)) (with "failure" (type $failure)) (with "apply" (func $apply))))
            (export "lantern:plugin/meta@0.1.0" (instance $meta))
            (export "lantern:plugin/projection@0.1.0" (instance $projection)))"#
    );
    wat::parse_str(text).unwrap()
}

const CLOCKS: &str = r#"
    (import "wasi:clocks/wall-clock@0.2.3" (instance $wall
        (type $datetime' (record (field "seconds" u64) (field "nanoseconds" u32)))
        (export "datetime" (type $datetime (eq $datetime')))
        (export "now" (func (result $datetime)))))
    (import "wasi:clocks/monotonic-clock@0.2.9" (instance $monotonic (export "now" (func (result u64)))))
    (import "wasi:random/random@0.2.0" (instance $random
        (export "get-random-u64" (func (result u64)))
        (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
    (import "wasi:sockets/instance-network@0.2.0" (instance $network
        (export "network" (type $network (sub resource)))
        (export "instance-network" (func (result (own $network))))))"#;
const CLOCKS_LOWERED: &str = r#"
    (core func $wall (canon lower (func $wall "now") (memory $libc "memory")))
    (core func $monotonic (canon lower (func $monotonic "now")))
    (core func $u64 (canon lower (func $random "get-random-u64")))
    (core func $bytes (canon lower (func $random "get-random-bytes") (memory $libc "memory") (realloc (func $libc "realloc"))))
    (core func $network (canon lower (func $network "instance-network")))
    (core instance $wasi
        (export "wall" (func $wall)) (export "monotonic" (func $monotonic)) (export "u64" (func $u64))
        (export "bytes" (func $bytes)) (export "network" (func $network)))"#;
const CLOCKS_CORE: &str = r#"
    (import "wasi" "wall" (func $wall (param i32)))
    (import "wasi" "monotonic" (func $monotonic (result i64)))
    (import "wasi" "u64" (func $u64 (result i64)))
    (import "wasi" "bytes" (func $bytes (param i64 i32)))
    (import "wasi" "network" (func $network (result i32)))"#;

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

// Under whatever version a toolchain asks for them: Python's and JavaScript's are not the same.
#[test]
fn clocks_stand_still_and_random_bytes_are_those_of_every_instance() {
    let body = r#"
        (call $wall (i32.const 3000))
        (i64.store (i32.const 3016) (call $monotonic)) (i64.store (i32.const 3024) (call $monotonic))
        (i64.store (i32.const 3032) (call $u64)) (call $bytes (i64.const 16) (i32.const 2900))
        (memory.copy (i32.const 3040) (i32.load (i32.const 2900)) (i32.load (i32.const 2904)))"#;
    let guest = component(CLOCKS, CLOCKS_CORE, CLOCKS_LOWERED, body);
    let first = instance(&guest, &Limits::default()).apply(b"", 1).unwrap();
    assert_eq!(first, instance(&guest, &Limits::default()).apply(b"", 1).unwrap());
    assert_eq!(first[..12], [0; 12], "1970-01-01");
    assert!(word(&first, 24) > word(&first, 16));
    let random: Vec<u64> = [32, 40, 48].map(|at| word(&first, at)).into();
    assert!(random[0] != random[1] && random[1] != random[2] && random[2] != 0, "{random:?}");
}

// A runtime imports more than it uses. What it must not use is named when it does.
#[test]
fn what_is_not_given_ends_the_call_with_its_name() {
    let guest = component(CLOCKS, CLOCKS_CORE, CLOCKS_LOWERED, "(drop (call $network))");
    match instance(&guest, &Limits::default()).apply(b"", 1) {
        Err(CallError::Trap { kind: Trap::Other, message, .. }) => {
            for part in
                ["wasi:sockets/instance-network#instance-network", "not there for plugins", "no network"]
            {
                assert!(message.contains(part), "{message}");
            }
        }
        other => panic!("{other:?}"),
    }
    let greedy =
        component(CLOCKS, CLOCKS_CORE, CLOCKS_LOWERED, "(call $bytes (i64.const -1) (i32.const 2900))");
    match instance(&greedy, &Limits::default()).apply(b"", 1) {
        Err(CallError::Trap { message, .. }) => {
            assert!(message.contains("random bytes at once"), "{message}")
        }
        other => panic!("{other:?}"),
    }
}

// Python writes the traceback of what nobody caught to standard error, and exits.
#[test]
fn standard_error_is_the_plugins_log_and_explains_an_exit() {
    let imports = r#"
        (import "wasi:io/streams@0.2.0" (instance $streams
            (export "output-stream" (type $stream (sub resource)))
            (type $error' (variant (case "last-operation-failed" u32) (case "closed")))
            (export "stream-error" (type $error (eq $error')))
            (export "[method]output-stream.blocking-write-and-flush"
                (func (param "self" (borrow $stream)) (param "contents" (list u8)) (result (result (error $error)))))))
        (alias export $streams "output-stream" (type $stream))
        (import "wasi:cli/stderr@0.2.0" (instance $stderr
            (alias outer 1 $stream (type $outer))
            (export "output-stream" (type $stream (eq $outer)))
            (export "get-stderr" (func (result (own $stream))))))
        (import "wasi:cli/exit@0.2.0" (instance $exit (export "exit" (func (param "status" (result))))))"#;
    let lowered = r#"
        (core func $get (canon lower (func $stderr "get-stderr")))
        (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
            (memory $libc "memory") (realloc (func $libc "realloc"))))
        (core func $exit (canon lower (func $exit "exit")))
        (core instance $wasi (export "get" (func $get)) (export "write" (func $write)) (export "exit" (func $exit)))"#;
    let core = r#"
        (import "wasi" "get" (func $get (result i32)))
        (import "wasi" "write" (func $write (param i32 i32 i32 i32)))
        (import "wasi" "exit" (func $exit (param i32)))"#;
    let body = "(call $write (call $get) (i32.const 2048) (i32.const 12) (i32.const 2900)) (call $exit (i32.const 1))";
    let mut instance = instance(&component(imports, core, lowered, body), &Limits::default());
    match instance.apply(b"", 1) {
        Err(CallError::Trap { message, .. }) => {
            assert_eq!(message, "it exited with status 1; on standard error it wrote: panic: boom");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(instance.into_imports().logged, [(Level::Error, "panic: boom".to_owned())]);
}
