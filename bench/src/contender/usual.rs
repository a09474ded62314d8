//! The loop that people write, written with care: poll, typed structs, cached statements, up to 1,000 events a
//! transaction, and the checkpoint in the same transaction.

use super::{Job, Stop, native};
use crate::meter::{Meter, Usage};
use anyhow::{Context as _, Result, bail};
use orders::events::{OrderCancelled, OrderPaid, OrderPlaced, OrderShipped};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::collections::BTreeMap;
use std::time::Duration;

/// Events of one transaction, at most.
const BATCH_MAX: usize = 1_000;
/// How long it waits for an event, and so how soon it notices that it shall stop.
const WAIT: Duration = Duration::from_millis(50);

/// Applies the topic's events until it is done.
pub fn run(job: &Job, stop: &Stop) -> Result<Usage> {
    let mut meter = Meter::start()?;
    let mut connection = native::open(&job.database())?;
    let consumer = consumer(job, &connection)?;
    while !stop.is_done(meter.events()) {
        let Some(first) = consumer.poll(WAIT) else { continue };
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut next = Some(first);
        let mut moved = BTreeMap::new();
        let mut count = 0;
        while let Some(message) = next {
            let message = message?;
            apply(&transaction, &message).with_context(|| {
                format!("{}/{}@{}", message.topic(), message.partition(), message.offset())
            })?;
            moved.insert(message.partition(), message.offset() + 1);
            count += 1;
            // What is there already comes into the same transaction.
            next = if count < BATCH_MAX { consumer.poll(Duration::ZERO) } else { None };
        }
        for (partition, next_offset) in moved {
            transaction.prepare_cached(native::MOVE_SQL)?.execute((partition, next_offset))?;
        }
        transaction.commit()?;
        meter.committed(meter.events() + count as u64);
    }
    meter.finish()
}

fn consumer(job: &Job, connection: &Connection) -> Result<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &job.servers)
        .set("group.id", "lantern-bench-usual")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        // With the default of a second the loop would stand still whenever the client's queue has been full.
        .set("fetch.queue.backoff.ms", "5")
        .create()?;
    let stored: BTreeMap<i32, i64> = native::checkpoints(connection)?.into_iter().collect();
    let metadata = consumer.fetch_metadata(Some(&job.topic), Duration::from_secs(30))?;
    let topic = metadata.topics().first().context("no such topic")?;
    let mut assignment = TopicPartitionList::new();
    for partition in topic.partitions() {
        let offset = stored.get(&partition.id()).map_or(Offset::Beginning, |next| Offset::Offset(*next));
        assignment.add_partition_offset(&job.topic, partition.id(), offset)?;
    }
    consumer.assign(&assignment)?;
    Ok(consumer)
}

fn apply(transaction: &Transaction<'_>, message: &BorrowedMessage<'_>) -> Result<()> {
    let headers = message.headers().context("no headers")?;
    let kind = headers.iter().find(|header| header.key == "ce_type").and_then(|header| header.value);
    let payload = message.payload().context("no payload")?;
    match kind.context("no ce_type")? {
        b"OrderPlaced" => placed(transaction, &serde_json::from_slice(payload)?),
        b"OrderPaid" => paid(transaction, &serde_json::from_slice(payload)?),
        b"OrderShipped" => shipped(transaction, &serde_json::from_slice(payload)?),
        b"OrderCancelled" => cancelled(transaction, &serde_json::from_slice(payload)?),
        other => bail!("an unknown type: {}", other.escape_ascii()),
    }
}

