//! Events come one by one and at a steady rate: how long until their rows can be read, and what that costs.
//!
//! One thread appends and notes when; one looks at the database through a connection of its own and notes when
//! the checkpoint, which is committed with the rows, has passed an event.

pub(crate) mod append;
mod watch;

use crate::child::{Part, Site};
use crate::compare::Contents;
use crate::contender::Contender;
use crate::log::Log;
use crate::meter::cpu_s;
use crate::report;
use anyhow::{Context as _, Result};
use append::{Appender, Sent};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use watch::Watch;

/// Events that come alone, and how long after each other.
const LONE_EVENTS: u64 = 100;
const LONE_EVERY: Duration = Duration::from_millis(50);
/// How long the last events may take.
const VISIBLE_MAX: Duration = Duration::from_secs(60);

/// How events come.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Pace {
    /// Events per second.
    pub per_second: u64,
    /// For so many seconds.
    pub seconds: u64,
}

/// Latencies in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Half of the events were faster.
    pub p50_ms: f64,
    /// 99 of 100 were faster.
    pub p99_ms: f64,
    /// All were.
    pub max_ms: f64,
}

/// What was measured in one run.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Events that came alone: from the broker's acknowledgement to the visible row.
    pub lone: Latency,
    /// The same, from the call that appended.
    pub lone_whole: Latency,
    /// Events at a steady rate: from the broker's acknowledgement to the visible row.
    pub steady: Latency,
    /// The same, from the call that appended.
    pub steady_whole: Latency,
    /// CPU time for a million events at that rate, in seconds.
    pub cpu_s_per_million: f64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Live {
    /// How events came.
    pub pace: Pace,
    /// Of each run, by contender.
    pub runs: BTreeMap<Contender, Vec<Run>>,
}

/// Runs all contenders in turn.
///
/// # Errors
/// When one fails, falls behind for good, or not all end with the same tables.
pub fn run(site: &Site, log: &Log, pace: Pace, runs: usize) -> Result<Live> {
    let mut live = Live { pace, runs: BTreeMap::new() };
    let mut first: Option<Contents> = None;
    for number in 1..=runs {
        for contender in Contender::ALL {
            let topic = log.fresh(&format!("live-{}", contender.name()))?;
            let job = site.job(contender, log.servers(), &topic, None)?;
            let mut part = Part::contend(&job)?;
            let run = measure(&mut part, contender, &job.database(), log, &topic, pace)
                .with_context(|| format!("{}, live", contender.name()))?;
            part.stop();
            part.usage()?;
            report::progress(&format!(
                "live {number}/{runs} {}: lone p50 {:.1} ms, steady p50 {:.1} ms, p99 {:.1} ms",
                contender.name(),
                run.lone.p50_ms,
                run.steady.p50_ms,
                run.steady.p99_ms
            ));
            let contents = Contents::of(&job.database())?;
            match &first {
                Some(first) => contents.ensure_same(contender.name(), first, Contender::ALL[0].name())?,
                None => first = Some(contents),
            }
            live.runs.entry(contender).or_default().push(run);
        }
    }
    Ok(live)
}

fn measure(
    part: &mut Part,
    contender: Contender,
    database: &std::path::Path,
    log: &Log,
    topic: &str,
    pace: Pace,
) -> Result<Run> {
    let process = part.id().to_string();
    let steady = pace.per_second * pace.seconds;
    let mut appender = Appender::new(log, topic, 1 + LONE_EVENTS + steady)?;
    // The first event's way is that of the start-up.
    appender.append()?;
    let watch = Watch::start(database, contender.checkpoints_sql(), Instant::now() + VISIBLE_MAX)?;
    watch.wait(1, VISIBLE_MAX)?;
    let started = Instant::now();
    for number in 0..LONE_EVENTS {
        wait_until(started + LONE_EVERY * u32::try_from(number)?);
        appender.append()?;
    }
    watch.wait(1 + LONE_EVENTS, VISIBLE_MAX)?;
    let cpu = cpu_s(&process)?;
    let started = Instant::now();
    for number in 0..steady {
        // In steps of a millisecond, as sleeping is not finer than that.
        if number % (pace.per_second / 1_000).max(1) == 0 {
            wait_until(started + Duration::from_secs_f64(number as f64 / pace.per_second as f64));
        }
        appender.append()?;
    }
    let sent = appender.finish()?;
    watch.wait(1 + LONE_EVENTS + steady, VISIBLE_MAX)?;
    let cpu = cpu_s(&process)? - cpu;
    let seen = watch.finish()?;
    let (lone, steady_sent) = sent[1..].split_at(usize::try_from(LONE_EVENTS)?);
    Ok(Run {
        lone: latency(&seen, lone, |sent| sent.acknowledged)?,
        lone_whole: latency(&seen, lone, |sent| sent.appended)?,
        steady: latency(&seen, steady_sent, |sent| sent.acknowledged)?,
        steady_whole: latency(&seen, steady_sent, |sent| sent.appended)?,
        cpu_s_per_million: cpu * 1e6 / steady as f64,
    })
}

fn latency(seen: &watch::Seen, sent: &[Sent], from: impl Fn(&Sent) -> Instant) -> Result<Latency> {
    let mut latencies = Vec::with_capacity(sent.len());
    for event in sent {
        let visible = seen.at(event.partition, event.offset).context("an event was never visible")?;
        // A row may be visible before the producer hears of the acknowledgement.
        latencies.push(visible.saturating_duration_since(from(event)).as_secs_f64() * 1e3);
    }
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    Ok(Latency { p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1.0) })
}

fn wait_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}
