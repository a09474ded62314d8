//! Guests written by hand in WebAssembly's text form, without any SDK: what the engine promises has to hold
//! for them too, and they can misbehave exactly as a test needs it.

mod cache;
mod calls;
mod handlers;
mod limits;
mod preview1;
mod preview2;
mod refusals;

use super::{Component, Engine, Failure, Fault, Imports, Instance, Level, Limits};
use std::sync::OnceLock;
use std::time::Instant;

/// One engine for all tests: it is made for that, and its making is not what they test.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(None).unwrap())
}

/// A core module that implements the contract. `apply` is the body of that function, which has `$events`,
/// `$events_len` and a local `$n`, and leaves the address of its result; `more` is anything else.
///
/// The result of `apply` stands at 1024; texts of the test at 2048; the heap starts at 4096.
fn guest(apply: &str, more: &str) -> Vec<u8> {
    wat::parse_str(guest_text(apply, more)).unwrap()
}

fn guest_text(apply: &str, more: &str) -> String {
    let manifest = r#"{\"name\":\"by-hand\",\"topics\":[\"t\"]}"#;
    let manifest_bytes = manifest.replace('\\', "").len();
    format!(
        r#"(module
            (import "lantern:plugin/logger@0.1.0" "write" (func $log (param i32 i32 i32)))
            (import "lantern:plugin/sql@0.1.0" "prepare" (func $prepare (param i32 i32 i32)))
            (import "lantern:plugin/sql@0.1.0" "apply" (func $sql_apply (param i32 i32 i32)))
            (import "lantern:plugin/sql@0.1.0" "query" (func $query (param i32 i32 i32 i32 i32)))
            (memory (export "memory") 4)
            (global $heap (mut i32) (i32.const 4096))
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
            (func $apply (export "lantern:plugin/projection@0.1.0#apply")
                (param $events i32) (param $events_len i32) (result i32)
                (local $n i32)
                (global.set $heap (i32.const 4096))
                {apply})
            (func $answer (param $at i32) (param $len i32) (result i32)
                (i32.store8 (i32.const 1024) (i32.const 0))
                (i32.store (i32.const 1028) (local.get $at))
                (i32.store (i32.const 1032) (local.get $len))
                (i32.const 1024))
            {more})"#
    )
}

/// Answers the events as they came.
const ECHO: &str = "(call $answer (local.get $events) (local.get $events_len))";

/// Imports that write down what they are asked.
#[derive(Default)]
struct Recorder {
    logged: Vec<(Level, String)>,
    asked: Vec<String>,
    deadlines: Vec<Instant>,
    refuses: bool,
}

impl Recorder {
    fn answer<T>(&mut self, asked: String, answer: T) -> Result<T, Failure> {
        self.asked.push(asked);
        if self.refuses {
            return Err(Failure {
                fault: Fault::Sql,
                message: "no such table: orders".into(),
                index: Some(3),
            });
        }
        Ok(answer)
    }
}

impl Imports for Recorder {
    fn deadline(&mut self, at: Instant) {
        self.deadlines.push(at);
    }

    fn log(&mut self, level: Level, message: &str) {
        self.logged.push((level, message.to_owned()));
    }

    fn prepare(&mut self, sql: &str) -> Result<u32, Failure> {
        self.answer(format!("prepare {sql}"), 41)
    }

    fn apply(&mut self, ops: &[u8]) -> Result<u32, Failure> {
        self.answer(format!("apply {}", ops.escape_ascii()), 42)
    }

    fn query(&mut self, statement: u32, params: &[u8], rows_max: u32) -> Result<Vec<u8>, Failure> {
        self.answer(format!("query {statement} {} {rows_max}", params.escape_ascii()), b"rows".to_vec())
    }
}

fn compile(guest: &[u8]) -> Component {
    engine().compile(guest).unwrap_or_else(|error| panic!("{error}"))
}

fn instance(guest: &[u8], limits: &Limits) -> Instance<Recorder> {
    Instance::new(engine(), &compile(guest), Recorder::default(), limits)
        .unwrap_or_else(|error| panic!("{error}"))
}
