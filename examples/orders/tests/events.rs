//! The shop's events, as they are documented.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests: a helper that fails fails the test")]

use lantern_sdk::Projection;
use lantern_sdk::guest::decode;
use orders::Orders;
use orders::events::{Shop, TYPES};

/// Others write these events by their documentation, which is therefore tested: every example in events.rs is read.
#[test]
fn the_documented_events_decode() {
    let source = include_str!("../src/events.rs");
    let docs: String = source.lines().filter_map(|line| line.strip_prefix("/// ")).collect();
    let examples: Vec<&str> = docs.split('`').filter(|code| code.starts_with("{\"order_id\"")).collect();
    assert_eq!(examples.len(), TYPES.len());
    for (kind, example) in TYPES.into_iter().zip(examples) {
        let order = match decode(kind, example.as_bytes()).unwrap() {
            Shop::OrderPlaced(event) => {
                assert_eq!((event.items.len(), event.customer_name.as_deref()), (1, Some("Ada")));
                event.order_id
            }
            Shop::OrderPaid(event) => event.order_id,
            Shop::OrderShipped(event) => event.order_id,
            Shop::OrderCancelled(event) => event.order_id,
        };
        assert_eq!(order, "o-17");
    }
}

/// JSON may escape any character, and some programs do: such an event is the same event.
#[test]
fn every_text_may_be_escaped() {
    let data = r#"{"order_id":"o-\u0031","customer_id":"c\/4","items":[{"sku":"t\u0065a","quantity":1,"price_cents":1}],
        "total_cents":1,"placed_at":"2026\u002d03-01"}"#;
    let Shop::OrderPlaced(event) = decode("OrderPlaced", data.as_bytes()).unwrap() else { panic!() };
    let read = (&*event.order_id, &*event.customer_id, &*event.items[0].sku, &*event.placed_at);
    assert_eq!(read, ("o-1", "c/4", "tea", "2026-03-01"));
}

/// A name may hold anything, or be missing.
#[test]
fn names_may_be_escaped_or_missing() {
    let check = |name: &str, expected: Option<&str>| {
        let data = format!(
            r#"{{"order_id":"o","customer_id":"c",{name}"items":[],"total_cents":0,"placed_at":"2026-03-01"}}"#
        );
        let Shop::OrderPlaced(event) = decode("OrderPlaced", data.as_bytes()).unwrap() else { panic!() };
        assert_eq!(event.customer_name.as_deref(), expected);
    };
    check("", None);
    check(r#""customer_name":null,"#, None);
    check(r#""customer_name":"Zo\u00eb \"Z\"","#, Some("Zoë \"Z\""));
}

/// What the host refuses, it must refuse here already.
#[test]
fn the_manifest_is_one_that_a_host_takes() {
    let manifest = Orders::manifest().check().unwrap();
    assert_eq!((manifest.name.as_str(), manifest.types.as_slice()), ("orders", &TYPES.map(String::from)[..]));
}
