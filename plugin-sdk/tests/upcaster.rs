//! What crosses between the host and an upcaster, natively.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests: a helper that fails fails the test")]

use lantern_contract::frame::events::{NewEvent, Writer};
use lantern_contract::frame::upcast::Upcasted;
use lantern_sdk::guest::{self, Failure};
use lantern_sdk::{Event, Fault, Manifest, Result, Upcast, Upcaster, given_event};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
enum Old {
    PlacedV1 { units: i64 },
    Moved { to: String },
}

#[derive(Serialize)]
enum New {
    Placed { cents: i64, by: String },
    Moved { to: String, at_ms: i64 },
}

struct Orders;

impl Upcaster for Orders {
    type Old = Old;
    type New = New;

    fn manifest() -> Manifest {
        Manifest::new("orders-today").topic("orders").types(["PlacedV1", "Moved", "Gone"])
    }

    fn upcast(old: Old, event: &Event<'_>) -> Result<New> {
        Ok(match old {
            Old::PlacedV1 { units } if units < 0 => return Err(event.bad_input("less than nothing")),
            Old::PlacedV1 { units } => New::Placed { cents: units * 100, by: event.key_str()?.to_owned() },
            Old::Moved { to } => New::Moved { to, at_ms: event.timestamp_ms() },
        })
    }

    fn upcast_raw(event: &Event<'_>) -> Result<Upcast> {
        match (event.kind(), event.payload()) {
            ("Gone", None) => Ok(Upcast::tombstone("Removed")),
            ("Gone", Some(reason)) => Ok(Upcast::new("Removed", reason)),
            _ => Upcast::of(&Self::upcast(event.decode()?, event)?),
        }
    }
}

fn upcast(given: &[(&str, Option<&str>)]) -> Result<Vec<(String, Option<String>)>, Failure> {
    let mut writer = Writer::new();
    for (offset, (kind, payload)) in (0..).zip(given) {
        let event = NewEvent {
            kind,
            topic: "orders",
            partition: 1,
            offset,
            timestamp_ms: 7,
            key: Some(b"ada"),
            payload: payload.map(str::as_bytes),
        };
        writer.push(event, []);
    }
    let mut frame = Vec::new();
    writer.finish(&mut frame);
    let answer = guest::upcast::<Orders>(&frame)?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let read = Upcasted::parse(&answer).unwrap();
    Ok(read.iter().map(|event| event.unwrap()).map(|it| (it.kind.to_owned(), it.payload.map(text))).collect())
}

#[test]
fn old_events_become_todays_one_for_one_and_in_order() {
    let today = upcast(&[
        ("PlacedV1", Some(r#"{"units":5}"#)),
        ("Moved", Some(r#"{"to":"Bern"}"#)),
        ("Gone", None),
        ("Gone", Some("lost")),
    ]);
    let expected = [
        ("Placed", Some(r#"{"cents":500,"by":"ada"}"#)),
        ("Moved", Some(r#"{"to":"Bern","at_ms":7}"#)),
        ("Removed", None),
        ("Removed", Some("lost")),
    ];
    let expected = expected.map(|(kind, payload)| (kind.to_owned(), payload.map(str::to_owned)));
    assert_eq!(today.unwrap(), expected);
    assert_eq!(upcast(&[]).unwrap(), []);
}

// The host halts at the event that the failure names: a wrong one would send its author to the wrong place.
#[test]
fn an_event_that_cannot_be_upcast_is_named() {
    let check = |given: &[(&str, Option<&str>)], index: u32, part: &str| {
        let failed = upcast(given).unwrap_err();
        assert_eq!((failed.fault, failed.index), (Fault::BadInput, Some(index)), "{failed:?}");
        assert!(failed.message.contains(part), "{failed:?}");
    };
    let fine = ("PlacedV1", Some(r#"{"units":5}"#));
    check(&[fine, ("PlacedV1", Some(r#"{"units":-1}"#))], 1, "orders/1@1 (PlacedV1): less than nothing");
    check(&[fine, fine, ("PlacedV1", Some("{}"))], 2, "missing field `units`");
    check(&[("PlacedV1", None)], 0, "it is a tombstone");
    check(&[("Placed", Some("{}"))], 0, "unknown variant `Placed`");
}

#[test]
fn an_event_is_upcast_in_a_test_as_in_the_host() {
    let given = given_event::<Orders>("PlacedV1", r#"{"units":2}"#).key("bob");
    assert_eq!(given.upcast().unwrap(), Upcast::new("Placed", r#"{"cents":200,"by":"bob"}"#));
    let moved = given_event::<Orders>("Moved", r#"{"to":"Bern"}"#).at_ms(3).header("h", "v");
    assert_eq!(moved.upcast().unwrap(), Upcast::of(&New::Moved { to: "Bern".into(), at_ms: 3 }).unwrap());
    assert_eq!(given_event::<Orders>("Gone", "").tombstone().upcast().unwrap(), Upcast::tombstone("Removed"));
    let other = given_event::<Orders>("Placed", "{}").upcast().unwrap_err();
    assert!(other.message().contains("its manifest names PlacedV1, Moved, Gone"), "{other}");
}
