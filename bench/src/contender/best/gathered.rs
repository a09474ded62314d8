//! What a batch does to each row, with all texts in one arena.

use anyhow::{Context as _, Result, bail};
use hashbrown::HashTable;
use orders::events::{OrderCancelled, OrderPaid, OrderPlaced, OrderShipped};
use rustc_hash::FxHasher;
use std::hash::Hasher as _;

/// A text in the arena.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The text.
    pub fn of(self, arena: &str) -> &str {
        &arena[self.start as usize..self.end as usize]
    }
}

/// Rows of one table, found by key, in the order in which they were first touched.
#[derive(Debug, Default)]
pub struct Rows<T> {
    positions: HashTable<u32>,
    rows: Vec<(Span, T)>,
}

impl<T: Default> Rows<T> {
    /// The rows with their keys.
    pub fn iter(&self) -> impl Iterator<Item = &(Span, T)> {
        self.rows.iter()
    }

    fn row(&mut self, arena: &mut String, key: &str) -> &mut T {
        let Rows { positions, rows } = self;
        let found = positions.find(hash(key), |at| rows[*at as usize].0.of(arena) == key).copied();
        let at = found.unwrap_or_else(|| {
            let at = rows.len() as u32;
            rows.push((push(arena, key), T::default()));
            positions.insert_unique(hash(key), at, |at| hash(rows[*at as usize].0.of(arena)));
            at
        });
        &mut rows[at as usize].1
    }

    fn clear(&mut self) {
        self.positions.clear();
        self.rows.clear();
    }
}

fn hash(key: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(key.as_bytes());
    hasher.finish()
}

fn push(arena: &mut String, text: &str) -> Span {
    let start = arena.len() as u32;
    arena.push_str(text);
    Span { start, end: arena.len() as u32 }
}

/// What happens to an order.
#[derive(Debug, Default)]
pub struct Order {
    /// It is placed in this batch; else it is there.
    pub placed: Option<Placed>,
    /// Its last status.
    pub status: &'static str,
    /// When it was paid last, and how.
    pub paid: Option<(Span, Span)>,
    /// When it was shipped last, and by whom.
    pub shipped: Option<(Span, Span)>,
    /// When it was cancelled last, and why.
    pub cancelled: Option<(Span, Span)>,
}

/// What a placed order says.
#[derive(Debug)]
pub struct Placed {
    /// Who.
    pub customer: Span,
    /// How many pieces.
    pub items: i64,
    /// What they cost.
    pub total_cents: u32,
    /// When.
    pub at: Span,
}

/// What is added to a customer.
#[derive(Debug, Default)]
pub struct Customer {
    /// The name, where it is told.
    pub name: Option<Span>,
    /// Orders.
    pub orders: i64,
    /// Cancellations.
    pub cancelled: i64,
    /// Worth of the orders.
    pub ordered_cents: i64,
    /// Payments.
    pub spent_cents: i64,
}

/// What is added to a product.
#[derive(Debug, Default)]
pub struct Product {
    /// Orders.
    pub orders: i64,
    /// Pieces.
    pub sold: i64,
    /// What they cost.
    pub revenue_cents: i64,
}

/// What is added to a day.
#[derive(Debug, Default)]
pub struct Day {
    /// Orders placed.
    pub placed: i64,
    /// Shipments.
    pub shipped: i64,
    /// Cancellations.
    pub cancelled: i64,
    /// Worth of the orders.
    pub ordered_cents: i64,
    /// Payments.
    pub paid_cents: i64,
}

/// A batch.
#[derive(Debug, Default)]
pub struct Gathered {
    /// All texts.
    pub arena: String,
    /// Table `orders`.
    pub orders: Rows<Order>,
    /// Table `customers`.
    pub customers: Rows<Customer>,
    /// Table `products`.
    pub products: Rows<Product>,
    /// Table `daily_sales`.
    pub days: Rows<Day>,
    /// The next offsets, by partition.
    pub moved: Vec<(i32, i64)>,
    /// How many events it holds.
    pub events: u64,
}

