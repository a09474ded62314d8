//! The part of a replay that one plugin applies, through the same upcasters.

use super::error::SILENCE_MAX;
use super::{Control, Error, Followed, Journal, Plugins, Progress, Replayer};
use crate::log::{self, Client};
use crate::projection::batch::Collector;
use crate::projection::options::OnTruncated;
use crate::projection::pipeline::Pipeline;
use crate::read_model::{Checkpoints, Run, Writer};
use crate::upcast::Chain;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one fetch waits, and so how soon a replay notices that it shall stop.
const FETCH_WAIT: Duration = Duration::from_millis(100);
/// The most runs of a batch: those of events that the plugin does not read fill no frame.
const RUNS_MAX: usize = 100_000;
/// How many times larger than a live projection's batches those of a replay become: nobody waits for one, and what is
/// written to the same row within a batch is written once. Measured: 1.5 to 1.9 times as many events per CPU second.
const LARGER: usize = 5;
/// The same for their bytes, which the plugin has to hold too.
const LARGER_BYTES: usize = 2;
/// The part of a plugin's memory that a batch may be at most: its rows, and what the plugin makes of the events, need
/// room beside it.
const MEMORY_PART: u64 = 8;
/// Batches do not become smaller than this when larger ones have failed.
const EVENTS_MIN: usize = 100;

/// Why a pass is over.
pub(super) enum Ended {
    Followed(Followed),
    /// This author has to go on.
    Author(Arc<str>),
    /// The journal has a partition that was not known at the start.
    Partition,
}

pub(super) struct Pass {
    pipeline: Pipeline,
    collector: Collector,
    /// What the events come through.
    upcasters: Chain,
    author: String,
    /// Where some partitions end, when an end is given.
    until: Option<Checkpoints>,
    /// How many of them have not come there yet.
    ahead: usize,
    progress: Progress,
    /// The present size of batches.
    events_max: usize,
    /// What it may grow to: less after each batch that was too large for its plugin.
    events_ceiling: usize,
    /// How many of them there were.
    narrowed: u64,
    /// Events that were applied before this pass.
    earlier: u64,
}

/// What is left of a run when a batch is full or the replay is to stop.
enum Filled {
    Done,
    Full,
    Stop,
}

impl Pass {
    pub fn start(
        replayer: &Replayer,
        writer: Writer,
        positions: Checkpoints,
        journal: &dyn Journal,
        until: Option<Checkpoints>,
    ) -> Result<Self, Error> {
        let beginnings = journal.beginnings()?;
        let done = positions.iter().map(|(place, at)| at - beginnings.get(place).unwrap_or(at)).sum::<i64>();
        let ends = journal.checkpoints()?;
        let total = positions.iter().map(|(place, at)| {
            let end = until.as_ref().and_then(|until| until.get(place)).or(ends.get(place)).unwrap_or(at);
            end - beginnings.get(place).unwrap_or(end)
        });
        let progress = Progress {
            done: u64::try_from(done).unwrap_or(0),
            total: u64::try_from(total.sum::<i64>()).unwrap_or(0),
            events: replayer.events,
        };
        let Replayer { setup, author, .. } = replayer;
        let is_ahead = |place: &(String, i32), end: i64| positions.get(place).is_none_or(|at| *at < end);
        let ahead = until.iter().flatten().filter(|(place, end)| is_ahead(place, **end)).count();
        Ok(Pass {
            collector: Collector::new(&author.plugin.manifest, positions),
            upcasters: Chain::new(&author.upcasters, &setup.engine, &setup.limits),
            pipeline: Pipeline::start(&setup.engine, &author.plugin, &setup.limits, writer)?,
            author: author.digests(),
            until,
            ahead,
            progress,
            events_max: setup.batch.events_max,
            events_ceiling: setup.batch.events_max.saturating_mul(LARGER),
            narrowed: 0,
            earlier: replayer.events,
        })
    }

    /// Waits until the writer is at rest; answers how many events were committed.
    pub fn end(self) -> u64 {
        self.pipeline.committed().events
    }

    /// Goes through the journal from the replayer's place in it. Unless it fails, everything before the place at which
    /// it leaves that is committed.
    pub fn run(
        &mut self,
        replayer: &mut Replayer,
        journal: &dyn Journal,
        control: Control<'_>,
    ) -> Result<Ended, Error> {
        let ended = loop {
            if self.until.is_some() && self.ahead == 0 {
                break Ended::Followed(Followed::CaughtUp);
            }
            let page = journal.page(replayer.cursor.1)?;
            if page.runs.is_empty() {
                break Ended::Followed(Followed::CaughtUp);
            }
            if let Some(ended) = self.page(replayer, &page.runs, control)? {
                break ended;
            }
            replayer.cursor.1 = page.next;
        };
        self.submit()?;
        self.pipeline.drain()?;
        let _ = control(self.report());
        Ok(ended)
    }

