//! Events that others produce are read, on both brokers: what matters to users is not that Lantern
//! reads what it writes itself.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lantern_tests::guest::{plugin, unique_topic};
use lantern_tests::log::each_log;
use lantern_tests::report::skip;
use lantern_tests::site::{Site, transcript};
use lantern_tests::{client, kafka, target};
use serde_json::{Value, json};

/// So many that they fill several batches and compress.
const EVENTS: usize = 300;

/// How one kind of producer is started, and where it puts the type.
struct Sender {
    name: &'static str,
    envelope: &'static str,
    /// The command, given the broker's address and the topic.
    command: fn(&str, &str) -> Result<Command>,
    /// What the command reads on standard input.
    line: fn(&Value) -> String,
}

// Headers, keys and values by the tool that most people try first.
#[test]
fn events_of_kafkas_console_producer_are_read() -> Result<()> {
    check(&[Sender {
        name: "console",
        envelope: r#"{ kind = "header", name = "type" }"#,
        command: |address, topic| {
            let mut command = kafka::tool("org.apache.kafka.tools.ConsoleProducer")?;
            command.args(["--bootstrap-server", address, "--topic", topic]).args([
                "--property",
                "parse.key=true",
                "--property",
                "parse.headers=true",
                "--compression-codec",
                "snappy",
            ]);
            Ok(command)
        },
        line: |event| format!("type:{}\t{}\t{}", text(event, "type"), text(event, "key"), event["data"]),
    }])
}

// kcat stands for every client on librdkafka that is older than ours.
#[test]
fn events_of_kcat_are_read() -> Result<()> {
    if Command::new("kcat").arg("-V").output().is_err() {
        skip("kcat: apt-get install kcat");
        return Ok(());
    }
    check(&[Sender {
        name: "kcat",
        envelope: r#"{ kind = "json-field", field = "type" }"#,
        command: |address, topic| {
            let mut command = Command::new("kcat");
            command.args(["-P", "-b", address, "-t", topic, "-K", "|", "-z", "lz4"]);
            Ok(command)
        },
        line: |event| format!("{}|{}", text(event, "key"), event["data"]),
    }])
}

// The clients that Python programs use, and the CloudEvents project's own SDK in both of its modes.
#[test]
fn events_of_python_clients_and_of_a_cloudevents_sdk_are_read() -> Result<()> {
    if let Err(error) = python() {
        skip(&format!("Python 3 with venv and pip: apt-get install python3-venv ({error:#})"));
        return Ok(());
    }
    let sender = |name, envelope, command| Sender { name, envelope, command, line: Value::to_string };
    check(&[
        sender("confluent-kafka", r#"{ kind = "header", name = "type" }"#, |address, topic| {
            produce_by("confluent-kafka", address, topic)
        }),
        sender("kafka-python", r#"{ kind = "json-field", field = "type" }"#, |address, topic| {
            produce_by("kafka-python", address, topic)
        }),
        sender("cloudevents-binary", r#"{ kind = "cloud-events" }"#, |address, topic| {
            produce_by("cloudevents-binary", address, topic)
        }),
        sender("cloudevents-structured", r#"{ kind = "cloud-events" }"#, |address, topic| {
            produce_by("cloudevents-structured", address, topic)
        }),
    ])
}

// Kafka's own load generator sends opaque bytes; here in transactions.
#[test]
fn events_of_kafkas_performance_tool_are_read() -> Result<()> {
    if !kafka::available() {
        return Ok(());
    }
    each_log(|log| {
        let topic = unique_topic("perf");
        let mut site = Site::new(log)?
            .with_settings("[projections.perf]\nenvelope = { kind = \"topic\", type = \"measured\" }")?;
        site.deploy(&plugin("ledger", "perf", &[&topic])?)?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, 1)?;
        let output = kafka::tool("org.apache.kafka.tools.ProducerPerformance")?
            .args(["--topic", &topic, "--producer-props"])
            .arg(format!("bootstrap.servers={}", site.address()))
            .args(["--num-records", &EVENTS.to_string(), "--record-size", "100"])
            .args(["--throughput", "-1", "--transaction-duration-ms", "20"])
            .output()?;
        ensure!(output.status.success(), "{}", transcript(&output));

        let records = client::read_committed(site.address(), &topic)?;
        let last = records[&0].last().context("nothing was sent")?;
        host.await_checkpoint("perf", &topic, &[(0, last.offset + 1)])?;
        let events = site
            .read_model("perf")?
            .number("SELECT count(*) FROM entries WHERE type = 'measured' AND length(value) = 100")?;
        ensure!(usize::try_from(events)? == EVENTS, "{events} of {EVENTS} events are there");
        Ok(())
    })
}

