//! The same events give the same rows, whatever language folds them.

use super::events::{self, Record};
use super::plugins::{Built, Kind, all, compare};
use anyhow::{Context, Result, ensure};
use lantern::read_model::Fingerprint;
use lantern_tests::client;
use lantern_tests::guest::Plugin;
use lantern_tests::log::{Log, on};
use lantern_tests::read_model::ReadModel;
use lantern_tests::site::{Site, transcript};
use lantern_tests::wait::WAIT_MS_MAX;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::time::Duration;

/// What is to be sent is in no hash, since it goes when it is sent. Here nobody takes it.
const SENT: &str = "SELECT json_array(key, aggregate, id, command, CAST(payload AS TEXT), typeof(payload), due_ms, correlation, \
                    causation) FROM _lantern_outbox ORDER BY key";
const TOPIC: &str = "conformance";
/// Repeatable: the reference's own tests are where chance belongs.
const SEED: u64 = 5;

// Byte for byte, by the hash that `lantern verify` compares: integers that a double cannot hold, negative zero, characters beyond the
// first plane, NULL and empty, a megabyte, errors that were caught. And in batches of another size, where other rows are gathered.
#[test]
fn the_same_events_give_the_same_read_model_in_every_language() -> Result<()> {
    on(&Log::Embedded, |log| {
        let whole = read_models(log, "")?;
        let cut = read_models(log, "[batch]\nevents_max = 7\n")?;
        let mut wrong = Vec::new();
        let Made { read_model: expected, sent, .. } =
            whole.first().context("the reference is always there")?;
        for made in whole.iter().chain(&cut) {
            let (language, found) = (made.language, &made.read_model);
            if let Some(at) =
                (0..sent.len().max(made.sent.len())).find(|at| made.sent.get(*at) != sent.get(*at))
            {
                let (found, expected) = (made.sent.get(at), sent.get(at));
                wrong.push(format!("{language}: it sends {found:?} instead of {expected:?}"));
            }
            for (table, hash) in &expected.tables {
                if found.tables.get(table) != Some(hash) {
                    wrong.push(format!("{language}: the table {table}"));
                }
            }
            if found.hash != expected.hash {
                wrong.push(format!("{language}: {} instead of {}", found.hash, expected.hash));
            }
        }
        ensure!(wrong.is_empty(), "not as in the reference:\n{}", wrong.join("\n"));
        Ok(())
    })
}

// All say the same of themselves, but for the name.
#[test]
fn every_language_writes_the_same_manifest() -> Result<()> {
    for kind in [Kind::Projection, Kind::Aggregate, Kind::Upcaster] {
        compare(kind, |built| {
            let ending = format!("-{}", built.language);
            let named = |text: &str| match text.strip_suffix(&ending) {
                Some(start) => format!("{start}-LANGUAGE"),
                None => text.to_owned(),
            };
            let mut manifest = built.plugin.manifest.clone();
            manifest.name = named(&manifest.name);
            manifest.topics = manifest.topics.iter().map(|topic| named(topic)).collect();
            if kind != Kind::Projection {
                // What only a projection's manifest must say.
                manifest.version.clear();
                manifest.description.clear();
            }
            Ok(manifest)
        })?;
    }
    Ok(())
}

/// What a language has made of the events.
struct Made {
    language: &'static str,
    read_model: Fingerprint,
    /// What it wants sent, in the order of the keys: an update keeps a message's place, so that their order follows from the batches.
    sent: Vec<String>,
}

/// Applies the events by every language, side by side in one process.
fn read_models(log: &Log<'_>, settings: &str) -> Result<Vec<Made>> {
    let plugins = all(Kind::Projection)?;
    let mut site = Site::new(log)?
        .with_settings(&format!("{settings}[limits]\nevent_ms_max = 60000\ncall_ms_max = 60000\n"))?;
    for built in &plugins {
        site.deploy(&Plugin { name: built.plugin.name.clone(), wasm: built.wasm.clone() })?;
    }
    let host = {
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), TOPIC, 1)?;
        produce(site.address(), &events::all(SEED))?;
        host
    };
    host.terminate()?;
    let output = site.run_once()?;
    ensure!(output.status.success(), "{}", transcript(&output));
    plugins.iter().map(|built| made(&site, built)).collect()
}

fn made(site: &Site, built: &'static Built) -> Result<Made> {
    let path = site.data().join("read-models").join(format!("{}.db", built.plugin.name));
    let model = ReadModel::open(&path)?;
    // That it is not the hash of nothing.
    let records = model.number("SELECT count(*) FROM records")?;
    let reads = model.number("SELECT count(*) FROM reads")?;
    ensure!(records == 30 && reads > 500, "{} has {records} records and {reads} reads", built.language);
    let mut statement = model.connection.prepare(SENT)?;
    let sent: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    ensure!(sent.len() > 20, "{} sends only {sent:?}", built.language);
    Ok(Made { language: &built.language, read_model: Fingerprint::of(&path)?, sent })
}

fn produce(address: &str, records: &[Record]) -> Result<()> {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", address).set("enable.idempotence", "true").create()?;
    for record in records {
        let mut headers =
            OwnedHeaders::new().insert(Header { key: "type", value: Some(record.kind.as_bytes()) });
        for (name, value) in &record.headers {
            headers = headers.insert(Header { key: name, value: value.as_ref() });
        }
        let mut message: BaseRecord<'_, Vec<u8>, Vec<u8>> =
            BaseRecord::to(TOPIC).partition(0).headers(headers).timestamp(record.timestamp_ms);
        message.key = record.key.as_ref();
        message.payload = record.payload.as_ref();
        producer.send(message).map_err(|(error, _)| error)?;
    }
    producer.flush(Duration::from_millis(WAIT_MS_MAX))?;
    Ok(())
}