    fn page(
        &mut self,
        replayer: &mut Replayer,
        runs: &[Run],
        control: Control<'_>,
    ) -> Result<Option<Ended>, Error> {
        for run in runs {
            if !replayer.reads(&run.topic) {
                continue;
            }
            let Some(at) = self.collector.position(&run.topic, run.partition) else {
                return Ok(Some(Ended::Partition));
            };
            let end = self.limit(run).map_or(run.to, |limit| run.to.min(limit));
            if at >= end {
                continue;
            }
            if let Some(author) = replayer.other_author(run, &self.author) {
                return Ok(Some(Ended::Author(author)));
            }
            let is_whole = at == run.from && end == run.to;
            let mut found = 0;
            loop {
                let filled = self.fill(replayer, run, end, &mut found, control)?;
                if !matches!(filled, Filled::Done) || self.is_full(replayer) {
                    self.submit()?;
                    self.resize(replayer, self.pipeline.took());
                    if control(self.report()).is_break() || matches!(filled, Filled::Stop) {
                        return Ok(Some(Ended::Followed(Followed::Stopped)));
                    }
                }
                if matches!(filled, Filled::Done) {
                    break;
                }
            }
            if matches!(replayer.setup.plugins, Plugins::Recorded { .. }) && is_whole && found != run.events {
                return Err(compacted(run, found));
            }
            if self.limit(run) == Some(end) {
                self.ahead = self.ahead.saturating_sub(1);
                if self.ahead == 0 {
                    return Ok(Some(Ended::Followed(Followed::CaughtUp)));
                }
            }
        }
        Ok(None)
    }

    /// Where a run's partition ends in this replay. Only replays up to a position have such limits.
    fn limit(&self, run: &Run) -> Option<i64> {
        self.until.as_ref()?.get(&(run.topic.to_string(), run.partition)).copied()
    }

    fn is_full(&self, replayer: &Replayer) -> bool {
        self.collector.len() >= self.events_max
            || self.collector.size_bytes() >= bytes_max(replayer)
            || self.collector.runs() >= RUNS_MAX
    }

    /// Lets batches grow as long as the plugin is far from the time that a call may take, and has room for them.
    fn resize(&mut self, replayer: &Replayer, took: Duration) {
        let setup = &replayer.setup;
        let narrowed = self.pipeline.committed().narrowed;
        if narrowed > self.narrowed {
            self.narrowed = narrowed;
            self.events_ceiling = (self.events_max / 2).max(EVENTS_MIN).min(self.events_ceiling);
            self.events_max = self.events_max.min(self.events_ceiling);
            return;
        }
        let call_max = Duration::from_millis(setup.limits.call_ms_max);
        if took < call_max / 16 {
            self.events_max = (self.events_max * 2).min(self.events_ceiling);
        } else if took > call_max / 4 {
            self.events_max = (self.events_max / 2).max(setup.batch.events_max.min(self.events_ceiling));
        }
    }

    fn submit(&mut self) -> Result<(), Error> {
        if !self.collector.is_empty() {
            let spare = self.pipeline.spare();
            self.pipeline.submit(self.collector.finish(spare))?;
        }
        Ok(())
    }

    fn report(&self) -> Progress {
        let Progress { done, total, .. } = self.progress;
        let events = self.earlier + self.pipeline.committed().events;
        // The journal may have grown since the pass began.
        Progress { done, total: total.max(done), events }
    }

