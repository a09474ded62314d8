use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lantern_tests::client::{self, NewRecord, Record};
use lantern_tests::{kafka, seed, wait};
use rand::RngExt;
use rand::rngs::StdRng;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tempfile::TempDir;

use super::Broker;

const LINES: usize = 5_000;
const WORDS_OF_LINE: usize = 10;
const VOCABULARY: usize = 300;
const INPUT_PARTITIONS: i32 = 4;
const OUTPUT_PARTITIONS: i32 = 2;
const KILLS: usize = 3;

// The hardest that a client asks of a broker: each record moves through four topics in transactions that carry the
// group's offsets, state is restored from a compacted topic, zombies are fenced, and read records are deleted. One
// record too many or too few anywhere is a wrong count here.
#[test]
fn a_word_count_on_kafka_streams_is_exact_whatever_is_killed() -> Result<()> {
    let Some(_) = kafka::program("WordCount")? else {
        return Ok(());
    };
    let broker = Broker::start()?;
    let (_, mut random) = seed::seeded();
    let address = broker.address();
    client::create_topic(address, "lines", INPUT_PARTITIONS)?;
    client::create_topic(address, "counts", OUTPUT_PARTITIONS)?;
    let expected = produce_lines(address, &mut random)?;
    let total = LINES * WORDS_OF_LINE;

    let folder = TempDir::new()?;
    let mut instances =
        [0, 1].map(|slot| Instance { address, slot, folder: folder.path().into(), process: None });
    for instance in &mut instances {
        instance.start()?;
    }
    let mut kills: Vec<i64> =
        (0..KILLS).map(|_| random.random_range(total as i64 / 20..total as i64 * 9 / 10)).collect();
    kills.sort_unstable();
    for kill in kills {
        wait::until("the counts grow", || {
            Instance::ensure_run(&mut instances)?;
            Ok((end(address, "counts", OUTPUT_PARTITIONS)? >= kill).then_some(()))
        })?;
        let victim = &mut instances[random.random_range(0..2)];
        victim.kill();
        victim.start()?;
    }

    let counts = wait::until("every word is counted", || {
        Instance::ensure_run(&mut instances)?;
        // An open transaction hides what is behind it.
        if end(address, "counts", OUTPUT_PARTITIONS)? < i64::try_from(total)? {
            return Ok(None);
        }
        let counts = client::read_committed(address, "counts")?;
        Ok((counts.values().map(Vec::len).sum::<usize>() >= total).then_some(counts))
    })?;
    // Nothing is cached, so the log has each step of each count: one that is missing or repeated shows.
    let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for record in counts.values().flatten() {
        found.entry(key(record)?).or_default().push(String::from_utf8(value(record)?)?.parse()?);
    }
    for (word, count) in &expected {
        let found = found.remove(word).unwrap_or_default();
        ensure!(
            found == (1..=*count).collect::<Vec<usize>>(),
            "{word} is there {count} times, counted {found:?}"
        );
    }
    ensure!(found.is_empty(), "{found:?} was counted and never said");
    for instance in &mut instances {
        instance.stop()?;
    }

    // What an instance would restore.
    let changelog = "words-counted-changelog";
    wait::until("the changelog is compacted", || {
        let records = client::read_committed(address, changelog)?;
        let mut latest = BTreeMap::new();
        for record in records.values().flatten() {
            latest.insert(key(record)?, usize::from_be_bytes(value(record)?.as_slice().try_into()?));
        }
        ensure!(latest == expected, "the changelog ends with {latest:?}");
        let is_compacted = records.values().map(Vec::len).sum::<usize>() < total;
        Ok((is_compacted || !broker.compacts_soon()).then_some(()))
    })?;
    let consumer: BaseConsumer = client::config(address).create()?;
    for partition in 0..INPUT_PARTITIONS {
        let (start, _) =
            consumer.fetch_watermarks("words-by-word-repartition", partition, Duration::from_secs(10))?;
        ensure!(start > 0, "what was read of partition {partition} is not deleted");
    }
    Ok(())
}

/// Writes the lines, and answers how often each word is in them.
fn produce_lines(address: &str, random: &mut StdRng) -> Result<BTreeMap<String, usize>> {
    let mut expected = BTreeMap::new();
    let mut records = Vec::new();
    for line in 0..LINES {
        let mut words = Vec::new();
        for _ in 0..WORDS_OF_LINE {
            let word = format!("word-{}", random.random_range(0..VOCABULARY));
            *expected.entry(word.clone()).or_default() += 1;
            words.push(word);
        }
        let partition = i32::try_from(line)? % INPUT_PARTITIONS;
        records.push(NewRecord {
            partition,
            value: Some(words.join(" ").into_bytes()),
            ..NewRecord::default()
        });
    }
    client::produce(address, "lines", records)?;
    Ok(expected)
}

/// How many offsets there are, whatever has become of the transactions.
fn end(address: &str, topic: &str, partitions: i32) -> Result<i64> {
    let consumer: BaseConsumer = client::config(address).create()?;
    (0..partitions)
        .map(|partition| Ok(consumer.fetch_watermarks(topic, partition, Duration::from_secs(10))?.1))
        .sum()
}

fn key(record: &Record) -> Result<String> {
    Ok(String::from_utf8(record.key.clone().context("no key")?)?)
}

fn value(record: &Record) -> Result<Vec<u8>> {
    record.value.clone().context("no value")
}

/// One process of the application.
struct Instance<'a> {
    address: &'a str,
    slot: usize,
    folder: PathBuf,
    process: Option<Child>,
}

impl Instance<'_> {
    fn start(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut program = kafka::program("WordCount")?.context("it was there before")?;
        program.arg(self.address).arg(self.folder.join(format!("state-{}", self.slot)));
        self.process = Some(program.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).spawn()?);
        Ok(())
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Ends it as an operator would.
    fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("it does not run")?;
        drop(process.stdin.take());
        let status = process.wait()?;
        ensure!(status.success(), "{status}: {}", self.said()?);
        Ok(())
    }

    fn ensure_run(instances: &mut [Self]) -> Result<()> {
        for instance in instances {
            let process = instance.process.as_mut().context("it does not run")?;
            if let Some(status) = process.try_wait()? {
                bail!("an instance ended by itself, {status}: {}", instance.said()?);
            }
        }
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.folder.join(format!("instance-{}.log", self.slot))
    }

    fn said(&self) -> Result<String> {
        Ok(fs::read_to_string(self.log())?)
    }
}

impl Drop for Instance<'_> {
    fn drop(&mut self) {
        self.kill();
    }
}
