//! The copy's topics and their settings.
//!
//! While records are copied and compared, nothing may be deleted from the copy: a topic gets its retention and its
//! compaction when it has been compared. Both are said outright, since what Kafka does by default is not what the embedded broker
//! does: it forgets after a week.

use super::Error;
use super::error::{SOURCE, TARGET, of};
use super::map::Map;
use crate::log::{self, Admin, Assignment, Client, PartitionInfo, Source};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

/// Settings that change what the log holds, and so are the same in the copy. Others are about its machines.
const CARRIED: [&str; 10] = [
    "cleanup.policy",
    "delete.retention.ms",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.timestamp.after.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "retention.bytes",
    "retention.ms",
];
/// Those that are carried only where somebody has set them for the topic.
const CARRIED_IF_SET: [&str; 2] = ["segment.bytes", "segment.ms"];
/// What a copy has until it is compared.
const UNTOUCHED: [(&str, &str); 3] =
    [("cleanup.policy", "delete"), ("retention.bytes", "-1"), ("retention.ms", "-1")];
/// What a record may have unless a topic says more: Kafka's default.
const RECORD_BYTES: i64 = 1_048_588;
/// How long a topic may take until every broker knows it.
const KNOWN_MAX: Duration = Duration::from_secs(15);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A topic as the source has it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name.
    pub topic: String,
    /// The numbers of its partitions.
    pub partitions: Vec<i32>,
    carried: BTreeMap<String, String>,
}

/// The topics that are to be copied.
pub fn wanted(options: &log::Options, source: &Client, named: &[String]) -> Result<Vec<Settings>, Error> {
    let admin = Admin::new(options).map_err(of(SOURCE))?;
    let there = source.topics().map_err(of(SOURCE))?;
    if let Some(missing) = named.iter().find(|name| there.iter().all(|topic| topic.name != **name)) {
        return Err(Error::TopicMissing { topic: missing.clone() });
    }
    let mut wanted = Vec::new();
    for topic in there {
        if topic.internal || !(named.is_empty() || named.contains(&topic.name)) {
            continue;
        }
        let settings = admin.settings(&topic.name).map_err(of(SOURCE))?;
        let is_carried = |name: &str, source| {
            CARRIED.contains(&name) || (source == Source::Topic && CARRIED_IF_SET.contains(&name))
        };
        let carried = settings
            .into_iter()
            .filter(|setting| is_carried(&setting.name, setting.source))
            .filter_map(|setting| Some((setting.name, setting.value?)));
        let partitions = topic.partitions.iter().map(|partition| partition.id).collect();
        wanted.push(Settings { topic: topic.name, partitions, carried: carried.collect() });
    }
    Ok(wanted)
}

/// The largest record that one of the topics takes.
pub fn largest(topics: &[Settings]) -> i64 {
    let sizes = topics.iter().filter_map(|topic| topic.carried.get("max.message.bytes")?.parse().ok());
    sizes.chain([RECORD_BYTES]).max().unwrap_or(RECORD_BYTES)
}

/// Makes the copy's topics, or sees to it that those that are there are this export's, with as many partitions.
pub fn prepare(options: &log::Options, copy: &Client, topics: &[Settings], map: &Map) -> Result<(), Error> {
    let admin = Admin::new(options).map_err(of(TARGET))?;
    for settings in topics {
        let Settings { topic, partitions, .. } = settings;
        let wanted = partitions.len();
        let not_ours = |reason: String| Err(Error::NotOurs { topic: topic.clone(), reason });
        let there = match copy.describe(topic) {
            Ok(there) => there,
            Err(log::Error::TopicMissing { .. }) => {
                let count = i32::try_from(wanted).unwrap_or(i32::MAX);
                admin.create_topic(topic, count, &[]).map_err(of(TARGET))?;
                await_partitions(copy, topic, wanted)?;
                Vec::new()
            }
            Err(error) => return Err(of(TARGET)(error)),
        };
        let is_ours = |id| map.partitions.get(&(topic.clone(), id)).is_some_and(|it| it.records() > 0);
        for it in there.iter().filter(|it| it.high > it.low && !is_ours(it.id)) {
            if has_records(copy, topic, it)? {
                return not_ours(format!("has records in partition {} that this export did not copy", it.id));
            }
        }
        if there.len() > wanted {
            return not_ours(format!("has {} partitions, the log's has {wanted}", there.len()));
        }
        if !there.is_empty() && there.len() < wanted {
            admin.set_partitions(topic, wanted).map_err(of(TARGET))?;
            await_partitions(copy, topic, wanted)?;
        }
        let mut first = settings.known(&admin)?;
        first.extend(UNTOUCHED.map(|(key, value)| (key.to_owned(), value.to_owned())));
        set(&admin, topic, first)?;
    }
    Ok(())
}

