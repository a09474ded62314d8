//! The JSON Schema of the manifest takes and refuses what the reader does.
//!
//! The few keywords that the schema uses are evaluated here: a validator brings regular expressions and the tables of
//! international domain names, whose features would have the host compiled once more for the tests.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]

use lantern_contract::manifest::{Manifest, check_name};
use serde_json::{Value, json};

/// Whether a value is as a schema says. A keyword that is not known here fails the test.
fn fits(schema: &Value, value: &Value, root: &Value) -> bool {
    let object = value.as_object();
    let items = value.as_array();
    schema.as_object().unwrap().iter().all(|(keyword, says)| match keyword.as_str() {
        "$schema" | "$id" | "$defs" | "title" | "description" | "default" => true,
        "$ref" => {
            let name = says.as_str().unwrap().trim_start_matches("#/$defs/");
            fits(&root["$defs"][name], value, root)
        }
        "type" => match says.as_array() {
            Some(types) => types.iter().any(|one| is(one.as_str().unwrap(), value)),
            None => is(says.as_str().unwrap(), value),
        },
        "const" => says == value,
        "oneOf" => says.as_array().unwrap().iter().filter(|one| fits(one, value, root)).count() == 1,
        "required" => object.is_none_or(|object| {
            says.as_array().unwrap().iter().all(|name| object.contains_key(name.as_str().unwrap()))
        }),
        "properties" => object.is_none_or(|object| {
            object.iter().all(|(name, value)| says.get(name).is_none_or(|schema| fits(schema, value, root)))
        }),
        "additionalProperties" => object.is_none_or(|object| {
            let named = |name: &str| schema.get("properties").is_some_and(|known| known.get(name).is_some());
            let others = object.iter().filter(|(name, _)| !named(name));
            let mut others = others.map(|(_, value)| value);
            match says {
                Value::Bool(allowed) => *allowed || others.next().is_none(),
                schema => others.all(|value| fits(schema, value, root)),
            }
        }),
        "items" => items.is_none_or(|items| items.iter().all(|item| fits(says, item, root))),
        "minItems" => items.is_none_or(|items| items.len() as u64 >= says.as_u64().unwrap()),
        "uniqueItems" => {
            items.is_none_or(|items| (1..items.len()).all(|at| !items[..at].contains(&items[at])))
        }
        "minLength" => {
            value.as_str().is_none_or(|text| text.chars().count() as u64 >= says.as_u64().unwrap())
        }
        "minimum" => value.as_f64().is_none_or(|number| number >= says.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|number| number <= says.as_f64().unwrap()),
        "pattern" => value.as_str().is_none_or(|text| match says.as_str().unwrap() {
            "^[a-z][a-z0-9_-]{0,63}$" => check_name(text).is_ok(),
            r"^[^.]+(\.[^.]+)*$" => !text.split('.').any(str::is_empty),
            other => panic!("the pattern {other:?} is not known here"),
        }),
        other => panic!("the keyword {other:?} is not known here"),
    })
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        other => panic!("the type {other:?} is not known here"),
    }
}

// Editors and SDKs of other languages go by the schema: what it takes must not be refused at the first deployment, and
// what it refuses must not be needed.
#[test]
fn the_schema_takes_and_refuses_what_the_reader_does() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit/manifest.schema.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let check = |manifest: &Value, taken: bool| {
        let read = Manifest::parse(&manifest.to_string());
        assert_eq!(read.is_ok(), taken, "the reader, {manifest}: {read:?}");
        assert_eq!(fits(&schema, manifest, &schema), taken, "the schema: {manifest}");
        if let Ok(read) = read {
            let written = serde_json::from_str(&read.to_json()).unwrap();
            assert!(fits(&schema, &written, &schema), "as it is written: {written}");
        }
    };
    let with = |field: &str, value: Value| {
        let mut manifest = json!({ "name": "orders", "topics": ["shop"] });
        manifest[field] = value;
        manifest
    };
    for (field, taken) in [
        ("name", json!("a-1_b")),
        ("name", json!("a".repeat(64))),
        ("version", json!("1.2.0")),
        ("description", json!("")),
        ("topics", json!(["a", "b"])),
        ("types", json!([])),
        ("types", json!(["A", "A", ""])),
        ("headers", json!(null)),
        ("headers", json!([])),
        ("headers", json!(["a"])),
        ("envelope", json!({ "kind": "cloud-events" })),
        ("envelope", json!({ "kind": "header", "name": "t" })),
        ("envelope", json!({ "kind": "json-field", "field": "a.b" })),
        ("envelope", json!({ "kind": "topic" })),
        ("envelope", json!({ "kind": "topic", "type": null })),
        ("envelope", json!({ "kind": "topic", "type": "T" })),
        ("schema", json!(["CREATE TABLE t (x)"])),
        ("state_version", json!(1)),
        ("state_version", json!(u32::MAX)),
        ("queries", json!({ "all": { "sql": "SELECT 1" } })),
        ("queries", json!({ "all": { "sql": "SELECT 1", "description": "one" } })),
        ("sends", json!(["account", "order"])),
    ] {
        check(&with(field, taken), true);
    }
    for (field, refused) in [
        ("name", json!("")),
        ("name", json!("Orders")),
        ("name", json!("1a")),
        ("name", json!("a".repeat(65))),
        ("name", json!(null)),
        ("version", json!(1)),
        ("topics", json!([])),
        ("topics", json!(["a", "a"])),
        ("topics", json!([""])),
        ("topics", json!("a")),
        ("types", json!([1])),
        ("types", json!(null)),
        ("headers", json!("all")),
        ("envelope", json!({})),
        ("envelope", json!({ "kind": "other" })),
        ("envelope", json!({ "kind": "header" })),
        ("envelope", json!({ "kind": "header", "name": "" })),
        ("envelope", json!({ "kind": "json-field", "field": "a..b" })),
        ("envelope", json!({ "kind": "json-field", "field": "" })),
        ("envelope", json!({ "kind": "topic", "types": "T" })),
        ("schema", json!("CREATE TABLE t (x)")),
        ("state_version", json!(0)),
        ("state_version", json!(-1)),
        ("state_version", json!(1.5)),
        ("state_version", json!(1_u64 << 32)),
        ("queries", json!({ "all": {} })),
        ("queries", json!({ "all": { "sql": "SELECT 1", "more": 1 } })),
        ("queries", json!([])),
        ("sends", json!(["account", "account"])),
        ("sends", json!(["Account"])),
        ("tables", json!([])),
    ] {
        check(&with(field, refused), false);
    }
    for refused in [json!({ "name": "a" }), json!({ "topics": ["a"] }), json!([]), json!("a")] {
        check(&refused, false);
    }
}
