//! One round of a projection's loop: fetch, batch, submit.

use super::batch::Collector;
use super::options::OnTruncated;
use super::pipeline::Pipeline;
use super::run::{IDLE_WAIT, Left, Run};
use super::status::State;
use super::worker::Projection;
use crate::log::{self, Assignment, Client, Consumer, Position};
use crate::read_model::{Checkpoints, Writer};
use crate::upcast::{Chain, Unread};
use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

/// How often new partitions are looked for and lag tools are told.
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(2);
/// How long to wait for more while something else is due soon.
const SHORT_WAIT: Duration = Duration::from_millis(1);

/// One round: from what is stored until something ends it.
pub(super) struct Round {
    /// What the events come through.
    upcasters: Chain,
    collector: Collector,
    pipeline: Pipeline,
    known: BTreeSet<(String, i32)>,
    housekeeping: Instant,
    /// Whether no broker answers; what was fetched before goes on being applied.
    is_away: bool,
    /// Events and transactions of the rounds before.
    earlier: (u64, u64),
}

impl Round {
    pub fn new(run: &Run, pipeline: Pipeline, start: Checkpoints) -> Self {
        let status = run.status.borrow();
        let Projection { author, engine, limits, .. } = &run.projection;
        Round {
            known: start.keys().cloned().collect(),
            upcasters: Chain::new(&author.upcasters, engine, limits),
            collector: Collector::new(&author.plugin.manifest, start),
            pipeline,
            housekeeping: Instant::now(),
            is_away: false,
            earlier: (status.events, status.batches),
        }
    }

    /// Fetches, batches and submits until told to stop, or until everything of `run.target` is applied.
    pub fn run(&mut self, run: &mut Run, client: &Client, consumer: &mut Consumer) -> Result<(), Left> {
        loop {
            if run.is_stopping() {
                self.pipeline.drain()?;
                self.report(run, consumer);
                return Ok(());
            }
            if run.is_asked() {
                self.pipeline.drain()?;
                self.report(run, consumer);
                return Err(Left::Asked);
            }
            run.end_trial_when_passed();
            let bad = self.fill(run, consumer)?;
            if !self.collector.is_empty() {
                let spare = self.pipeline.spare();
                let batch = self.collector.finish(spare);
                let submitted = self.pipeline.submit(batch);
                self.report(run, consumer);
                submitted?;
            }
            if let Some(error) = bad {
                self.pipeline.drain()?;
                self.report(run, consumer);
                return Err(Left::Halt(format!(
                    "{error}\n  Everything before it is applied and nothing is lost"
                )));
            }
            if self.is_at_target(run) {
                self.pipeline.drain()?;
                self.report(run, consumer);
                return Ok(());
            }
            // While no broker answers there is nobody to ask, and whoever wants something of the projection would wait for that.
            if !self.is_away && self.housekeeping.elapsed() >= HOUSEKEEPING_EVERY {
                self.housekeeping = Instant::now();
                self.pipeline.drain()?;
                self.look_for_new_partitions(run, client)?;
                consumer.commit_advisory(&self.positions());
            }
        }
    }

    /// Ends it and gives the read model back, if it was left in order.
    pub fn into_writer(self) -> Option<Writer> {
        self.pipeline.into_writer()
    }

