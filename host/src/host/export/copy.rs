//! Copies topics, in transactions that say how far they are.

use super::check;
use super::error::{Error, SOURCE, TARGET, of};
use super::map::{Between, Map, Place};
use super::offsets::{Chunk, Runs};
use super::sum::Sum;
use super::topics::{self, Settings};
use crate::event::Record;
use crate::log::{self, Assignment, Client, Consumer, TransactionalProducer};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

/// Records of one transaction.
const RECORDS_MAX: usize = 10_000;
/// Bytes of one transaction: less than a producer holds.
const BYTES_MAX: usize = 8 << 20;
/// How long a fetch waits, and so how soon a signal is seen.
const WAIT: Duration = Duration::from_millis(100);
/// How long a step of a transaction may take.
const STEP_MAX: Duration = Duration::from_secs(30);

/// What is copied, and to where.
#[derive(Debug)]
pub struct Export {
    /// The log.
    pub source: log::Options,
    /// Whether that is the data folder's own.
    pub embedded: bool,
    /// The cluster that gets the copy.
    pub target: log::Options,
    /// These topics; all of them where none is named.
    pub topics: Vec<String>,
    /// Where the map is kept.
    pub folder: PathBuf,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Records are copied.
    Copy,
    /// The copy is read and compared.
    Check,
}

/// What a whole export came to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The cluster that has the copy.
    pub cluster: String,
    /// Records that this run copied.
    pub copied: u64,
    /// What was compared in this run.
    pub partitions: Vec<Partition>,
    /// What could not be as it is in the source.
    pub remarks: Vec<String>,
    /// What says in the target how far the export is.
    pub group: String,
}

/// A partition that was compared.
#[derive(Clone, Debug, Serialize)]
pub struct Partition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Records in the copy, of all runs of the export.
    pub records: u64,
    /// Records that were compared now: those that no run before has compared.
    pub compared: u64,
    /// Over key, headers, time and value of what was read.
    pub source: String,
    /// The same, over what the copy has.
    pub target: String,
}

/// Who tells the user, and may end it.
pub type Progress<'a> = &'a mut dyn FnMut(Step, u64, u64) -> ControlFlow<()>;

impl Export {
    /// Copies everything that is committed now and was not copied before, and compares the copy.
    ///
    /// # Errors
    /// See [`Error`]; what was committed before stays, and the next run goes on behind it.
    pub fn run(&self, progress: Progress<'_>) -> Result<Report, Error> {
        let (source, mut target) = (client(&self.source, SOURCE)?, self.target.clone());
        let between = self.between(&source)?;
        let settings = topics::wanted(&self.source, &source, &self.topics)?;
        // A record that the source takes must fit into a request of the copy.
        if target.get("message.max.bytes").is_none() {
            target.set("message.max.bytes", topics::largest(&settings).to_string());
        }
        let name = format!("export-{}", between.source);
        let producer = TransactionalProducer::new(&target, &format!("lantern-{name}")).map_err(of(TARGET))?;
        // Whoever exported before is fenced, and its last transaction is decided: what is committed now stays so.
        producer.init(STEP_MAX).map_err(of(TARGET))?;
        let copy = client(&target, TARGET)?;
        let mut map = Map::open(&self.folder, &between)?;
        topics::prepare(&target, &copy, &settings, &map)?;
        map.settle(&committed(&copy, &name, &settings, &map)?)?;

        let consumer = source.consumer(&name, &start(&source, &settings, &map)?).map_err(of(SOURCE))?;
        let ends = ends(&source, &settings)?;
        let group = copy.consumer(&name, &[]).map_err(of(TARGET))?;
        let copied = Copying { producer, consumer, group, map: &mut map }.run(&ends, progress)?;
        let partitions = check::run(&copy, &map, &format!("lantern-{name}"), progress)?;
        map.all_checked()?;
        let remarks = topics::settle(&target, &settings)?;
        Ok(Report { cluster: between.target, copied, partitions, remarks, group: format!("lantern-{name}") })
    }

    fn between(&self, source: &Client) -> Result<Between, Error> {
        let named = |client: &Client, which| {
            let id = client.cluster_id().map_err(of(which))?;
            id.ok_or(Error::Nameless { which })
        };
        let source = named(source, SOURCE)?;
        let target = named(&client(&self.target, TARGET)?, TARGET)?;
        if source == target {
            return Err(Error::Same { to: self.target.servers().unwrap_or_default().to_owned() });
        }
        Ok(Between { source, embedded: self.embedded, target })
    }
}

/// A client of one of the logs.
pub(super) fn client(options: &log::Options, which: &'static str) -> Result<Client, Error> {
    Client::new(options).map_err(of(which))
}

/// How far the copy is, as its brokers have committed it: of the topics that are to be copied, and of those that were.
fn committed(
    copy: &Client,
    name: &str,
    topics: &[Settings],
    map: &Map,
) -> Result<BTreeMap<Place, i64>, Error> {
    let wanted = topics.iter().flat_map(|it| it.partitions.iter().map(|id| (it.topic.as_str(), *id)));
    let known = map.partitions.keys().map(|(topic, id)| (topic.as_str(), *id));
    let mut partitions: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
    for (topic, id) in wanted.chain(known) {
        partitions.entry(topic).or_default().insert(id);
    }
    let mut all = BTreeMap::new();
    for (topic, ids) in partitions {
        let ids: Vec<i32> = ids.into_iter().collect();
        let known = copy.committed(name, topic, &ids).map_err(of(TARGET))?;
        all.extend(known.into_iter().map(|known| ((known.topic, known.partition), known.next_offset)));
    }
    Ok(all)
}

