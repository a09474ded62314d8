use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lantern_tests::client::{self, Record};
use lantern_tests::python;
use lantern_tests::report::skip;
use lantern_tests::site::transcript;
use lantern_tests::target;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::Broker;

const PARTITIONS: i32 = 4;
const RECORDS: usize = 1_000;
const KEYS: usize = 50;

// The client of many programs in Go. It has an implementation of the protocol of its own, as newest Kafka speaks it.
#[test]
fn franz_go_copies_exactly_once() -> Result<()> {
    if Command::new("go").arg("version").output().is_err() {
        skip("Go 1.26: https://go.dev/dl");
        return Ok(());
    }
    let program = target::cache_dir()?.join("clients-go");
    run(Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(target::tests_dir().join("clients/go")))?;
    check(Command::new(program))
}

// The client of many programs in JavaScript, which has not changed since 2023 and speaks old versions.
#[test]
fn kafkajs_copies_exactly_once() -> Result<()> {
    if Command::new("npm").arg("--version").output().is_err() {
        skip("Node 20 with npm: apt-get install nodejs npm");
        return Ok(());
    }
    let mut command = Command::new("node");
    command.arg(node_folder()?.join("main.js"));
    check(command)
}

#[test]
fn confluent_kafka_copies_exactly_once() -> Result<()> {
    python_copies_exactly_once("confluent-kafka")
}

#[test]
fn kafka_python_copies_exactly_once() -> Result<()> {
    python_copies_exactly_once("kafka-python")
}

fn python_copies_exactly_once(client: &str) -> Result<()> {
    let requirements = fs::read_to_string(target::tests_dir().join("interop/requirements.txt"))?;
    let python = match python::with_packages("interop", &requirements) {
        Ok(python) => python,
        Err(error) => {
            skip(&format!("Python 3 with venv and pip: apt-get install python3-venv ({error:#})"));
            return Ok(());
        }
    };
    let mut command = Command::new(python);
    command.arg(target::tests_dir().join("clients/python/clients.py")).arg(client);
    check(command)
}

/// Has a program write numbered records to one topic, write to a second in a transaction that it aborts, and copy the
/// first into the second as a group, in transactions that carry the group's offsets; then looks at what is there.
fn check(mut program: Command) -> Result<()> {
    let broker = Broker::start()?;
    let address = broker.address();
    client::create_topic(address, "in", PARTITIONS)?;
    client::create_topic(address, "out", PARTITIONS)?;
    run(program.args([address, &RECORDS.to_string()]))?;

    let sent = client::read_committed(address, "in")?;
    for record in sent.values().flatten() {
        let value = text(record.value.as_ref())?;
        ensure!(record.header("n") == Some(&*value), "{record:?}");
    }
    check_numbers("in", &sent)?;
    check_numbers("out", &client::read_committed(address, "out")?)?;

    let consumer: BaseConsumer = client::config(address).set("group.id", "copiers").create()?;
    let timeout = Duration::from_secs(10);
    let mut wanted = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        wanted.add_partition("in", partition);
    }
    for committed in consumer.committed_offsets(wanted, timeout)?.elements() {
        let partition = committed.partition();
        let (_, end) = consumer.fetch_watermarks("in", partition, timeout)?;
        // Nothing came to a partition that has no offset.
        let offset = committed.offset().to_raw().filter(|offset| *offset >= 0).unwrap_or_default();
        ensure!(offset == end, "partition {partition} ends at {end}, and {offset} is committed");
    }
    Ok(())
}

/// Every number is there once, and those of one key in order.
fn check_numbers(topic: &str, records: &BTreeMap<i32, Vec<Record>>) -> Result<()> {
    let mut numbers: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for record in records.values().flatten() {
        let number = text(record.value.as_ref())?;
        let number = number.parse().with_context(|| format!("{topic} has {number:?}"))?;
        numbers.entry(text(record.key.as_ref())?).or_default().push(number);
    }
    let wanted = (0..KEYS).map(|key| (format!("k{key}"), (key..RECORDS).step_by(KEYS).collect()));
    ensure!(numbers == wanted.collect(), "{topic} has {numbers:?}");
    Ok(())
}

fn text(bytes: Option<&Vec<u8>>) -> Result<String> {
    Ok(String::from_utf8(bytes.context("a record is without key or value")?.clone())?)
}

fn run(command: &mut Command) -> Result<()> {
    let output =
        command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    ensure!(output.status.success(), "{}", transcript(&output));
    Ok(())
}

/// A copy of `clients/node` with what it depends on, fetched once and again when it changes.
fn node_folder() -> Result<PathBuf> {
    let source = target::tests_dir().join("clients/node");
    let folder = target::cache_dir()?.join("clients-node");
    let _lock = target::lock("clients-node")?;
    fs::create_dir_all(&folder)?;
    let lockfile = "package-lock.json";
    let fetched = folder.join("node_modules/.fetched");
    let wanted = fs::read_to_string(source.join(lockfile))?;
    for file in ["main.js", "package.json", lockfile] {
        fs::copy(source.join(file), folder.join(file))?;
    }
    if !fs::read_to_string(&fetched).is_ok_and(|fetched| fetched == wanted) {
        run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder))?;
        fs::write(fetched, wanted)?;
    }
    Ok(folder)
}