    /// Collects a batch: what is there; while catching up, also what comes within a moment. Answers the
    /// first record that cannot be understood or upcast; everything before it is collected.
    fn fill(&mut self, run: &Run, consumer: &mut Consumer) -> Result<Option<Unread>, Left> {
        let Projection { batch, options, author, .. } = &run.projection;
        let envelope = options.envelope(&author.plugin.manifest);
        let started = Instant::now();
        let mut bad = None;
        // While something is on its way, come back soon to see it done.
        let mut wait = if self.pipeline.is_idle() { IDLE_WAIT } else { SHORT_WAIT };
        loop {
            let (collector, upcasters) = (&mut self.collector, &mut self.upcasters);
            let room = batch.events_max.saturating_sub(collector.len()).max(1);
            let room_bytes = batch.bytes_max.saturating_sub(collector.size_bytes()).max(1);
            let fetched = consumer.fetch(room, room_bytes, wait, |record| {
                if collector.has(&record) {
                    return ControlFlow::Continue(());
                }
                match upcasters.open(envelope, &record) {
                    Ok(event) => {
                        collector.push(&event);
                        ControlFlow::Continue(())
                    }
                    Err(error) => {
                        bad = Some(error);
                        ControlFlow::Break(())
                    }
                }
            });
            let fetched = match fetched {
                Ok(fetched) => fetched,
                Err(log::Error::OffsetOutOfRange { topic, partition, offset, range: Some(range) }) => {
                    self.truncated(run, consumer, &topic, partition, range, offset)?;
                    continue;
                }
                Err(error) if error.is_transient() => {
                    // The client reconnects by itself; people shall see that it has to.
                    if !self.is_away {
                        tracing::warn!(projection = run.name(), "paused, trying again: {error}");
                    }
                    run.show(State::Paused, Some(error.to_string()));
                    self.is_away = true;
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            };
            if self.is_away {
                tracing::info!(projection = run.name(), "the log is back");
                self.is_away = false;
            }
            if bad.is_some() {
                return Ok(bad);
            }
            self.pass_markers(consumer);
            let full =
                self.collector.len() >= batch.events_max || self.collector.size_bytes() >= batch.bytes_max;
            let caught_up = Self::lag(consumer) == 0;
            if self.collector.is_empty() {
                if self.pipeline.is_idle() {
                    self.report(run, consumer);
                } else if fetched.records == 0 {
                    self.pipeline.drain()?;
                    self.report(run, consumer);
                }
                return Ok(None);
            }
            let waited = started.elapsed();
            if full || caught_up || waited >= batch.wait_max() || run.is_stopping() {
                return Ok(None);
            }
            wait = SHORT_WAIT;
        }
    }

    /// Transaction markers and aborted records are never delivered: at a partition's end the consumer
    /// knows that it is behind them.
    fn pass_markers(&mut self, consumer: &Consumer) {
        for position in consumer.positions().iter().filter(|position| position.is_at_end()) {
            let Position { topic, partition, next_offset, .. } = position;
            if self.collector.position(topic, *partition).is_none_or(|collected| collected < *next_offset) {
                self.collector.advance(topic, *partition, *next_offset);
            }
        }
    }

    fn truncated(
        &mut self,
        run: &Run,
        consumer: &mut Consumer,
        topic: &str,
        partition: i32,
        there: Range<i64>,
        asked: i64,
    ) -> Result<(), Left> {
        let missing = format!(
            "the log was truncated under the read model: it needs {topic}/{partition}@{asked} next, \
             the log has {} to {}",
            there.start, there.end
        );
        if run.projection.options.on_truncated == OnTruncated::Halt || asked > there.start {
            return Err(Left::Halt(format!(
                "{missing}. The rows stay as they are. To go on without the missing events set \
                 on_truncated = \"earliest\" under [projections.{}]; to build the read model from what is left, \
                 move its file away",
                run.name()
            )));
        }
        tracing::warn!(
            projection = run.name(),
            "{missing}; going on at {}, as on_truncated says",
            there.start
        );
        self.pipeline.drain()?;
        self.collector.advance(topic, partition, there.start);
        Ok(consumer.reassign(&self.positions())?)
    }

    fn look_for_new_partitions(&self, run: &Run, client: &Client) -> Result<(), Left> {
        let Projection { options, author, .. } = &run.projection;
        for topic in options.topics(&author.plugin.manifest) {
            let partitions = match client.partitions(topic) {
                Ok(partitions) => partitions,
                // The consumer is not told: to librdkafka a topic that is deleted may come back, and until then it is quiet.
                Err(error @ log::Error::TopicMissing { .. }) => return Err(error.into()),
                Err(error) if error.is_transient() => return Ok(()),
                Err(_) => continue,
            };
            for partition in partitions {
                if self.known.contains(&(topic.clone(), partition)) {
                    continue;
                }
                // The read model is with the writer's thread: the next round takes the partition up.
                tracing::info!(projection = run.name(), "{topic} has a new partition, {partition}");
                return Err(Left::Again);
            }
        }
        Ok(())
    }

    fn positions(&self) -> Vec<Assignment> {
        self.known
            .iter()
            .filter_map(|(topic, partition)| {
                let next_offset = self.collector.position(topic, *partition)?;
                Some(Assignment { topic: topic.clone(), partition: *partition, next_offset })
            })
            .collect()
    }

    fn lag(consumer: &Consumer) -> u64 {
        consumer.positions().iter().filter_map(|position| consumer.lag(position)).sum()
    }

    /// Whether it is known of every partition how far it reaches: before the first fetch nobody can say what is left.
    fn is_lag_known(consumer: &Consumer) -> bool {
        consumer.positions().iter().all(|position| consumer.lag(position).is_some())
    }

    fn is_at_target(&self, run: &Run) -> bool {
        run.target.as_ref().is_some_and(|target| {
            target.iter().all(|((topic, partition), end)| {
                self.collector.position(topic, *partition).is_some_and(|next| next >= *end)
            })
        })
    }

    fn report(&self, run: &Run, consumer: &Consumer) {
        let lag = Self::lag(consumer);
        let is_live = lag == 0 && Self::is_lag_known(consumer);
        let positions = self.positions();
        let committed = self.pipeline.committed();
        let idle = self.pipeline.is_idle();
        run.status.send_modify(|status| {
            status.lag = lag;
            status.events = self.earlier.0 + committed.events;
            status.batches = self.earlier.1 + committed.batches;
            if !self.is_away {
                status.error = None;
                status.state = if is_live && idle { State::Live } else { State::CatchingUp };
            }
            if idle {
                for Assignment { topic, partition, next_offset } in &positions {
                    status.checkpoint.insert(format!("{topic}/{partition}"), *next_offset);
                }
            }
        });
    }
}
