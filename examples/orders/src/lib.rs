//! The read model of a shop: its orders, customers, products and days.
//!
//! Every event says all that its rows need, so the projection never reads: it writes rows, and what is written to
//! the same row several times within a batch reaches the database once.

pub mod events;

use events::{Item, Shop};
use lantern_sdk::{Db, Event, Manifest, Projection, Result, Table};

static ORDERS: Table = Table::new(
    "orders",
    &["order_id"],
    &[
        "customer_id",
        "status",
        "items",
        "total_cents",
        "placed_at",
        "paid_at",
        "method",
        "shipped_at",
        "carrier",
        "cancelled_at",
        "reason",
    ],
);
static CUSTOMERS: Table = Table::new(
    "customers",
    &["customer_id"],
    &["name", "orders", "cancelled", "ordered_cents", "spent_cents"],
);
static PRODUCTS: Table = Table::new("products", &["sku"], &["orders", "sold", "revenue_cents"]);
static DAILY_SALES: Table =
    Table::new("daily_sales", &["day"], &["placed", "shipped", "cancelled", "ordered_cents", "paid_cents"]);

/// The projection.
#[derive(Default)]
pub struct Orders;

impl Projection for Orders {
    fn manifest() -> Manifest {
        Manifest::new("orders")
            .version(env!("CARGO_PKG_VERSION"))
            .description("Orders, customers, products and days of a shop")
            .topic(events::TOPIC)
            .types(events::TYPES)
            .schema(
                "CREATE TABLE orders (
                    order_id     TEXT PRIMARY KEY,
                    customer_id  TEXT NOT NULL,
                    status       TEXT NOT NULL,
                    items        INTEGER NOT NULL,
                    total_cents  INTEGER NOT NULL,
                    placed_at    TEXT NOT NULL,
                    paid_at      TEXT,
                    method       TEXT,
                    shipped_at   TEXT,
                    carrier      TEXT,
                    cancelled_at TEXT,
                    reason       TEXT
                )",
            )
            .schema(
                "CREATE TABLE customers (
                    customer_id   TEXT PRIMARY KEY,
                    name          TEXT,
                    orders        INTEGER NOT NULL DEFAULT 0,
                    cancelled     INTEGER NOT NULL DEFAULT 0,
                    ordered_cents INTEGER NOT NULL DEFAULT 0,
                    spent_cents   INTEGER NOT NULL DEFAULT 0
                )",
            )
            .schema(
                "CREATE TABLE products (
                    sku           TEXT PRIMARY KEY,
                    orders        INTEGER NOT NULL DEFAULT 0,
                    sold          INTEGER NOT NULL DEFAULT 0,
                    revenue_cents INTEGER NOT NULL DEFAULT 0
                )",
            )
            .schema(
                "CREATE TABLE daily_sales (
                    day           TEXT PRIMARY KEY,
                    placed        INTEGER NOT NULL DEFAULT 0,
                    shipped       INTEGER NOT NULL DEFAULT 0,
                    cancelled     INTEGER NOT NULL DEFAULT 0,
                    ordered_cents INTEGER NOT NULL DEFAULT 0,
                    paid_cents    INTEGER NOT NULL DEFAULT 0
                )",
            )
            .query(
                "top-customers",
                "SELECT customer_id, name, orders, spent_cents / 100.0 AS spent
                 FROM customers ORDER BY spent_cents DESC, customer_id LIMIT 10",
                "Who spent most",
            )
            .query(
                "top-products",
                "SELECT sku, sold, orders, revenue_cents / 100.0 AS revenue
                 FROM products ORDER BY revenue_cents DESC, sku LIMIT 10",
                "What brought most",
            )
            .query(
                "days",
                "SELECT day, placed, shipped, cancelled, paid_cents / 100.0 AS paid
                 FROM daily_sales ORDER BY day DESC LIMIT 31",
                "The last days",
            )
            .query(
                "statuses",
                "SELECT status, count(*) AS orders, sum(total_cents) / 100.0 AS total
                 FROM orders GROUP BY status ORDER BY orders DESC",
                "How many orders are in which state",
            )
            .query("order", "SELECT * FROM orders WHERE order_id = :order_id", "One order")
    }

    fn apply(&mut self, event: &Event<'_>, db: &mut Db) -> Result<()> {
        match event.decode()? {
            Shop::OrderPlaced(order) => {
                let (customer, total) = (&*order.customer_id, order.total_cents);
                let pieces: i64 = order.items.iter().map(|item| i64::from(item.quantity)).sum();
                db.upsert(&ORDERS, &*order.order_id)
                    .set("customer_id", customer)
                    .set("status", "placed")
                    .set("items", pieces)
                    .set("total_cents", total)
                    .set("placed_at", &*order.placed_at);
                let row = db.upsert(&CUSTOMERS, customer).add("orders", 1).add("ordered_cents", total);
                if let Some(name) = order.customer_name {
                    row.set("name", name);
                }
                for Item { sku, quantity, price_cents } in order.items {
                    let quantity = i64::from(quantity);
                    let revenue = quantity
                        .checked_mul(i64::from(price_cents))
                        .ok_or_else(|| event.bad_input(format_args!("{quantity} of {sku} cost too much")))?;
                    db.upsert(&PRODUCTS, &*sku)
                        .add("orders", 1)
                        .add("sold", quantity)
                        .add("revenue_cents", revenue);
                }
                let day = day(event, &order.placed_at)?;
                db.upsert(&DAILY_SALES, day).add("placed", 1).add("ordered_cents", total);
            }
            Shop::OrderPaid(paid) => {
                db.update(&ORDERS, &*paid.order_id)
                    .set("status", "paid")
                    .set("paid_at", &*paid.paid_at)
                    .set("method", &*paid.method);
                db.upsert(&CUSTOMERS, &*paid.customer_id).add("spent_cents", paid.amount_cents);
                db.upsert(&DAILY_SALES, day(event, &paid.paid_at)?).add("paid_cents", paid.amount_cents);
            }
            Shop::OrderShipped(shipped) => {
                db.update(&ORDERS, &*shipped.order_id)
                    .set("status", "shipped")
                    .set("shipped_at", &*shipped.shipped_at)
                    .set("carrier", &*shipped.carrier);
                db.upsert(&DAILY_SALES, day(event, &shipped.shipped_at)?).add("shipped", 1);
            }
            Shop::OrderCancelled(cancelled) => {
                db.update(&ORDERS, &*cancelled.order_id)
                    .set("status", "cancelled")
                    .set("cancelled_at", &*cancelled.cancelled_at)
                    .set("reason", cancelled.reason);
                db.upsert(&CUSTOMERS, &*cancelled.customer_id)
                    .add("cancelled", 1)
                    .add("spent_cents", -i64::from(cancelled.amount_cents));
                db.upsert(&DAILY_SALES, day(event, &cancelled.cancelled_at)?).add("cancelled", 1);
            }
        }
        Ok(())
    }
}

/// The day of a time: its first ten characters.
fn day<'a>(event: &Event<'_>, time: &'a str) -> Result<&'a str> {
    time.get(..10)
        .ok_or_else(|| event.bad_input(format_args!("`{time}` is not a time like 2026-03-01T12:00:00Z")))
}

lantern_sdk::projection!(Orders);
