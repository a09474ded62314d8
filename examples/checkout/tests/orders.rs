//! What is decided, and that the projection reads it.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests: a helper that fails fails the test")]

use checkout::{Command, Event, Item, Order};
use lantern_sdk::guest::decode;
use lantern_sdk::{Aggregate as _, given};
use orders::events::{Shop, TOPIC, TYPES};
use serde_json::Value;

/// 2026-03-01T12:00:00Z.
const NOON_MS: i64 = 1_772_366_400_000;

fn item(quantity: u32, price_cents: u32) -> Item {
    Item { sku: "tea-green".into(), quantity, price_cents }
}

fn place(items: Vec<Item>) -> Command {
    Command::Place { customer_id: "c-4".into(), customer_name: Some("Ada".into()), items }
}

fn pay() -> Command {
    Command::Pay { method: "card".into() }
}

fn ship() -> Command {
    Command::Ship { carrier: "DHL".into() }
}

fn cancel() -> Command {
    Command::Cancel { reason: "changed mind".into() }
}

/// The events of an order that was given these commands, each of which must be accepted.
fn after(commands: Vec<Command>) -> Vec<Event> {
    let mut events = Vec::new();
    for command in commands {
        let order = given::<Order>(events.clone()).id("o-17").at_ms(NOON_MS);
        events.extend(order.when(command).unwrap());
    }
    events
}

// Money changes hands by these rules: each way through an order, and each way out of it.
#[test]
fn an_order_is_placed_then_paid_then_shipped_and_nothing_else() {
    let check = |before: Vec<Command>, command: Command, code: &str| {
        let rejected = given::<Order>(after(before)).when(command).unwrap_err();
        assert_eq!(rejected.code(), code);
    };
    let tea = || place(vec![item(2, 450)]);
    check(vec![], pay(), "unknown-order");
    check(vec![], place(vec![]), "no-items");
    check(vec![], place(vec![item(0, 450)]), "no-price");
    check(vec![], place(vec![item(u32::MAX, 2)]), "too-expensive");
    check(vec![], place(vec![item(1, u32::MAX), item(1, 1)]), "too-expensive");
    check(vec![tea()], tea(), "already-placed");
    check(vec![tea()], ship(), "not-paid");
    check(vec![tea(), pay()], pay(), "already-paid");
    check(vec![tea(), pay(), ship()], cancel(), "shipped");
    check(vec![tea(), pay(), ship()], ship(), "shipped");
    check(vec![tea(), cancel()], pay(), "cancelled");
    check(vec![tea(), pay(), cancel()], ship(), "cancelled");
    let paid_back = |events: Vec<Event>| match events.last() {
        Some(Event::OrderCancelled { amount_cents, .. }) => *amount_cents,
        other => panic!("{other:?}"),
    };
    assert_eq!(paid_back(after(vec![tea(), cancel()])), 0);
    assert_eq!(paid_back(after(vec![tea(), pay(), cancel()])), 900);
}

// Two plugins of two authors share a topic: what one appends, the other must read.
#[test]
fn the_projection_of_the_shop_reads_every_event() {
    let tea = || place(vec![item(2, 450)]);
    let mut events = after(vec![tea(), pay(), ship()]);
    events.extend(after(vec![tea(), cancel()]).split_off(1));
    let mut seen = Vec::new();
    for event in &events {
        // Serde's form of an enum is what the SDK takes apart: the variant's name and its content.
        let Value::Object(tagged) = serde_json::to_value(event).unwrap() else { panic!() };
        let (kind, data) = tagged.into_iter().next().unwrap();
        let data = data.to_string();
        let (order, time) = match decode::<Shop<'_>>(&kind, data.as_bytes()).unwrap() {
            Shop::OrderPlaced(event) => (event.order_id, event.placed_at),
            Shop::OrderPaid(event) => (event.order_id, event.paid_at),
            Shop::OrderShipped(event) => (event.order_id, event.shipped_at),
            Shop::OrderCancelled(event) => (event.order_id, event.cancelled_at),
        };
        assert_eq!((&*order, &*time), ("o-17", "2026-03-01T12:00:00Z"), "{kind}");
        seen.push(kind);
    }
    assert_eq!(seen, TYPES);
    let manifest = Order::manifest().check().unwrap();
    assert_eq!((manifest.name.as_str(), manifest.topics.as_slice()), ("order", &[TOPIC.to_owned()][..]));
}