    /// Collects what is left of a run before `end`, or as much as a batch has room for.
    fn fill(
        &mut self,
        replayer: &mut Replayer,
        run: &Run,
        end: i64,
        found: &mut u64,
        control: Control<'_>,
    ) -> Result<Filled, Error> {
        let index = replayer.indexes.get(&(Arc::clone(&run.topic), run.partition)).copied();
        let bytes_max = bytes_max(replayer);
        let mut silent_since = Instant::now();
        loop {
            let setup = &replayer.setup;
            let envelope = setup.options.envelope(&replayer.author.plugin.manifest);
            let before = self.collector.position(&run.topic, run.partition).unwrap_or(run.from);
            let (Some(reader), Some(index)) = (&mut replayer.reader, index) else {
                return Err(Error::Silent { topic: run.topic.to_string(), partition: run.partition });
            };
            let (collector, upcasters) = (&mut self.collector, &mut self.upcasters);
            let room = self.events_max.saturating_sub(collector.len()).max(1);
            let room_bytes = bytes_max.saturating_sub(collector.size_bytes()).max(1);
            let mut bad = None;
            let fetched = reader.fetch(index, end, room, room_bytes, FETCH_WAIT, |record| {
                if collector.has(&record) {
                    return ControlFlow::Continue(());
                }
                match upcasters.open(envelope, &record) {
                    Ok(event) => {
                        *found += u64::from(collector.push(&event));
                        ControlFlow::Continue(())
                    }
                    Err(error) => {
                        bad = Some(error);
                        ControlFlow::Break(())
                    }
                }
            });
            if let Some(error) = bad {
                return Err(error.into());
            }
            let position = reader.position(index).map_or(0, |position| position.next_offset);
            let fetched = match fetched {
                Ok(fetched) => fetched,
                Err(error) if error.is_transient() => log::Fetched::default(),
                Err(log::Error::OffsetOutOfRange { topic, partition, offset, range: Some(range) })
                    if range.start > offset =>
                {
                    let first = range.start;
                    let goes_on = matches!(setup.plugins, Plugins::One(_))
                        && setup.options.on_truncated == OnTruncated::Earliest;
                    if !goes_on {
                        return Err(Error::Truncated { topic, partition, needed: offset, first });
                    }
                    tracing::warn!(
                        "{topic}/{partition}@{offset} is no longer in the log: going on at {first}"
                    );
                    self.collector.advance(&topic, partition, first.min(end));
                    self.progress.done += u64::try_from(first.min(end) - before).unwrap_or(0);
                    replayer.skip(&topic, partition, first)?;
                    if first >= end {
                        return Ok(Filled::Done);
                    }
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if position >= end {
                self.collector.advance(&run.topic, run.partition, end);
            }
            let at = self.collector.position(&run.topic, run.partition).unwrap_or(before);
            self.progress.done += u64::try_from(at - before).unwrap_or(0);
            if at >= end {
                return Ok(Filled::Done);
            }
            if self.is_full(replayer) {
                return Ok(Filled::Full);
            }
            if fetched.ends > 0 {
                replayer.check_end(run, end)?;
            }
            if fetched.records > 0 {
                silent_since = Instant::now();
                continue;
            }
            if silent_since.elapsed() > SILENCE_MAX {
                return Err(Error::Silent { topic: run.topic.to_string(), partition: run.partition });
            }
            if control(self.report()).is_break() {
                return Ok(Filled::Stop);
            }
        }
    }
}

fn bytes_max(replayer: &Replayer) -> usize {
    let setup = &replayer.setup;
    let memory_max = usize::try_from(setup.limits.memory_bytes_max / MEMORY_PART).unwrap_or(usize::MAX);
    setup.batch.bytes_max.saturating_mul(LARGER_BYTES).min(memory_max)
}

impl Replayer {
    /// At the end of a partition: whether that is the end of the log, which may have grown since.
    fn check_end(&self, run: &Run, applied: i64) -> Result<(), Error> {
        let end = match Client::new(&self.setup.log)?.watermarks(&run.topic, run.partition) {
            Ok(there) => there.end,
            Err(error) if error.is_transient() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if end >= applied {
            return Ok(());
        }
        Err(Error::Short { topic: run.topic.to_string(), partition: run.partition, end, applied })
    }

    /// Reads on behind what the log no longer has.
    fn skip(&mut self, topic: &str, partition: i32, first: i64) -> Result<(), Error> {
        let mut positions = Vec::new();
        let Some(reader) = &self.reader else { return Ok(()) };
        for index in 0..self.indexes.len() {
            let Some(at) = reader.position(index) else { continue };
            let is_it = at.topic == topic && at.partition == partition;
            let next_offset = if is_it { first } else { at.next_offset };
            positions.push(log::Assignment { topic: at.topic.clone(), partition: at.partition, next_offset });
        }
        let name = format!("{}-replay", self.author.plugin.name);
        self.reader = Some(Client::new(&self.setup.log)?.partitions_reader(&name, &positions)?);
        Ok(())
    }
}

fn compacted(run: &Run, found: u64) -> Error {
    Error::Compacted {
        topic: run.topic.to_string(),
        partition: run.partition,
        from: run.from,
        to: run.to,
        recorded: run.events,
        found,
    }
}
