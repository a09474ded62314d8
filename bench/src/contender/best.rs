//! The best native loop that we can write: records in batches, up to 10,000 events a transaction, writes to the
//! same row gathered in memory without an allocation per row, statements kept, and a second thread that writes one
//! batch while the next is gathered.

mod gathered;
mod write;

use super::{Job, Stop, native};
use crate::meter::{Meter, Usage};
use anyhow::{Context as _, Result};
use gathered::Gathered;
use lantern::event::Record;
use lantern::log::{Assignment, Client, Consumer, Options};
use rusqlite::Connection;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Events of one transaction, at most.
const BATCH_MAX: usize = 10_000;
/// While more is known to be there, how long a transaction waits for it.
const FILL_MAX: Duration = Duration::from_millis(20);
/// How long it waits for an event, and so how soon it notices that it shall stop.
const WAIT: Duration = Duration::from_millis(50);

/// Applies the topic's events until it is done.
pub fn run(job: &Job, stop: &Stop) -> Result<Usage> {
    let meter = Meter::start()?;
    let connection = native::open(&job.database())?;
    let mut consumer = consumer(job, &connection)?;
    let (full, to_write) = sync_channel(1);
    let (empty, to_fill) = sync_channel(3);
    let writer = std::thread::spawn(move || write_all(&connection, meter, &to_write, &empty));
    let read = read(&mut consumer, stop, full, &to_fill);
    // The writer's error is the reason when both failed.
    let written = writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?;
    let usage = written?.finish()?;
    read?;
    Ok(usage)
}

fn consumer(job: &Job, connection: &Connection) -> Result<Consumer> {
    let client = Client::new(&Options::new(&job.servers))?;
    let stored = native::checkpoints(connection)?;
    let start = client.partitions(&job.topic)?.into_iter().map(|partition| {
        let next_offset = stored.iter().find(|(stored, _)| *stored == partition).map_or(0, |(_, next)| *next);
        Assignment { topic: job.topic.clone(), partition, next_offset }
    });
    Ok(client.consumer("bench-best", &start.collect::<Vec<_>>())?)
}

fn read(
    consumer: &mut Consumer,
    stop: &Stop,
    full: SyncSender<Gathered>,
    to_fill: &Receiver<Gathered>,
) -> Result<()> {
    let mut events = 0;
    while !stop.is_done(events) {
        let mut batch = to_fill.try_recv().unwrap_or_default();
        fill(consumer, &mut batch)?;
        events += batch.events;
        if batch.events > 0 {
            full.send(batch).context("the writer has stopped")?;
        }
    }
    Ok(())
}

/// Gathers what is there; while more is known to be there, also what comes within a moment.
fn fill(consumer: &mut Consumer, batch: &mut Gathered) -> Result<()> {
    let (mut wait, mut started) = (WAIT, None);
    loop {
        let room = BATCH_MAX - batch.events as usize;
        let mut failed = None;
        consumer.fetch(room, usize::MAX, wait, |record| match add(batch, &record) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error.context(format!("partition {} @{}", record.partition, record.offset)));
                ControlFlow::Break(())
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        let started = *started.get_or_insert_with(Instant::now);
        let is_full = batch.events as usize >= BATCH_MAX;
        if is_full || batch.events == 0 || consumer.is_at_end() || started.elapsed() >= FILL_MAX {
            return Ok(());
        }
        wait = Duration::from_millis(1);
    }
}

fn add(batch: &mut Gathered, record: &Record<'_>) -> Result<()> {
    let kind = record.headers.get("ce_type").flatten().context("no ce_type")?;
    batch.add(kind, record.payload.context("no payload")?)?;
    batch.moved(record.partition, record.offset + 1);
    Ok(())
}

fn write_all(
    connection: &Connection,
    mut meter: Meter,
    to_write: &Receiver<Gathered>,
    empty: &SyncSender<Gathered>,
) -> Result<Meter> {
    let mut writer = write::Writer::new(connection)?;
    while let Ok(mut batch) = to_write.recv() {
        writer.write(&batch)?;
        meter.committed(meter.events() + batch.events);
        batch.clear();
        // Nobody may be there to fill it again.
        let _ = empty.try_send(batch);
    }
    Ok(meter)
}
