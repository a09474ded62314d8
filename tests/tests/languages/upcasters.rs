//! Upcasters say the same of the past in every language.

use super::events::{Record, json, record};
use super::failures::frame;
use super::plugins::{Kind, compare, engine, limits};
use anyhow::{Result, bail, ensure};
use lantern::wasm::{CallError, Fault, Upcaster};
use lantern_contract::frame::upcast::Upcasted;
use serde_json::Value;

// Types and data change, as JSON where they are JSON and byte for byte where they are passed on.
#[test]
fn every_language_upcasts_alike() -> Result<()> {
    let bytes: Vec<u8> = (0..=255).collect();
    let old = [
        json("CountV1", r#"{"account":"zażółć 𝄞 \"\\\n","amount":9007199254740993}"#),
        json("CountV1", r#"{"amount":-9223372036854775808,"account":"","more":[{}]}"#),
        record("RecordV1", Some(bytes)),
        record("RecordV1", Some(Vec::new())),
        record("RecordV1", None),
        record("RecordV1", Some(vec![7; 1 << 20])),
        json("GoneV1", r#"{"any":"thing"}"#),
        record("GoneV1", None),
    ];
    compare(Kind::Upcaster, |built| {
        let mut upcaster = Upcaster::new(engine()?, &built.plugin.component, "upcaster", &limits())?;
        let answered = upcaster.upcast(&frame(&old), old.len())?;
        let mut new = Vec::new();
        for event in Upcasted::parse(&answered)?.iter() {
            let event = event?;
            let payload = match (event.kind, event.payload) {
                ("Count", Some(payload)) => serde_json::from_slice::<Value>(payload)?.to_string(),
                (_, Some(payload)) => payload.escape_ascii().to_string(),
                (_, None) => "a tombstone".to_owned(),
            };
            new.push(format!("{} {payload}", event.kind));
        }
        Ok(new)
    })
}

#[test]
fn every_language_names_the_event_that_it_cannot_upcast() -> Result<()> {
    let good = json("CountV1", r#"{"account":"a","amount":1}"#);
    let wrong: [(Record, &str); 5] = [
        (json("BadV1", "{}"), "refused by the domain"),
        (json("CountV1", "{"), ""),
        (json("CountV1", r#"{"account":"a","amount":"1"}"#), ""),
        (json("CountV1", r#"{"account":"a","amount":9223372036854775808}"#), ""),
        (record("CountV1", None), ""),
    ];
    compare(Kind::Upcaster, |built| {
        for (event, words) in &wrong {
            let mut upcaster = Upcaster::new(engine()?, &built.plugin.component, "upcaster", &limits())?;
            match upcaster.upcast(&frame(&[good.clone(), event.clone()]), 2) {
                Err(CallError::Failure(failure)) => {
                    let is_right = failure.fault == Fault::BadInput && failure.message.contains(words);
                    ensure!(is_right && failure.index == Some(1), "{event:?}: it failed by {failure:?}");
                }
                other => bail!("{event:?}: it ended by {other:?}"),
            }
            upcaster.upcast(&frame(std::slice::from_ref(&good)), 1)?;
        }
        Ok(())
    })
}
