//! The write side of a shop: an order is placed, paid, shipped or cancelled, in this order and no other.
//!
//! What is decided here is what `examples/orders` projects: the same topic, the same events.

mod time;

use lantern_sdk::{Aggregate, Context, Manifest, Rejection};
use serde::{Deserialize, Serialize};

/// An order, as far as the next decision needs it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Order {
    status: Status,
    customer_id: String,
    total_cents: u32,
}

/// How far an order is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nobody has placed it yet.
    #[default]
    New,
    /// It waits to be paid.
    Placed,
    /// It waits to be shipped.
    Paid,
    /// It is on its way.
    Shipped,
    /// It was given up.
    Cancelled,
}

/// What can be asked of an order.
#[derive(Clone, Debug, Deserialize)]
pub enum Command {
    /// A customer orders something.
    Place {
        /// Who.
        customer_id: String,
        /// The customer's name, where it is known.
        #[serde(default)]
        customer_name: Option<String>,
        /// What.
        items: Vec<Item>,
    },
    /// The order is paid in full.
    Pay {
        /// How: `card`, `transfer`, `wallet`.
        method: String,
    },
    /// The goods leave.
    Ship {
        /// Who carries them.
        carrier: String,
    },
    /// The order is given up, before it was shipped.
    Cancel {
        /// Why.
        reason: String,
    },
}

/// Some pieces of one product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The product.
    pub sku: String,
    /// How many pieces.
    pub quantity: u32,
    /// What one piece costs.
    pub price_cents: u32,
}

/// What happens to an order; `examples/orders/src/events.rs` describes each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "they are described where they are read")]
pub enum Event {
    OrderPlaced {
        order_id: String,
        customer_id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        customer_name: Option<String>,
        items: Vec<Item>,
        total_cents: u32,
        placed_at: String,
    },
    OrderPaid {
        order_id: String,
        customer_id: String,
        amount_cents: u32,
        method: String,
        paid_at: String,
    },
    OrderShipped {
        order_id: String,
        carrier: String,
        shipped_at: String,
    },
    OrderCancelled {
        order_id: String,
        customer_id: String,
        reason: String,
        amount_cents: u32,
        cancelled_at: String,
    },
}

impl Aggregate for Order {
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn manifest() -> Manifest {
        Manifest::new("order")
            .version(env!("CARGO_PKG_VERSION"))
            .description("Orders of a shop: placed, paid, shipped or cancelled")
            .topic("shop")
    }

    fn decide(&self, command: Command, context: &Context<'_>) -> Result<Vec<Event>, Rejection> {
        let order_id = context.id().to_owned();
        let customer_id = self.customer_id.clone();
        let now = time::rfc3339(context.time_ms());
        let event = match (command, self.status) {
            (Command::Place { customer_id, customer_name, items }, Status::New) => {
                let total_cents = total(&items)?;
                Event::OrderPlaced {
                    order_id,
                    customer_id,
                    customer_name,
                    items,
                    total_cents,
                    placed_at: now,
                }
            }
            (Command::Place { .. }, _) => {
                return Err(Rejection::new("already-placed", format!("order {order_id} was placed before")));
            }
            (_, Status::New) => {
                return Err(Rejection::new("unknown-order", format!("order {order_id} was never placed")));
            }
            (Command::Pay { method }, Status::Placed) => {
                let amount_cents = self.total_cents;
                Event::OrderPaid { order_id, customer_id, amount_cents, method, paid_at: now }
            }
            (Command::Ship { carrier }, Status::Paid) => {
                Event::OrderShipped { order_id, carrier, shipped_at: now }
            }
            (Command::Cancel { reason }, status @ (Status::Placed | Status::Paid)) => {
                let amount_cents = if status == Status::Paid { self.total_cents } else { 0 };
                Event::OrderCancelled { order_id, customer_id, reason, amount_cents, cancelled_at: now }
            }
            (command, status) => return Err(too_late(&command, status)),
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::OrderPlaced { customer_id, total_cents, .. } => {
                *self = Order { status: Status::Placed, customer_id, total_cents };
            }
            Event::OrderPaid { .. } => self.status = Status::Paid,
            Event::OrderShipped { .. } => self.status = Status::Shipped,
            Event::OrderCancelled { .. } => self.status = Status::Cancelled,
        }
    }
}

/// What the items cost together.
fn total(items: &[Item]) -> Result<u32, Rejection> {
    let pieces = items.iter().map(|item| item.quantity.checked_mul(item.price_cents));
    let total = pieces.reduce(|sum, next| sum?.checked_add(next?));
    match total {
        None => Err(Rejection::new("no-items", "an order has at least one item")),
        Some(None) => Err(Rejection::new("too-expensive", "the items cost more than an order may")),
        Some(Some(0)) => Err(Rejection::new("no-price", "the items cost nothing: has one a quantity of 0?")),
        Some(Some(total)) => Ok(total),
    }
}

/// Why an order that is there does not take a command.
fn too_late(command: &Command, status: Status) -> Rejection {
    let (code, what) = match (command, status) {
        (Command::Ship { .. }, Status::Placed) => ("not-paid", "it is shipped when it is paid"),
        (_, Status::Cancelled) => ("cancelled", "it was cancelled"),
        (_, Status::Shipped) => ("shipped", "it is on its way already"),
        _ => ("already-paid", "it was paid before"),
    };
    Rejection::new(code, format!("the order takes no such command: {what}"))
}

lantern_sdk::aggregate!(Order);
