//! Tries a new upcaster on events that there are: the first of its topics, which are the oldest, and the newest.

use crate::log::{self, Assignment, Client};
use crate::plugin::Plugin;
use crate::upcast::{Chain, Unread, Upcasters};
use crate::wasm::{Engine, Limits, Upcaster};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Records of a partition that are read from its beginning, and as many from its end.
const RECORDS_MAX: i64 = 500;
/// Bytes that are fetched at a time.
const BYTES_MAX: usize = 8 << 20;
/// How long a fetch waits.
const WAIT: Duration = Duration::from_millis(50);
/// How long all of it may take: a slow log must not hold up a deployment.
const TIME_MAX: Duration = Duration::from_secs(5);

/// Whether it starts, and upcasts those events; else why not. What cannot be read of the log is not tried. Blocks.
pub(super) fn passes(
    engine: &Engine,
    limits: &Limits,
    log: &log::Options,
    plugin: &Arc<Plugin>,
) -> Result<(), String> {
    // A stack that overflows in the host's part ends the process.
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(limits.thread_stack_bytes());
        let trying = builder.spawn_scoped(scope, || upcasts(engine, limits, log, plugin));
        let trying = trying.map_err(|error| format!("no thread to try the upcaster on: {error}"))?;
        trying.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn upcasts(engine: &Engine, limits: &Limits, log: &log::Options, plugin: &Arc<Plugin>) -> Result<(), String> {
    Upcaster::new(engine, &plugin.component, &plugin.name, limits)
        .map_err(|error| format!("the upcaster does not start: {error}"))?;
    let mut chain = Chain::new(&Upcasters::new(vec![Arc::clone(plugin)]), engine, limits);
    let until = Instant::now() + TIME_MAX;
    let client = match Client::new(log) {
        Ok(client) => client,
        Err(error) => return untried(plugin, &error),
    };
    let ranges = match ranges(&client, plugin) {
        Ok(ranges) => ranges,
        Err(error) => return untried(plugin, &error),
    };
    for part in ranges {
        match try_part(&client, plugin, &mut chain, &part, until) {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => return Err(reason),
            Err(error) => return untried(plugin, &error),
        }
    }
    Ok(())
}

fn untried(plugin: &Plugin, error: &log::Error) -> Result<(), String> {
    tracing::warn!("{}: it is not tried on events that there are: {error}", plugin.name);
    Ok(())
}

/// What is read of a partition.
struct Range {
    topic: String,
    partition: i32,
    from: i64,
    to: i64,
}

/// The beginnings of all partitions, and their ends.
fn ranges(client: &Client, plugin: &Plugin) -> Result<[Vec<Range>; 2], log::Error> {
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for topic in &plugin.manifest.topics {
        let partitions = match client.partitions(topic) {
            // It may come later.
            Err(log::Error::TopicMissing { .. }) => continue,
            other => other?,
        };
        for partition in partitions {
            let there = client.watermarks(topic, partition)?;
            let middle = there.end.min(there.start + RECORDS_MAX);
            let range = |from, to| Range { topic: topic.clone(), partition, from, to };
            first.push(range(there.start, middle));
            last.push(range(middle.max(there.end - RECORDS_MAX), there.end));
        }
    }
    Ok([first, last].map(|ranges| ranges.into_iter().filter(|range| range.from < range.to).collect()))
}

fn try_part(
    client: &Client,
    plugin: &Plugin,
    chain: &mut Chain,
    ranges: &[Range],
    until: Instant,
) -> Result<Result<(), String>, log::Error> {
    if ranges.is_empty() {
        return Ok(Ok(()));
    }
    let start: Vec<Assignment> = ranges
        .iter()
        .map(|Range { topic, partition, from, .. }| Assignment {
            topic: topic.clone(),
            partition: *partition,
            next_offset: *from,
        })
        .collect();
    let mut consumer = client.consumer(&format!("{}-trial", plugin.name), &start)?;
    let mut failed = None;
    loop {
        consumer.fetch(RECORDS_MAX as usize, BYTES_MAX, WAIT, |record| {
            match chain.open(&plugin.manifest.envelope, &record) {
                Err(Unread::Upcast(error)) => {
                    failed = Some(error.to_string());
                    ControlFlow::Break(())
                }
                // What is in no envelope is nothing that it is given.
                Ok(_) | Err(Unread::Envelope(_)) => ControlFlow::Continue(()),
            }
        })?;
        if let Some(reason) = failed {
            return Ok(Err(reason));
        }
        let is_done = ranges.iter().all(|Range { topic, partition, to, .. }| {
            let mut at = consumer.positions().iter();
            at.any(|at| at.topic == *topic && at.partition == *partition && at.next_offset >= *to)
        });
        if is_done || Instant::now() >= until {
            return Ok(Ok(()));
        }
    }
}