impl Gathered {
    /// Forgets everything but its memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.orders.clear();
        self.customers.clear();
        self.products.clear();
        self.days.clear();
        self.moved.clear();
        self.events = 0;
    }

    /// A partition was read up to here.
    pub fn moved(&mut self, partition: i32, next_offset: i64) {
        match self.moved.iter_mut().find(|moved| moved.0 == partition) {
            Some(moved) => moved.1 = next_offset,
            None => self.moved.push((partition, next_offset)),
        }
    }

    /// Adds an event.
    pub fn add(&mut self, kind: &[u8], payload: &[u8]) -> Result<()> {
        match kind {
            b"OrderPlaced" => self.placed(&serde_json::from_slice(payload)?)?,
            b"OrderPaid" => self.paid(&serde_json::from_slice(payload)?)?,
            b"OrderShipped" => self.shipped(&serde_json::from_slice(payload)?)?,
            b"OrderCancelled" => self.cancelled(&serde_json::from_slice(payload)?)?,
            other => bail!("an unknown type: {}", other.escape_ascii()),
        }
        self.events += 1;
        Ok(())
    }

    fn placed(&mut self, event: &OrderPlaced<'_>) -> Result<()> {
        let arena = &mut self.arena;
        let total = i64::from(event.total_cents);
        let placed = Placed {
            customer: push(arena, &event.customer_id),
            items: event.items.iter().map(|item| i64::from(item.quantity)).sum(),
            total_cents: event.total_cents,
            at: push(arena, &event.placed_at),
        };
        let order = self.orders.row(arena, &event.order_id);
        order.placed = Some(placed);
        order.status = "placed";
        let name = event.customer_name.as_deref().map(|name| push(arena, name));
        let customer = self.customers.row(arena, &event.customer_id);
        customer.name = name.or(customer.name);
        customer.orders += 1;
        customer.ordered_cents += total;
        for item in &event.items {
            let product = self.products.row(arena, &item.sku);
            product.orders += 1;
            product.sold += i64::from(item.quantity);
            product.revenue_cents += i64::from(item.quantity) * i64::from(item.price_cents);
        }
        let day = self.days.row(arena, day(&event.placed_at)?);
        day.placed += 1;
        day.ordered_cents += total;
        Ok(())
    }

    fn paid(&mut self, event: &OrderPaid<'_>) -> Result<()> {
        let arena = &mut self.arena;
        let paid = (push(arena, &event.paid_at), push(arena, &event.method));
        let order = self.orders.row(arena, &event.order_id);
        order.status = "paid";
        order.paid = Some(paid);
        self.customers.row(arena, &event.customer_id).spent_cents += i64::from(event.amount_cents);
        self.days.row(arena, day(&event.paid_at)?).paid_cents += i64::from(event.amount_cents);
        Ok(())
    }

    fn shipped(&mut self, event: &OrderShipped<'_>) -> Result<()> {
        let arena = &mut self.arena;
        let shipped = (push(arena, &event.shipped_at), push(arena, &event.carrier));
        let order = self.orders.row(arena, &event.order_id);
        order.status = "shipped";
        order.shipped = Some(shipped);
        self.days.row(arena, day(&event.shipped_at)?).shipped += 1;
        Ok(())
    }

    fn cancelled(&mut self, event: &OrderCancelled<'_>) -> Result<()> {
        let arena = &mut self.arena;
        let cancelled = (push(arena, &event.cancelled_at), push(arena, &event.reason));
        let order = self.orders.row(arena, &event.order_id);
        order.status = "cancelled";
        order.cancelled = Some(cancelled);
        let customer = self.customers.row(arena, &event.customer_id);
        customer.cancelled += 1;
        customer.spent_cents -= i64::from(event.amount_cents);
        self.days.row(arena, day(&event.cancelled_at)?).cancelled += 1;
        Ok(())
    }
}

fn day(time: &str) -> Result<&str> {
    time.get(..10).context("a time is too short")
}