/// Where to go on in the source.
fn start(source: &Client, topics: &[Settings], map: &Map) -> Result<Vec<Assignment>, Error> {
    let mut start = Vec::new();
    for Settings { topic, partitions, .. } in topics {
        for held in source.held(topic, partitions).map_err(of(SOURCE))? {
            let known = map.partitions.get(&(topic.clone(), held.id)).map_or(0, |known| known.end());
            let next_offset = known.max(held.low);
            start.push(Assignment { topic: topic.clone(), partition: held.id, next_offset });
        }
    }
    Ok(start)
}

fn ends(source: &Client, topics: &[Settings]) -> Result<BTreeMap<Place, i64>, Error> {
    let mut ends = BTreeMap::new();
    for Settings { topic, partitions, .. } in topics {
        let held = source.held(topic, partitions).map_err(of(SOURCE))?;
        ends.extend(held.into_iter().map(|held| ((topic.clone(), held.id), held.high)));
    }
    Ok(ends)
}

struct Copying<'m> {
    producer: TransactionalProducer,
    consumer: Consumer,
    /// In whose name it is committed how far the copy is.
    group: Consumer,
    map: &'m mut Map,
}

/// What a transaction has of a partition.
#[derive(Default)]
struct Part {
    sum: Sum,
    /// The offsets in the source, and the places among everything that the transaction has.
    records: Vec<(i64, usize)>,
}

impl Copying<'_> {
    fn run(&mut self, ends: &BTreeMap<Place, i64>, progress: Progress<'_>) -> Result<u64, Error> {
        let left = |consumer: &Consumer| -> u64 {
            let left = consumer.positions().iter().map(|at| {
                let end = ends.get(&(at.topic.clone(), at.partition)).copied().unwrap_or(0);
                u64::try_from(end - at.next_offset).unwrap_or(0)
            });
            left.sum()
        };
        let total = left(&self.consumer);
        let mut copied = 0;
        loop {
            let left = left(&self.consumer);
            if progress(Step::Copy, total - left.min(total), total).is_break() {
                return Err(Error::Stopped);
            }
            if left == 0 {
                break;
            }
            copied += self.chunk()?;
        }
        // What lies behind the last record is known too: markers, and records that were taken back.
        let mut behind = Vec::new();
        for at in self.consumer.positions() {
            let place = (at.topic.clone(), at.partition);
            if self.map.partitions.get(&place).is_none_or(|known| known.end() < at.next_offset) {
                let sha256 = Sum::default().finish();
                behind.push((place, Chunk { end: at.next_offset, records: 0, sha256, runs: Vec::new() }));
            }
        }
        self.map.copied(behind)?;
        Ok(copied)
    }

    /// One transaction with what has come; none where nothing has.
    fn chunk(&mut self) -> Result<u64, Error> {
        let Copying { producer, consumer, .. } = self;
        let mut parts: BTreeMap<Place, Part> = BTreeMap::new();
        let mut failed = None;
        let fetched = consumer.fetch(RECORDS_MAX, BYTES_MAX, WAIT, |record| {
            let sent = if parts.is_empty() { producer.begin() } else { Ok(()) };
            match sent.map_err(Error::from).and_then(|()| add(producer, &mut parts, &record)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        match fetched {
            Err(error) if !error.is_transient() => return Err(of(SOURCE)(error)),
            _ if parts.is_empty() => return Ok(0),
            _ => {}
        }
        let offsets = producer.offsets(STEP_MAX)?;
        let mut chunks = Vec::new();
        let mut next = Vec::new();
        let mut records = 0;
        for ((topic, partition), Part { sum, records: part }) in parts {
            let mut runs = Runs::default();
            let mut end = 0;
            for (source, place) in &part {
                // Every record that was handed over has its place among what was delivered.
                runs.push(*source, offsets.get(*place).copied().unwrap_or(-1));
                end = source + 1;
            }
            records += part.len() as u64;
            next.push(Assignment { topic: topic.clone(), partition, next_offset: end });
            let chunk = Chunk { end, records: part.len() as u64, sha256: sum.finish(), runs: runs.finish() };
            chunks.push(((topic, partition), chunk));
        }
        self.producer.send_offsets(&self.group, &next, STEP_MAX)?;
        // Before the commit: what is committed must be known, and what is known too much is taken off.
        self.map.copied(chunks)?;
        self.producer.commit(STEP_MAX)?;
        Ok(records)
    }
}

fn add(
    producer: &TransactionalProducer,
    parts: &mut BTreeMap<Place, Part>,
    record: &Record<'_>,
) -> Result<(), Error> {
    let (topic, partition, offset) = (record.topic.to_owned(), record.partition, record.offset);
    if record.timestamp_ms == 0 {
        return Err(Error::Time { topic, partition, offset });
    }
    let place = producer.copy(record)?;
    let part = parts.entry((topic, partition)).or_default();
    part.sum.add(record);
    part.records.push((offset, place));
    Ok(())
}
