//! What is whose fault when a batch fails.

use super::*;
use crate::event::{self, Headers, Record};
use crate::projection::Author;
use crate::projection::batch::Collector;
use crate::read_model::{Blueprint, Checkpoints, Durability};
use lantern_contract::manifest::Envelope;
use std::path::Path;

const MANIFEST: &str = r#"{"name":"t","topics":["a"],"schema":["CREATE TABLE t (x)"]}"#;

/// A plugin that prepares a statement, does not look at the answer, and says that all is well.
fn careless(engine: &Engine) -> Arc<Plugin> {
    let text = format!(
        r#"(module
            (import "lantern:plugin/sql@0.1.0" "prepare" (func $prepare (param i32 i32 i32)))
            (memory (export "memory") 2)
            (data (i32.const 64) "{}")
            (data (i32.const 1024) "SELECT 1")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
            (func (export "lantern:plugin/meta@0.1.0#describe") (result i32)
                (i32.store (i32.const 32) (i32.const 64))
                (i32.store (i32.const 36) (i32.const {}))
                (i32.const 32))
            (func (export "lantern:plugin/projection@0.1.0#apply") (param i32 i32) (result i32)
                (call $prepare (i32.const 1024) (i32.const 8) (i32.const 2048))
                (i32.store8 (i32.const 3072) (i32.const 0))
                (i32.store (i32.const 3076) (i32.const 4096))
                (i32.store (i32.const 3080) (i32.const 0))
                (i32.const 3072)))"#,
        MANIFEST.replace('"', "\\\""),
        MANIFEST.len()
    );
    let bytes = wat::parse_str(text).unwrap();
    Arc::new(Plugin::load(engine, &bytes, "careless.wasm", &Limits::default()).unwrap())
}

/// The first event of the topic, as a batch.
fn batch(plugin: &Plugin) -> Batch {
    let mut collector = Collector::new(&plugin.manifest, Checkpoints::from([(("a".into(), 0), 0)]));
    let record = Record {
        topic: "a",
        partition: 0,
        offset: 0,
        timestamp_ms: 0,
        key: None,
        payload: Some(b"x"),
        headers: Headers::list(&[]),
    };
    collector.push(&event::open(&Envelope::Topic { event_type: None }, &record).unwrap());
    collector.finish(Vec::new())
}

fn open(path: &Path, blueprint: &Blueprint) -> read_model::Writer {
    read_model::Writer::open(path, blueprint, Durability::Normal).unwrap()
}

// A disk or a lock that a plugin does not mention is still no fault of the plugin or of an event, and nothing of the batch may be
// taken to be done: rows that were made from tables that did not answer are wrong for ever.
#[test]
fn a_sick_read_model_that_the_plugin_passes_over_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let engine = Engine::new(None).unwrap();
    let plugin = careless(&engine);
    let blueprint = Author::alone(&plugin).blueprint();
    let writer = open(&path, &blueprint);
    writer.begin_partition("a", 0, 0).unwrap();
    let mut other = open(&path, &blueprint);
    other.begin().unwrap();
    let mut applier = Applier::start(&engine, &plugin, &Limits::default(), writer).unwrap();
    let error = applier.submit(batch(&plugin)).unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("lock"), "{error:?}");
    drop(applier);
    other.rollback();
    assert_eq!(other.checkpoints().unwrap()[&("a".into(), 0)], 0);

    let mut applier = Applier::start(&engine, &plugin, &Limits::default(), other).unwrap();
    applier.submit(batch(&plugin)).unwrap();
    applier.drain().unwrap();
    assert_eq!(applier.committed().events, 1);
}
