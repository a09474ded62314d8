//! The events that everybody applies: those that `examples/orders` declares.
//!
//! An order is placed once, then paid in instalments, shipped in parts, and now and then cancelled in part, in the
//! order of its partition: about ten events for each of 100,000 orders. Each carries a reference that the
//! projection does not read, as events do, and has about 200 bytes.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// Orders that are worked on at one time, when keys come in a window.
const WINDOW_ORDERS: u64 = 2_000;
/// One order for so many events.
const EVENTS_PER_ORDER: u64 = 10;
/// One customer for so many orders.
const ORDERS_PER_CUSTOMER: u64 = 10;
/// The events are spread over so many days.
const DAYS: u64 = 28;
const SEED: u64 = 7;

const SKUS: [(&str, u32); 8] = [
    ("tea-green", 450),
    ("tea-black", 390),
    ("coffee-beans", 1_290),
    ("mug-blue", 990),
    ("teapot-iron", 4_900),
    ("honey-heather", 720),
    ("filter-paper", 310),
    ("biscuits-oat", 280),
];
const METHODS: [&str; 3] = ["card", "transfer", "wallet"];
const CARRIERS: [&str; 3] = ["DHL", "Post", "Courier"];
const REASONS: [&str; 3] = ["changed mind", "too late", "found it cheaper"];

/// Which orders the next event may be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Keys {
    /// One of 2,000 that are open; the window slides over all orders. What shops, sensors and ledgers do.
    Window,
    /// Any order. The worst case for a database, and for gathering writes to the same row.
    Uniform,
}

impl Keys {
    /// Its name in topics and reports.
    pub fn name(self) -> &'static str {
        match self {
            Keys::Window => "window",
            Keys::Uniform => "uniform",
        }
    }
}

/// An event to be appended. Its memory is used again for the next one.
#[derive(Debug, Default)]
pub struct Made {
    /// Its type.
    pub kind: &'static str,
    /// The order.
    pub key: String,
    /// Its data.
    pub payload: String,
}

/// Makes the events one after the other; the same number and keys always make the same events.
pub struct Workload {
    random: StdRng,
    events: u64,
    made: u64,
    window: u64,
    placed: Vec<bool>,
}

impl Workload {
    /// The first event of a workload of so many.
    pub fn new(keys: Keys, events: u64) -> Self {
        let orders = (events / EVENTS_PER_ORDER).max(1);
        let window = match keys {
            Keys::Window => WINDOW_ORDERS.min(orders),
            Keys::Uniform => orders,
        };
        let placed = vec![false; usize::try_from(orders).unwrap_or(usize::MAX)];
        Workload { random: StdRng::seed_from_u64(SEED), events, made: 0, window, placed }
    }

    /// Makes the next event; false behind the last.
    pub fn next(&mut self, event: &mut Made) -> bool {
        if self.made == self.events {
            return false;
        }
        let orders = self.placed.len() as u64;
        let first = (orders - self.window) * self.made / self.events;
        let order = first + self.random.random_range(0..self.window);
        let minute = DAYS * 24 * 60 * self.made / self.events;
        self.made += 1;
        let at =
            format!("2026-03-{:02}T{:02}:{:02}:00Z", 1 + minute / (24 * 60), minute / 60 % 24, minute % 60);
        // An order's customer follows from its number; the factor spreads neighbours.
        let customer = order * 7_919 % (orders / ORDERS_PER_CUSTOMER).max(1);
        event.key.clear();
        event.payload.clear();
        // Writing to a String cannot fail.
        let _ = write!(event.key, "order-{order:08}");
        let _ = self.write(event, order, customer, &at);
        true
    }

    fn write(&mut self, event: &mut Made, order: u64, customer: u64, at: &str) -> std::fmt::Result {
        let Made { kind, key, payload } = event;
        let reference = self.random.random::<u64>();
        let placed = &mut self.placed[usize::try_from(order).unwrap_or(usize::MAX)];
        if !std::mem::replace(placed, true) {
            *kind = "OrderPlaced";
            let (sku, price) = SKUS[self.random.random_range(0..SKUS.len())];
            let quantity = self.random.random_range(1..=4u32);
            return write!(
                payload,
                r#"{{"order_id":"{key}","customer_id":"customer-{customer:06}","customer_name":"Customer {customer}","items":[{{"sku":"{sku}","quantity":{quantity},"price_cents":{price}}}],"total_cents":{},"placed_at":"{at}"}}"#,
                quantity * price
            );
        }
        write!(payload, r#"{{"order_id":"{key}","customer_id":"customer-{customer:06}","#)?;
        let cents = self.random.random_range(1..=1_000u32);
        match self.random.random_range(0..100u32) {
            0..80 => {
                *kind = "OrderPaid";
                let method = METHODS[self.random.random_range(0..METHODS.len())];
                write!(payload, r#""amount_cents":{cents},"method":"{method}","paid_at":"{at}","#)?;
            }
            80..95 => {
                *kind = "OrderShipped";
                let carrier = CARRIERS[self.random.random_range(0..CARRIERS.len())];
                write!(payload, r#""carrier":"{carrier}","shipped_at":"{at}","#)?;
            }
            _ => {
                *kind = "OrderCancelled";
                let reason = REASONS[self.random.random_range(0..REASONS.len())];
                write!(payload, r#""reason":"{reason}","amount_cents":{cents},"cancelled_at":"{at}","#)?;
            }
        }
        write!(payload, r#""reference":"{reference:016x}","terminal":{}}}"#, reference % 9_973)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A projection that updates an order before it was placed would do nothing, and so be too fast.
    #[test]
    fn an_order_is_placed_first_and_events_have_their_size() {
        for keys in [Keys::Window, Keys::Uniform] {
            let mut workload = Workload::new(keys, 20_000);
            let (mut event, mut bytes) = (Made::default(), 0);
            let mut placed = std::collections::HashSet::new();
            while workload.next(&mut event) {
                bytes += event.payload.len();
                assert_eq!(placed.insert(event.key.clone()), event.kind == "OrderPlaced", "{event:?}");
                serde_json::from_str::<serde_json::Value>(&event.payload).expect("it is JSON");
            }
            assert!((150..=220).contains(&(bytes / 20_000)), "{} bytes an event", bytes / 20_000);
            assert!(placed.len() > 1_950, "{} of 2,000 orders", placed.len());
        }
    }
}
