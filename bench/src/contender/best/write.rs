//! Writes a gathered batch with statements that were prepared once.

use super::super::native;
use super::gathered::{Gathered, Span};
use anyhow::Result;
use rusqlite::{Connection, Statement, params};

/// The statements.
pub struct Writer<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    place: Statement<'c>,
    update: Statement<'c>,
    customer: Statement<'c>,
    product: Statement<'c>,
    day: Statement<'c>,
    checkpoint: Statement<'c>,
}

impl<'c> Writer<'c> {
    /// Prepares them.
    pub fn new(connection: &'c Connection) -> Result<Self> {
        Ok(Writer {
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            place: connection.prepare(
                "INSERT INTO orders (order_id, status, paid_at, method, shipped_at, carrier, cancelled_at, reason,
                     customer_id, items, total_cents, placed_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
                 ON CONFLICT (order_id) DO UPDATE SET status = excluded.status,
                     paid_at = coalesce(excluded.paid_at, paid_at), method = coalesce(excluded.method, method),
                     shipped_at = coalesce(excluded.shipped_at, shipped_at),
                     carrier = coalesce(excluded.carrier, carrier),
                     cancelled_at = coalesce(excluded.cancelled_at, cancelled_at),
                     reason = coalesce(excluded.reason, reason), customer_id = excluded.customer_id,
                     items = excluded.items, total_cents = excluded.total_cents, placed_at = excluded.placed_at",
            )?,
            update: connection.prepare(
                "UPDATE orders SET status = ?2, paid_at = coalesce(?3, paid_at), method = coalesce(?4, method),
                     shipped_at = coalesce(?5, shipped_at), carrier = coalesce(?6, carrier),
                     cancelled_at = coalesce(?7, cancelled_at), reason = coalesce(?8, reason)
                 WHERE order_id = ?1",
            )?,
            customer: connection.prepare(
                "INSERT INTO customers (customer_id, name, orders, cancelled, ordered_cents, spent_cents)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (customer_id) DO UPDATE SET name = coalesce(excluded.name, name),
                     orders = orders + excluded.orders, cancelled = cancelled + excluded.cancelled,
                     ordered_cents = ordered_cents + excluded.ordered_cents,
                     spent_cents = spent_cents + excluded.spent_cents",
            )?,
            product: connection.prepare(
                "INSERT INTO products (sku, orders, sold, revenue_cents) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (sku) DO UPDATE SET orders = orders + excluded.orders, sold = sold + excluded.sold,
                     revenue_cents = revenue_cents + excluded.revenue_cents",
            )?,
            day: connection.prepare(
                "INSERT INTO daily_sales (day, placed, shipped, cancelled, ordered_cents, paid_cents)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (day) DO UPDATE SET placed = placed + excluded.placed,
                     shipped = shipped + excluded.shipped, cancelled = cancelled + excluded.cancelled,
                     ordered_cents = ordered_cents + excluded.ordered_cents,
                     paid_cents = paid_cents + excluded.paid_cents",
            )?,
            checkpoint: connection.prepare(native::MOVE_SQL)?,
        })
    }

    /// Writes a batch as one transaction. After an error the connection is not used again.
    pub fn write(&mut self, batch: &Gathered) -> Result<()> {
        let arena = batch.arena.as_str();
        let text = |span: Option<Span>| span.map(|span| span.of(arena));
        self.begin.execute([])?;
        for (key, order) in batch.orders.iter() {
            let key = key.of(arena);
            let (paid_at, method) = order.paid.unzip();
            let (shipped_at, carrier) = order.shipped.unzip();
            let (cancelled_at, reason) = order.cancelled.unzip();
            let [paid_at, method, shipped_at, carrier, cancelled_at, reason] =
                [paid_at, method, shipped_at, carrier, cancelled_at, reason].map(text);
            match &order.placed {
                Some(placed) => self.place.execute(params![
                    key,
                    order.status,
                    paid_at,
                    method,
                    shipped_at,
                    carrier,
                    cancelled_at,
                    reason,
                    placed.customer.of(arena),
                    placed.items,
                    placed.total_cents,
                    placed.at.of(arena),
                ])?,
                None => self.update.execute(params![
                    key,
                    order.status,
                    paid_at,
                    method,
                    shipped_at,
                    carrier,
                    cancelled_at,
                    reason
                ])?,
            };
        }
        for (key, row) in batch.customers.iter() {
            let (key, name) = (key.of(arena), text(row.name));
            self.customer.execute((
                key,
                name,
                row.orders,
                row.cancelled,
                row.ordered_cents,
                row.spent_cents,
            ))?;
        }
        for (key, row) in batch.products.iter() {
            self.product.execute((key.of(arena), row.orders, row.sold, row.revenue_cents))?;
        }
        for (key, row) in batch.days.iter() {
            let key = key.of(arena);
            self.day.execute((
                key,
                row.placed,
                row.shipped,
                row.cancelled,
                row.ordered_cents,
                row.paid_cents,
            ))?;
        }
        for moved in &batch.moved {
            self.checkpoint.execute(*moved)?;
        }
        self.commit.execute([])?;
        Ok(())
    }
}
