//! Plugins that do not load, and plugins that fail at an event.

use anyhow::{Context, Result, ensure};
use lantern_tests::client::{self, NewRecord};
use lantern_tests::fold::check_ledger;
use lantern_tests::guest::{Plugin, assembled, plugin, unique_topic};
use lantern_tests::log::each_log;
use lantern_tests::site::Site;
use lantern_tests::whole::{await_whole, entries};
use serde_json::json;

/// A plugin that does not load.
pub struct Refused {
    pub guest: &'static str,
    /// What the reason must say.
    words: &'static [&'static str],
}

pub const REFUSED: &[Refused] = &[
    Refused { guest: "not-wasm", words: &["not WebAssembly"] },
    Refused { guest: "other-world", words: &["lantern:plugin/"] },
    Refused { guest: "lacks-an-export", words: &["lantern:plugin/projection"] },
    Refused { guest: "bad-manifest", words: &["manifest"] },
    Refused { guest: "bad-schema", words: &["CREATE TABEL", "syntax error"] },
];

/// The guest that answers a batch with bytes that are no frame.
pub const MANGLED: &str = "mangled-frame";

// A folder of plugins is deployed by several people: one file that is not right must be named with
// its reason, and must not keep the others from their work.
#[test]
fn a_plugin_that_does_not_load_is_named_with_its_reason_and_harms_no_other() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("refused");
        let mut site = Site::new(log)?;
        for case in REFUSED {
            site.deploy(&refused(case.guest, &topic)?)?;
        }
        site.deploy(&plugin("ledger", "good", &[&topic])?)?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, 2)?;
        client::produce(site.address(), &topic, entries(1, 0..50))?;
        await_whole(&mut host, &site, "good", &topic)?;
        for case in REFUSED {
            host.until(&format!("{} is refused with {:?}", case.guest, case.words), || {
                let said = said_of(&site, case.guest);
                Ok(case.words.iter().all(|word| said.contains(word)).then_some(()))
            })?;
        }
        Ok(())
    })
}

/// The messages that name a plugin. A message goes on in lines that are indented.
fn said_of(site: &Site, guest: &str) -> String {
    let said = site.said().replace("\n  ", " ");
    said.lines().filter(|line| line.contains(guest)).collect::<Vec<_>>().join("\n")
}

fn refused(guest: &str, topic: &str) -> Result<Plugin> {
    if guest == "not-wasm" {
        return Ok(Plugin { name: guest.to_owned(), wasm: b"#!/bin/sh\necho hello\n".to_vec() });
    }
    assembled(guest, &json!({ "name": guest, "topics": [topic], "schema": ["CREATE TABEL t (x)"] }))
}

/// A plugin that fails at one event.
struct Fault {
    /// What the event orders; see `tests/guests/ledger/src/fault.rs`.
    order: &'static str,
    /// What the error must say beside the coordinates.
    words: &'static [&'static str],
}

const FAULTS: &[Fault] = &[
    Fault { order: "refuse", words: &["the ledger does not take this entry"] },
    Fault { order: "json", words: &["line 1"] },
    Fault { order: "sql", words: &["no such table", "a_table_that_is_not"] },
    Fault { order: "pragma", words: &["pragma"] },
    Fault { order: "checkpoint", words: &["_lantern_"] },
    Fault { order: "panic", words: &["the ledger panics at"] },
    Fault { order: "trap", words: &["unreachable"] },
    Fault { order: "loop", words: &["event_ms_max"] },
    Fault { order: "memory", words: &["memory_bytes_max"] },
    Fault { order: "stack", words: &["stack_bytes_max"] },
];

/// The event of each topic that orders the fault: partition 0, this offset.
const FAULTY_OFFSET: u32 = 25;

