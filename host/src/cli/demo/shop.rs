//! A shop that never was: orders placed, paid, shipped, cancelled, from a seed.
//!
//! The events are those that `examples/orders` declares.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use serde_json::json;
use std::collections::VecDeque;

/// The topic of `examples/orders`.
pub const TOPIC: &str = "shop";

/// Orders that are not done yet, at most; the oldest is finished first.
const OPEN_MAX: usize = 2_000;
/// When the shop opened: 2026-01-01T00:00:00Z, in Unix milliseconds.
const OPENED_MS: i64 = 1_767_225_600_000;
/// How long the shop is open for in all, whatever the number of events.
const OPEN_DAYS: i64 = 30;
const DAY_MS: i64 = 86_400_000;

const FIRST: [&str; 16] = [
    "Ada", "Alan", "Barbara", "Claude", "Dennis", "Edsger", "Frances", "Grace", "Hedy", "Ida", "Joan", "Ken",
    "Leslie", "Margaret", "Niklaus", "Radia",
];
const LAST: [&str; 16] = [
    "Abbot", "Baker", "Carter", "Draper", "Eriksen", "Fisher", "Glover", "Hunter", "Ivarsson", "Joiner",
    "Keller", "Lorimer", "Mason", "Naylor", "Ostler", "Potter",
];
/// What is sold, and its price in cents.
const PRODUCTS: [(&str, u32); 12] = [
    ("tea-green", 450),
    ("tea-black", 390),
    ("coffee-beans", 1_290),
    ("mug-blue", 990),
    ("teapot-iron", 4_900),
    ("honey-heather", 720),
    ("kettle-copper", 8_900),
    ("filter-paper", 310),
    ("grinder-hand", 5_400),
    ("biscuits-oat", 280),
    ("tray-oak", 2_600),
    ("spoon-silver", 1_750),
];
const METHODS: [&str; 3] = ["card", "transfer", "wallet"];
const CARRIERS: [&str; 3] = ["DHL", "Post", "Courier"];
const REASONS: [&str; 3] = ["changed mind", "too late", "found it cheaper"];

/// An event to be appended.
pub struct ShopEvent {
    /// Its type.
    pub kind: &'static str,
    /// Its key: the order.
    pub key: String,
    /// Which of the order's events it is, counted from 1.
    pub version: u32,
    /// Its data.
    pub payload: Vec<u8>,
    /// When it happened, in Unix milliseconds.
    pub time_ms: i64,
}

/// What the read model has to say when it has applied everything, folded here without Lantern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Orders that were placed.
    pub orders: u64,
    /// Of them, now paid and not shipped.
    pub paid: u64,
    /// Of them, shipped.
    pub shipped: u64,
    /// Of them, cancelled.
    pub cancelled: u64,
    /// What all orders cost.
    pub ordered_cents: u64,
    /// What was paid, less what was paid back.
    pub spent_cents: i64,
}

struct Order {
    id: String,
    customer: u32,
    total_cents: u32,
    is_paid: bool,
}

/// Makes the events one after the other.
pub struct Shop {
    random: StdRng,
    /// Tells the orders of this run from those of earlier ones on the same log.
    run: String,
    customers: u32,
    open: VecDeque<Order>,
    placed: u64,
    made: u64,
    total: u64,
    expected: Expected,
}

impl Shop {
    /// A shop of `total` events. `run` becomes part of the orders' ids.
    pub fn new(seed: u64, run: String, total: u64) -> Self {
        let customers = u32::try_from((total / 40).clamp(10, 10_000)).unwrap_or(10_000);
        Shop {
            random: StdRng::seed_from_u64(seed),
            run,
            customers,
            open: VecDeque::new(),
            placed: 0,
            made: 0,
            total,
            expected: Expected::default(),
        }
    }