/// Has each sender send the same events to a topic of its own, and compares the rows with them.
fn check(senders: &[Sender]) -> Result<()> {
    if senders[0].name == "console" && !kafka::available() {
        return Ok(());
    }
    each_log(|log| {
        let mut site = Site::new(log)?;
        let mut topics = Vec::new();
        for Sender { name, envelope, .. } in senders {
            let topic = unique_topic(name);
            site = site.with_settings(&format!("[projections.{name}]\nenvelope = {envelope}"))?;
            site.deploy(&plugin("ledger", name, &[&topic])?)?;
            topics.push(topic);
        }
        let mut host = site.start()?;
        host.await_broker()?;
        for (sender, topic) in senders.iter().zip(&topics) {
            client::create_topic(site.address(), topic, 1)?;
            let events: Vec<Value> = (0..EVENTS).map(event).collect();
            let mut lines = String::new();
            for event in &events {
                lines.push_str(&(sender.line)(event));
                lines.push('\n');
            }
            feed((sender.command)(site.address(), topic)?, &lines).with_context(|| sender.name.to_owned())?;

            let name = sender.name;
            host.await_checkpoint(name, topic, &[(0, i64::try_from(EVENTS)?)])?;
            let found = rows(&site, name)?;
            ensure!(found.len() == EVENTS, "{name}: {} of {EVENTS} events are there", found.len());
            for (found, sent) in found.iter().zip(&events) {
                ensure!(found == sent, "{name} sent {sent}, and the row has {found}");
            }
        }
        Ok(())
    })
}

/// A shop's event. Its type is in its data too, for envelopes that look there.
fn event(index: usize) -> Value {
    let kind = ["placed", "paid", "shipped"][index % 3];
    let key = format!("order-{}", index / 3);
    let data = json!({ "type": kind, "cents": index * 7, "customer": "Zoë, 雪 \"the\" first" });
    json!({ "type": kind, "key": key, "data": data })
}

fn text<'e>(event: &'e Value, field: &str) -> &'e str {
    event[field].as_str().unwrap_or_default()
}

/// The rows in the order of application, in the form of [`event`].
fn rows(site: &Site, name: &str) -> Result<Vec<Value>> {
    let model = site.read_model(name)?;
    let mut statement = model.connection.prepare(r#"SELECT type, "key", value FROM entries ORDER BY seq"#)?;
    let mut rows = statement.query([])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let (kind, key, value): (String, Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let data: Value = serde_json::from_slice(&value)?;
        events.push(json!({ "type": kind, "key": String::from_utf8(key)?, "data": data }));
    }
    Ok(events)
}

/// Runs a command with text on its standard input; it must end well.
fn feed(mut command: Command, text: &str) -> Result<()> {
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    // Closed at once, which is the end of the text.
    let mut stdin = process.stdin.take().context("its standard input is not piped")?;
    stdin.write_all(text.as_bytes())?;
    drop(stdin);
    let output = process.wait_with_output()?;
    ensure!(output.status.success(), "{}", transcript(&output));
    Ok(())
}

fn produce_by(client: &str, address: &str, topic: &str) -> Result<Command> {
    let mut command = Command::new(python()?);
    command.arg(target::tests_dir().join("interop/produce.py")).args([client, address, topic]);
    Ok(command)
}

/// Python with the clients of `interop/requirements.txt`.
fn python() -> Result<PathBuf> {
    let wanted = fs::read_to_string(target::tests_dir().join("interop/requirements.txt"))?;
    lantern_tests::python::with_packages("interop", &wanted)
}
