//! Which upcasters an event goes through, and what it is afterwards.

use super::*;
use crate::event::{Envelope, Header, Headers, Record};
use crate::plugin::Digest;
use crate::wasm::{Engine, Limits};
use lantern_contract::frame::upcast::{NewEvent, Writer};
use lantern_contract::manifest::Manifest;

/// An upcaster in text that answers every event with this type and data.
fn upcaster(manifest: &str, kind: &str, payload: Option<&[u8]>) -> Arc<Plugin> {
    let mut writer = Writer::new();
    writer.push(NewEvent { kind, payload });
    let answer: String = writer.finish().iter().map(|byte| format!("\\{byte:02x}")).collect();
    let answer_bytes = answer.len() / 3;
    let text = format!(
        r#"(module
            (import "lantern:plugin/logger@0.1.0" "write" (func (param i32 i32 i32)))
            (memory (export "memory") 1)
            (data (i32.const 2048) "{}") (data (i32.const 4096) "{answer}")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
            (func (export "lantern:plugin/meta@0.1.0#describe") (result i32)
                (i32.store (i32.const 32) (i32.const 2048)) (i32.store (i32.const 36) (i32.const {}))
                (i32.const 32))
            (func (export "lantern:plugin/upcast@0.1.0#upcast") (param i32 i32) (result i32)
                (i32.store8 (i32.const 64) (i32.const 0))
                (i32.store (i32.const 68) (i32.const 4096)) (i32.store (i32.const 72) (i32.const {answer_bytes}))
                (i32.const 64)))"#,
        manifest.replace('"', "\\\""),
        manifest.len()
    );
    let bytes = wat::parse_str(text).unwrap();
    let plugin = Plugin::load(engine(), &bytes, "upcaster.wasm", &Limits::default()).unwrap();
    assert_eq!((plugin.digest, &plugin.manifest), (Digest::of(&bytes), &Manifest::parse(manifest).unwrap()));
    Arc::new(plugin)
}

fn engine() -> &'static Engine {
    static ENGINE: std::sync::LazyLock<Engine> = std::sync::LazyLock::new(|| Engine::new(None).unwrap());
    &ENGINE
}

const HEADER: &str = r#"{"kind":"header","name":"t"}"#;
const FIELD: &str = r#"{"kind":"json-field","field":"t"}"#;

fn manifest(name: &str, topic: &str, old: &str, envelope: &str) -> String {
    format!(r#"{{"name":"{name}","topics":["{topic}"],"types":["{old}"],"envelope":{envelope}}}"#)
}

fn record<'a>(topic: &'a str, payload: &'a [u8], headers: &'a [Header<'a>]) -> Record<'a> {
    let headers = Headers::list(headers);
    Record {
        topic,
        partition: 1,
        offset: 7,
        timestamp_ms: 3,
        key: Some(b"k"),
        payload: Some(payload),
        headers,
    }
}

// Upcasters find their old types where their authors say, whatever envelope a reader has; each once, so that two that
// point at each other end.
#[test]
fn an_event_goes_through_each_upcaster_of_its_topic_and_type_once() {
    let set = Upcasters::new(vec![
        upcaster(&manifest("b", "t", "V2", HEADER), "V1", Some(b"of b")),
        upcaster(&manifest("a", "t", "V1", FIELD), "V2", Some(b"of a")),
        upcaster(&manifest("c", "other", "V1", HEADER), "never", None),
        upcaster(&manifest("d", "t", "gone", HEADER), "removed", None),
    ]);
    let names: Vec<&str> = set.iter().map(|plugin| plugin.name.as_str()).collect();
    assert_eq!((names, set.version().as_str()), (vec!["a", "b", "c", "d"], "a:1 b:1 c:1 d:1"));
    let mut chain = Chain::new(&set, engine(), &Limits::default());
    let mut check = |topic: &str, by_header: &str, payload: &str, kind: &str, expected: Option<&str>| {
        let headers = [("t", Some(by_header.as_bytes()))];
        let record = record(topic, payload.as_bytes(), &headers);
        let event = chain.open(&Envelope::Header { name: "t".into() }, &record).unwrap();
        assert_eq!((event.kind.as_ref(), event.payload.as_deref()), (kind, expected.map(str::as_bytes)));
        assert_eq!((event.offset, event.key, event.timestamp_ms), (7, Some(&b"k"[..]), 3));
        assert_eq!(event.headers.iter().count(), 1);
    };
    check("t", "New", "data", "New", Some("data"));
    check("t", "V2", "data", "V2", Some("of a"));
    check("t", "x", r#"{"t":"V1"}"#, "V1", Some("of b"));
    check("t", "gone", "data", "removed", None);
    check("untouched", "V1", "data", "V1", Some("data"));
}

// Whoever reads none of its topics must not be rebuilt for an upcaster.
#[test]
fn an_upcaster_concerns_who_reads_its_topics() {
    let set = Upcasters::new(vec![
        upcaster(&manifest("a", "t", "V1", HEADER), "V2", None),
        upcaster(&manifest("b", "u", "V1", HEADER), "V2", None),
    ]);
    let of = |topics: &[&str]| {
        set.of_topics(&topics.iter().map(|topic| (*topic).to_owned()).collect::<Vec<_>>()).version()
    };
    assert_eq!((of(&[]), of(&["t"]), of(&["u", "t"])), (String::new(), "a:1".into(), "a:1 b:1".into()));
    assert!(set.of_topics(&["t".into()]) != set && set.of_topics(&["t".into(), "u".into()]) == set);
}

#[test]
fn an_event_that_cannot_be_upcast_is_named() {
    let one = upcaster(&manifest("a", "t", "V1", HEADER), "", None);
    let mut chain = Chain::new(&Upcasters::new(vec![one]), engine(), &Limits::default());
    let headers = [("t", Some(&b"V1"[..]))];
    let failed = chain.open(&Envelope::Header { name: "t".into() }, &record("t", b"", &headers));
    let message = failed.unwrap_err().to_string();
    for part in ["the upcaster a cannot", "V1 at t/1@7", "without a type", "`lantern rollback a`"] {
        assert!(message.contains(part), "{message}");
    }
}
