//! The events of the shop: topic `shop`, CloudEvents in binary mode, keyed by `order_id`.
//!
//! An order's events are in one partition and in this order: it is placed; then paid or cancelled; if paid, then
//! shipped or cancelled. Every event carries what its readers need, so that none has to look anything up. Times are
//! RFC 3339 in UTC (`2026-03-01T12:00:00Z`), amounts are in cents.
//!
//! Texts are borrowed from the payload where they stand there as they are; one with an escape in it is copied.

use serde::Deserialize;
use std::borrow::Cow;

/// The topic.
pub const TOPIC: &str = "shop";
/// The types, as `ce_type` has them.
pub const TYPES: [&str; 4] = ["OrderPlaced", "OrderPaid", "OrderShipped", "OrderCancelled"];

/// An event of the shop, by its type.
#[derive(Debug, Deserialize)]
pub enum Shop<'a> {
    /// A customer ordered something.
    #[serde(borrow)]
    OrderPlaced(OrderPlaced<'a>),
    /// The order was paid in full.
    OrderPaid(OrderPaid<'a>),
    /// The goods are on their way.
    OrderShipped(OrderShipped<'a>),
    /// The order was given up.
    OrderCancelled(OrderCancelled<'a>),
}

/// `{"order_id":"o-17","customer_id":"c-4","customer_name":"Ada","items":[{"sku":"tea-green","quantity":2,
/// "price_cents":450}],"total_cents":900,"placed_at":"2026-03-01T12:00:00Z"}`
#[derive(Debug, Deserialize)]
pub struct OrderPlaced<'a> {
    /// The order, which is also the record's key.
    #[serde(borrow)]
    pub order_id: Cow<'a, str>,
    /// Who ordered.
    #[serde(borrow)]
    pub customer_id: Cow<'a, str>,
    /// The customer's name, where it is known.
    #[serde(borrow, default)]
    pub customer_name: Option<Cow<'a, str>>,
    /// What was ordered.
    pub items: Vec<Item<'a>>,
    /// What the items cost together.
    pub total_cents: u32,
    /// When.
    #[serde(borrow)]
    pub placed_at: Cow<'a, str>,
}

/// Some pieces of one product.
#[derive(Debug, Deserialize)]
pub struct Item<'a> {
    /// The product.
    #[serde(borrow)]
    pub sku: Cow<'a, str>,
    /// How many pieces.
    pub quantity: u32,
    /// What one piece costs.
    pub price_cents: u32,
}

/// `{"order_id":"o-17","customer_id":"c-4","amount_cents":900,"method":"card","paid_at":"2026-03-01T12:01:00Z"}`
#[derive(Debug, Deserialize)]
pub struct OrderPaid<'a> {
    /// The order.
    #[serde(borrow)]
    pub order_id: Cow<'a, str>,
    /// Who had ordered.
    #[serde(borrow)]
    pub customer_id: Cow<'a, str>,
    /// What was paid: the order's total.
    pub amount_cents: u32,
    /// How it was paid.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// When.
    #[serde(borrow)]
    pub paid_at: Cow<'a, str>,
}

/// `{"order_id":"o-17","carrier":"DHL","shipped_at":"2026-03-02T08:00:00Z"}`
#[derive(Debug, Deserialize)]
pub struct OrderShipped<'a> {
    /// The order.
    #[serde(borrow)]
    pub order_id: Cow<'a, str>,
    /// Who carries it.
    #[serde(borrow)]
    pub carrier: Cow<'a, str>,
    /// When.
    #[serde(borrow)]
    pub shipped_at: Cow<'a, str>,
}

/// `{"order_id":"o-17","customer_id":"c-4","reason":"changed mind","amount_cents":900,
/// "cancelled_at":"2026-03-01T18:00:00Z"}`
#[derive(Debug, Deserialize)]
pub struct OrderCancelled<'a> {
    /// The order.
    #[serde(borrow)]
    pub order_id: Cow<'a, str>,
    /// Who had ordered.
    #[serde(borrow)]
    pub customer_id: Cow<'a, str>,
    /// Why.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// What is paid back: the order's total if it had been paid, 0 if not.
    pub amount_cents: u32,
    /// When.
    #[serde(borrow)]
    pub cancelled_at: Cow<'a, str>,
}