fn placed(transaction: &Transaction<'_>, order: &OrderPlaced<'_>) -> Result<()> {
    let pieces: i64 = order.items.iter().map(|item| i64::from(item.quantity)).sum();
    transaction
        .prepare_cached(
            "INSERT INTO orders (order_id, customer_id, status, items, total_cents, placed_at)
             VALUES (?1, ?2, 'placed', ?3, ?4, ?5)
             ON CONFLICT (order_id) DO UPDATE SET customer_id = excluded.customer_id, status = excluded.status,
                 items = excluded.items, total_cents = excluded.total_cents, placed_at = excluded.placed_at",
        )?
        .execute(params![order.order_id, order.customer_id, pieces, order.total_cents, order.placed_at])?;
    transaction
        .prepare_cached(
            "INSERT INTO customers (customer_id, name, orders, ordered_cents) VALUES (?1, ?2, 1, ?3)
             ON CONFLICT (customer_id) DO UPDATE SET name = coalesce(excluded.name, name),
                 orders = orders + 1, ordered_cents = ordered_cents + excluded.ordered_cents",
        )?
        .execute(params![order.customer_id, order.customer_name.as_deref(), order.total_cents])?;
    for item in &order.items {
        let revenue = i64::from(item.quantity) * i64::from(item.price_cents);
        transaction
            .prepare_cached(
                "INSERT INTO products (sku, orders, sold, revenue_cents) VALUES (?1, 1, ?2, ?3)
                 ON CONFLICT (sku) DO UPDATE SET orders = orders + 1, sold = sold + excluded.sold,
                     revenue_cents = revenue_cents + excluded.revenue_cents",
            )?
            .execute(params![item.sku, item.quantity, revenue])?;
    }
    transaction
        .prepare_cached(
            "INSERT INTO daily_sales (day, placed, ordered_cents) VALUES (?1, 1, ?2)
             ON CONFLICT (day) DO UPDATE SET placed = placed + 1,
                 ordered_cents = ordered_cents + excluded.ordered_cents",
        )?
        .execute(params![day(&order.placed_at)?, order.total_cents])?;
    Ok(())
}

fn paid(transaction: &Transaction<'_>, paid: &OrderPaid<'_>) -> Result<()> {
    transaction
        .prepare_cached("UPDATE orders SET status = 'paid', paid_at = ?2, method = ?3 WHERE order_id = ?1")?
        .execute((&*paid.order_id, &*paid.paid_at, &*paid.method))?;
    transaction
        .prepare_cached(
            "INSERT INTO customers (customer_id, spent_cents) VALUES (?1, ?2)
             ON CONFLICT (customer_id) DO UPDATE SET spent_cents = spent_cents + excluded.spent_cents",
        )?
        .execute((&*paid.customer_id, paid.amount_cents))?;
    transaction
        .prepare_cached(
            "INSERT INTO daily_sales (day, paid_cents) VALUES (?1, ?2)
             ON CONFLICT (day) DO UPDATE SET paid_cents = paid_cents + excluded.paid_cents",
        )?
        .execute((day(&paid.paid_at)?, paid.amount_cents))?;
    Ok(())
}

fn shipped(transaction: &Transaction<'_>, shipped: &OrderShipped<'_>) -> Result<()> {
    transaction
        .prepare_cached(
            "UPDATE orders SET status = 'shipped', shipped_at = ?2, carrier = ?3 WHERE order_id = ?1",
        )?
        .execute((&*shipped.order_id, &*shipped.shipped_at, &*shipped.carrier))?;
    transaction
        .prepare_cached(
            "INSERT INTO daily_sales (day, shipped) VALUES (?1, 1)
             ON CONFLICT (day) DO UPDATE SET shipped = shipped + 1",
        )?
        .execute([day(&shipped.shipped_at)?])?;
    Ok(())
}

fn cancelled(transaction: &Transaction<'_>, cancelled: &OrderCancelled<'_>) -> Result<()> {
    transaction
        .prepare_cached(
            "UPDATE orders SET status = 'cancelled', cancelled_at = ?2, reason = ?3 WHERE order_id = ?1",
        )?
        .execute((&*cancelled.order_id, &*cancelled.cancelled_at, &*cancelled.reason))?;
    transaction
        .prepare_cached(
            "INSERT INTO customers (customer_id, cancelled, spent_cents) VALUES (?1, 1, -?2)
             ON CONFLICT (customer_id) DO UPDATE SET cancelled = cancelled + 1,
                 spent_cents = spent_cents + excluded.spent_cents",
        )?
        .execute((&*cancelled.customer_id, cancelled.amount_cents))?;
    transaction
        .prepare_cached(
            "INSERT INTO daily_sales (day, cancelled) VALUES (?1, 1)
             ON CONFLICT (day) DO UPDATE SET cancelled = cancelled + 1",
        )?
        .execute([day(&cancelled.cancelled_at)?])?;
    Ok(())
}

fn day(time: &str) -> Result<&str> {
    time.get(..10).context("a time is too short")
}