    /// What its events add up to so far.
    pub fn expected(&self) -> &Expected {
        &self.expected
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.random.random_range(0..of.len())]
    }

    fn place(&mut self, at: &str) -> (&'static str, String, serde_json::Value) {
        // Some customers come more often than others.
        let customer =
            self.random.random_range(0..self.customers).min(self.random.random_range(0..self.customers));
        let mut total_cents = 0;
        let lines = self.random.random_range(1..=3);
        let items: Vec<_> = (0..lines)
            .map(|_| {
                let (sku, price_cents) = self.pick(&PRODUCTS);
                let quantity = self.random.random_range(1..=4u32);
                total_cents += quantity * price_cents;
                json!({"sku": sku, "quantity": quantity, "price_cents": price_cents})
            })
            .collect();
        let id = format!("o-{}{}", self.run, self.placed);
        self.placed += 1;
        self.expected.orders += 1;
        self.expected.ordered_cents += u64::from(total_cents);
        let name = format!(
            "{} {}",
            FIRST[customer as usize % FIRST.len()],
            LAST[customer as usize / FIRST.len() % LAST.len()]
        );
        let payload = json!({
            "order_id": id, "customer_id": format!("c-{customer}"), "customer_name": name,
            "items": items, "total_cents": total_cents, "placed_at": at,
        });
        self.open.push_back(Order { id: id.clone(), customer, total_cents, is_paid: false });
        ("OrderPlaced", id, payload)
    }

    fn go_on(&mut self, mut order: Order, at: &str) -> (&'static str, String, serde_json::Value) {
        let id = order.id.clone();
        let customer = format!("c-{}", order.customer);
        let gives_up = self.random.random_bool(if order.is_paid { 0.03 } else { 0.08 });
        if gives_up {
            let amount = if order.is_paid { order.total_cents } else { 0 };
            if order.is_paid {
                self.expected.paid -= 1;
            }
            self.expected.cancelled += 1;
            self.expected.spent_cents -= i64::from(amount);
            let reason = self.pick(&REASONS);
            let payload = json!({
                "order_id": id, "customer_id": customer, "reason": reason, "amount_cents": amount,
                "cancelled_at": at,
            });
            return ("OrderCancelled", id, payload);
        }
        if order.is_paid {
            self.expected.paid -= 1;
            self.expected.shipped += 1;
            let payload = json!({"order_id": id, "carrier": self.pick(&CARRIERS), "shipped_at": at});
            return ("OrderShipped", id, payload);
        }
        self.expected.paid += 1;
        self.expected.spent_cents += i64::from(order.total_cents);
        let payload = json!({
            "order_id": id, "customer_id": customer, "amount_cents": order.total_cents,
            "method": self.pick(&METHODS), "paid_at": at,
        });
        order.is_paid = true;
        self.open.push_back(order);
        ("OrderPaid", id, payload)
    }
}

impl Iterator for Shop {
    type Item = ShopEvent;

    fn next(&mut self) -> Option<ShopEvent> {
        if self.made == self.total {
            return None;
        }
        // Spread over the days that the shop is open; exact in 128 bits.
        let share = i128::from(OPEN_DAYS * DAY_MS) * i128::from(self.made) / i128::from(self.total);
        let time_ms = OPENED_MS + i64::try_from(share).unwrap_or(0);
        let at = rfc3339(time_ms);
        self.made += 1;
        let goes_on = self.open.len() >= OPEN_MAX || (!self.open.is_empty() && self.random.random_bool(0.62));
        let (version, (kind, key, payload)) = match self.open.pop_front() {
            Some(order) if goes_on => (if order.is_paid { 3 } else { 2 }, self.go_on(order, &at)),
            Some(order) => {
                self.open.push_front(order);
                (1, self.place(&at))
            }
            None => (1, self.place(&at)),
        };
        Some(ShopEvent { kind, key, version, payload: payload.to_string().into_bytes(), time_ms })
    }
}

/// A time of Unix milliseconds, to the second.
pub fn rfc3339(time_ms: i64) -> String {
    jiff::Timestamp::from_second(time_ms.div_euclid(1_000))
        .map_or_else(|_| String::new(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The demo's result can be compared between machines and versions only if its input is the same.
    #[test]
    fn a_seed_gives_the_same_shop() {
        let bytes = |seed| Shop::new(seed, String::new(), 500).map(|event| event.payload).collect::<Vec<_>>();
        assert_eq!(bytes(7), bytes(7));
        assert_ne!(bytes(7), bytes(8));
    }

    #[test]
    fn an_order_is_placed_before_anything_else_happens_to_it() {
        let mut shop = Shop::new(1, String::new(), 20_000);
        let mut placed = std::collections::HashSet::new();
        for event in shop.by_ref() {
            if event.kind == "OrderPlaced" {
                assert!(placed.insert(event.key), "placed twice");
            } else {
                assert!(placed.contains(&event.key), "{} before it was placed", event.kind);
            }
        }
        let Expected { orders, paid, shipped, cancelled, .. } = shop.expected().clone();
        assert_eq!(orders, placed.len() as u64);
        assert!(paid + shipped + cancelled <= orders);
        assert!(shipped > 0 && cancelled > 0);
    }
}
