//! Records as anybody may produce them, in every envelope: no panic, and what is taken out is not more than went in. The first
//! byte says how many bytes are the header's value; the rest is the payload.
#![no_main]

use lantern::event::{self, Envelope, Headers, Record};
use libfuzzer_sys::fuzz_target;

/// An attribute of a structured CloudEvent that is no text is written as JSON, and Base64 of nothing is nothing.
const GROWS_MAX: usize = 8;

fuzz_target!(|bytes: &[u8]| {
    let Some((split, rest)) = bytes.split_first() else { return };
    let Some((value, payload)) = rest.split_at_checked(usize::from(*split)) else { return };
    let envelopes = [
        Envelope::CloudEvents,
        Envelope::Header { name: "ce_type".into() },
        Envelope::JsonField { field: "type".into() },
        Envelope::JsonField { field: "a.0.b".into() },
        Envelope::Topic { event_type: None },
    ];
    for name in ["ce_type", "content-type"] {
        let headers = [(name, Some(value))];
        let record = Record {
            topic: "fuzzed",
            partition: 0,
            offset: 0,
            timestamp_ms: -1,
            key: None,
            payload: Some(payload),
            headers: Headers::list(&headers),
        };
        for envelope in &envelopes {
            match event::open(envelope, &record) {
                Ok(event) => {
                    let headers: usize = event
                        .headers
                        .iter()
                        .map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len))
                        .sum();
                    let taken = event.payload.map_or(0, |payload| payload.len()) + headers;
                    assert!(taken <= GROWS_MAX * (bytes.len() + name.len()), "{taken} of {}", bytes.len());
                }
                Err(error) => assert!(error.to_string().contains("topic fuzzed, partition 0, offset 0"), "{error}"),
            }
        }
    }
});
