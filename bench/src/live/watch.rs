//! Looks at a database while it is written, and notes when its checkpoints move.

use anyhow::{Context as _, Result, ensure};
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The time between two looks.
const LOOK_EVERY: Duration = Duration::from_micros(200);

/// When each partition's checkpoint was first seen at which offset, in order.
#[derive(Debug, Default)]
pub struct Seen(BTreeMap<i32, Vec<(i64, Instant)>>);

impl Seen {
    /// When an event's row was first visible.
    pub fn at(&self, partition: i32, offset: i64) -> Option<Instant> {
        let moves = self.0.get(&partition)?;
        let first = moves.partition_point(|(next_offset, _)| *next_offset <= offset);
        moves.get(first).map(|(_, moment)| *moment)
    }
}

/// A thread that looks.
pub struct Watch {
    events: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Seen>>,
}

impl Watch {
    /// Starts it as soon as the database is there, with its checkpoints.
    ///
    /// # Errors
    /// When that is not so in time.
    pub fn start(path: &Path, checkpoints_sql: &'static str, until: Instant) -> Result<Self> {
        let connection = loop {
            match open(path, checkpoints_sql) {
                Ok(connection) => break connection,
                Err(error) if Instant::now() > until => return Err(error.into()),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let (events, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let thread = {
            let (events, stop) = (Arc::clone(&events), Arc::clone(&stop));
            std::thread::spawn(move || look(&connection, checkpoints_sql, &events, &stop))
        };
        Ok(Watch { events, stop, thread })
    }

    /// Waits until so many events are visible.
    ///
    /// # Errors
    /// When they are not in time.
    pub fn wait(&self, events: u64, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while self.events.load(Ordering::Relaxed) < events {
            ensure!(!self.thread.is_finished(), "the watcher failed");
            let seen = self.events.load(Ordering::Relaxed);
            ensure!(Instant::now() < until, "{seen} of {events} events are visible after {time:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// What it saw.
    ///
    /// # Errors
    /// When the database could not be read.
    pub fn finish(self) -> Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the watcher panicked"))?
    }
}

fn open(path: &Path, checkpoints_sql: &str) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    connection.prepare(checkpoints_sql)?;
    Ok(connection)
}

fn look(connection: &Connection, sql: &str, events: &AtomicU64, stop: &AtomicBool) -> Result<Seen> {
    let mut seen = Seen::default();
    // Changes with every commit of another connection, and costs next to nothing to ask.
    let mut version = connection.prepare("PRAGMA data_version")?;
    let mut checkpoints = connection.prepare(sql)?;
    let mut last = None;
    while !stop.load(Ordering::Relaxed) {
        let now: i64 = version.query_row([], |row| row.get(0))?;
        if last.replace(now) != Some(now) {
            let rows: Vec<(i32, i64)> = checkpoints
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            let moment = Instant::now();
            let mut total = 0;
            for (partition, next_offset) in rows {
                total += u64::try_from(next_offset).context("a negative offset")?;
                let moves = seen.0.entry(partition).or_default();
                if moves.last().is_none_or(|(before, _)| *before < next_offset) {
                    moves.push((next_offset, moment));
                }
            }
            events.store(total, Ordering::Relaxed);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(seen)
}