// All of them misbehave at once, in one process, beside a ledger that must not notice. Each keeps
// what came before the event, says which event it is, and goes on where it stopped when a mended
// plugin takes its place.
#[test]
fn a_plugin_that_fails_at_an_event_names_it_keeps_what_came_before_and_goes_on_when_mended() -> Result<()> {
    each_log(|log| {
        let mut site = Site::new(log)?.with_settings(
            "[limits]\nevent_ms_max = 1_000\ncall_ms_max = 2_000\nmemory_bytes_max = 16_000_000",
        )?;
        let topics: Vec<String> =
            FAULTS.iter().map(|fault| unique_topic(&format!("fault-{}", fault.order))).collect();
        let words = |fault: &Fault| format!("ledger-{}", fault.order);
        for (fault, topic) in FAULTS.iter().zip(&topics) {
            site.deploy(&plugin("ledger", &words(fault), &[topic, "faulty"])?)?;
        }
        let all: Vec<&str> = topics.iter().map(String::as_str).collect();
        site.deploy(&plugin("ledger", "good", &all[..2])?)?;

        let mut host = site.start()?;
        host.await_broker()?;
        for (fault, topic) in FAULTS.iter().zip(&topics) {
            client::create_topic(site.address(), topic, 2)?;
            let ordered = NewRecord {
                key: Some(b"0-0".to_vec()),
                value: Some(format!("fault: {}", fault.order).into_bytes()),
                ..NewRecord::default()
            };
            let records = entries(0, 0..FAULTY_OFFSET).chain([ordered]).chain(entries(0, 26..50));
            client::produce(site.address(), topic, records.chain(entries(1, 0..50)))?;
        }

        for (fault, topic) in FAULTS.iter().zip(&topics) {
            let name = words(fault);
            let coordinates = format!("{topic}/0@{FAULTY_OFFSET}");
            let mut expected = vec![coordinates.as_str()];
            expected.extend(fault.words);
            host.await_error(&name, &expected)?;
            let model = site.read_model(&name)?;
            let there = model.checkpoints(topic)?;
            ensure!(
                there.get(&0) == Some(&i64::from(FAULTY_OFFSET)),
                "{name} stopped at {there:?} and not at the event at fault"
            );
            let records = client::read_committed(site.address(), topic)?;
            check_ledger(&model, topic, &records).with_context(|| name.clone())?;
        }
        host.await_checkpoint("good", &topics[0], &[(0, 50), (1, 50)])?;
        host.await_checkpoint("good", &topics[1], &[(0, 50), (1, 50)])?;
        let status = host.terminate()?;
        ensure!(status.success(), "SIGTERM ended it with {status}");

        for (fault, topic) in FAULTS.iter().zip(&topics) {
            site.deploy(&plugin("ledger", &words(fault), &[topic])?)?;
        }
        let mut host = site.start()?;
        host.await_broker()?;
        for (fault, topic) in FAULTS.iter().zip(&topics) {
            await_whole(&mut host, &site, &words(fault), topic).with_context(|| words(fault))?;
        }
        Ok(())
    })
}

// An operator who is looking for another plugin's error must find it: a flood is cut, and what it
// says is not the projection's concern.
#[test]
fn a_plugin_that_floods_the_log_is_cut_short_and_goes_on() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("flood");
        // So many messages take their time on a busy machine, which is not what is tried here.
        let mut site =
            Site::new(log)?.with_settings("[limits]\nevent_ms_max = 60_000\ncall_ms_max = 60_000")?;
        site.deploy(&plugin("ledger", "flooding", &[&topic, "faulty"])?)?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, 1)?;
        let ordered = NewRecord { value: Some(b"fault: log".to_vec()), ..NewRecord::default() };
        client::produce(site.address(), &topic, [ordered].into_iter().chain(entries(0, 0..20)))?;
        await_whole(&mut host, &site, "flooding", &topic)?;
        let said_bytes = site.said().len();
        ensure!(said_bytes < 1_000_000, "a flood of 20 MB came through with {said_bytes} bytes");
        Ok(())
    })
}

// The SDKs write frames; what a plugin without one hands over is hostile input like any other.
#[test]
fn a_mangled_frame_halts_its_projection_with_the_event() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("mangled");
        let mut site = Site::new(log)?;
        let manifest = json!({ "name": "mangled", "topics": [topic], "envelope": { "kind": "topic" } });
        site.deploy(&assembled(MANGLED, &manifest)?)?;
        site.deploy(&plugin("ledger", "good", &[&topic])?)?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, 1)?;
        client::produce(site.address(), &topic, entries(0, 0..20))?;
        host.await_error("mangled", &[&format!("{topic}/0@0"), "mangled frame"])?;
        await_whole(&mut host, &site, "good", &topic)?;
        Ok(())
    })
}
