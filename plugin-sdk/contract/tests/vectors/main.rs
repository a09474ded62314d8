//! The test vectors beside the frames' specification: made here, and read here as every SDK has to read them.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests: a helper that fails fails the test")]

mod make;
mod read;

use serde_json::Value as Json;
use std::path::PathBuf;

/// Each file holds the vectors of one kind of frame.
const KINDS: [&str; 3] = ["events", "ops", "rows"];

fn file(kind: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../wit/vectors").join(kind).with_extension("json")
}

fn stored(kind: &str) -> Vec<Json> {
    serde_json::from_str(&std::fs::read_to_string(file(kind)).unwrap()).unwrap()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(hex: &str) -> Vec<u8> {
    assert_eq!(hex.len() % 2, 0);
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Other languages' SDKs are built on the stored files, so these must be what this crate writes today: a change of
/// the layout shows here.
#[test]
fn the_stored_vectors_are_those_that_are_made() {
    for kind in KINDS {
        let made = make::vectors(kind);
        if std::env::var_os("LANTERN_TESTS_BLESS").is_some() {
            let lines: Vec<String> = made.iter().map(Json::to_string).collect();
            std::fs::write(file(kind), format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
        }
        for (made, stored) in made.iter().zip(stored(kind)) {
            assert_eq!(
                made, &stored,
                "{kind}: `LANTERN_TESTS_BLESS=1 cargo test -p lantern-contract` writes them anew"
            );
        }
        assert_eq!(made.len(), stored(kind).len(), "{kind}");
    }
}

/// The reader is tested by the files alone, as the readers of other languages are.
#[test]
fn every_stored_vector_reads_as_it_says() {
    for kind in KINDS {
        for vector in stored(kind) {
            let frame = from_hex(vector["frame"].as_str().unwrap());
            let (field, found) = match read::frame(kind, &frame) {
                Ok(meaning) => ("meaning", meaning),
                Err(error) => ("error", Json::from(read::name(&error))),
            };
            assert_eq!(found, vector[field], "{kind}: {}", vector["name"]);
        }
    }
}

/// A hostile vector for every error, or an SDK could pass them all without knowing one.
#[test]
fn every_error_has_a_vector() {
    let vectors: Vec<Json> = KINDS.into_iter().flat_map(stored).collect();
    for error in ["short", "magic", "version", "kind", "stride", "length", "bounds", "utf8", "tag"] {
        assert!(vectors.iter().any(|vector| vector["error"] == error), "{error}");
    }
}
