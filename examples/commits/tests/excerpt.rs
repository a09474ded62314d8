//! Real events, as `lantern produce` would append them.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests: a helper that fails fails the test")]

use commits::Commits;
use commits::events::Commit;
use lantern_sdk::guest::decode;
use lantern_sdk::{Envelope, Projection};

const EXCERPT: &str = include_str!("../data/excerpt.jsonl");

/// The excerpt stands for the whole history in the project's tests, so it must have every kind of event: commits, merges,
/// and changes of binary files, which have no counts.
#[test]
fn every_event_of_the_excerpt_decodes() {
    let (mut landed, mut merged, mut binary, mut changes) = (0, 0, 0, 0);
    for line in EXCERPT.lines() {
        let kind = if line.contains(r#""type":"CommitLanded""#) { "CommitLanded" } else { "CommitMerged" };
        match decode(kind, line.as_bytes()).unwrap() {
            Commit::CommitLanded(commit) => {
                landed += 1;
                changes += commit.files.len();
                binary += commit.files.iter().filter(|file| file.added.is_none()).count();
            }
            Commit::CommitMerged(commit) => {
                merged += 1;
                assert!(commit.files.is_empty());
            }
        }
    }
    assert_eq!((landed, merged, changes, binary), (141, 59, 539, 12));
}

/// The type stands in the data, so that any producer of JSON lines can write these events.
#[test]
fn the_manifest_is_one_that_a_host_takes() {
    let manifest = Commits::manifest().check().unwrap();
    assert_eq!(
        (manifest.name.as_str(), manifest.topics.as_slice()),
        ("commits", &["commits".to_owned()][..])
    );
    assert_eq!(manifest.envelope, Envelope::JsonField { field: "type".into() });
}