/// Gives the copy's topics the settings that they are to keep; answers what the target does not take.
pub fn settle(options: &log::Options, topics: &[Settings]) -> Result<Vec<String>, Error> {
    let admin = Admin::new(options).map_err(of(TARGET))?;
    let mut remarks = Vec::new();
    for settings in topics {
        for refused in set(&admin, &settings.topic, settings.known(&admin)?)? {
            let value = settings.carried.get(&refused).map_or("", String::as_str);
            remarks.push(format!("topic {}: the target does not take {refused} = {value}", settings.topic));
        }
    }
    Ok(remarks)
}

impl Settings {
    /// What is carried and the target knows.
    fn known(&self, admin: &Admin) -> Result<BTreeMap<String, String>, Error> {
        let there = admin.settings(&self.topic).map_err(of(TARGET))?;
        let is_known = |name: &str| there.iter().any(|setting| setting.name == name);
        let known = self.carried.iter().filter(|(name, _)| is_known(name));
        Ok(known.map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}

/// Sets all that the target takes; answers the others.
fn set(admin: &Admin, topic: &str, settings: BTreeMap<String, String>) -> Result<Vec<String>, Error> {
    match admin.replace_settings(topic, &settings) {
        Ok(()) => return Ok(Vec::new()),
        Err(log::Error::Other { .. }) => {}
        Err(error) => return Err(of(TARGET)(error)),
    }
    let (mut taken, mut refused) = (BTreeMap::new(), Vec::new());
    for (name, value) in settings {
        taken.insert(name.clone(), value);
        match admin.replace_settings(topic, &taken) {
            Ok(()) => {}
            Err(log::Error::Other { .. }) => {
                taken.remove(&name);
                refused.push(name);
            }
            Err(error) => return Err(of(TARGET)(error)),
        }
    }
    Ok(refused)
}

/// Whether a reader finds any record: a first transaction that was taken back leaves offsets, and nothing to read.
fn has_records(copy: &Client, topic: &str, partition: &PartitionInfo) -> Result<bool, Error> {
    let start = Assignment { topic: topic.to_owned(), partition: partition.id, next_offset: partition.low };
    let mut consumer = copy.consumer("export-look", &[start]).map_err(of(TARGET))?;
    let since = Instant::now();
    let mut is_found = false;
    while !is_found && consumer.positions().iter().any(|at| at.next_offset < partition.high) {
        let fetched = consumer.fetch(1, 1, LOOK_EVERY, |_| {
            is_found = true;
            ControlFlow::Break(())
        });
        let is_late = since.elapsed() > KNOWN_MAX;
        match fetched {
            Err(error) if is_late || !error.is_transient() => return Err(of(TARGET)(error)),
            // What nobody is shown yet is somebody's too: a transaction of theirs is open.
            Ok(_) if is_late => return Ok(true),
            _ => {}
        }
    }
    Ok(is_found)
}

/// Waits until the target knows a topic that was made.
fn await_partitions(copy: &Client, topic: &str, wanted: usize) -> Result<(), Error> {
    let since = Instant::now();
    loop {
        match copy.partitions(topic) {
            Ok(there) if there.len() >= wanted => return Ok(()),
            Err(error) if since.elapsed() > KNOWN_MAX => return Err(of(TARGET)(error)),
            Ok(there) if since.elapsed() > KNOWN_MAX => {
                let reason = format!("has {} of {wanted} partitions", there.len());
                return Err(Error::NotOurs { topic: topic.to_owned(), reason });
            }
            _ => thread::sleep(LOOK_EVERY),
        }
    }
}
