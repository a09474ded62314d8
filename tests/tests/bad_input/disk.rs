//! Disks that are full or read-only, and data that is another process's.

use std::fs;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context, Result, ensure};
use lantern_tests::client::{self, NewRecord};
use lantern_tests::disk::Disk;
use lantern_tests::guest::{plugin, unique_topic};
use lantern_tests::log::{Log, each_log};
use lantern_tests::site::{Site, transcript};
use lantern_tests::whole::{await_whole, entries, ledger_site, start_filled};
use serde_json::Value;

/// A site that keeps its log elsewhere, so that only its read models feel the disk.
fn reader_of(broker: &Site, disk: &Disk) -> Result<Site> {
    Ok(Site::on_kafka(broker.address())?.with_data(&disk.path().join("data")))
}

// A full disk is nobody's fault who could be parked: the projection waits, and goes on by itself
// when there is room.
#[test]
fn a_full_disk_pauses_and_loses_nothing() -> Result<()> {
    each_log(|log| {
        let Some(disk) = Disk::mount("3m")? else { return Ok(()) };
        let mut broker = Site::new(log)?;
        broker.deploy(&plugin("tally", "idle", &["none"])?)?;
        let _serving = serve(log, &broker)?;
        let topic = unique_topic("full");
        let mut site = reader_of(&broker, &disk)?;
        site.deploy(&plugin("ledger", "ledger", &[&topic])?)?;
        client::create_topic(site.address(), &topic, 2)?;
        let large = |partition, number: u32| NewRecord {
            partition,
            key: Some(format!("{partition}-{}", number % 3).into_bytes()),
            value: Some(format!("{number} {}", "x".repeat(10_000)).into_bytes()),
            ..NewRecord::default()
        };
        client::produce(site.address(), &topic, (0..400).map(|number| large(0, number)))?;
        client::produce(site.address(), &topic, (0..400).map(|number| large(1, number)))?;

        let mut host = site.start()?;
        host.await_error("ledger", &["full"])?;
        disk.remount("size=64m")?;
        await_whole(&mut host, &site, "ledger", &topic)?;
        let status = host.terminate()?;
        ensure!(status.success(), "SIGTERM ended it with {status}");
        Ok(())
    })
}

// Root is not stopped by a folder's mode, so the disk itself is read-only.
#[test]
fn a_read_only_data_folder_is_refused_by_its_name() -> Result<()> {
    each_log(|log| {
        let Some(disk) = Disk::mount("3m")? else { return Ok(()) };
        let mut site = Site::new(log)?.with_data(&disk.path().join("data"));
        site.deploy(&plugin("ledger", "ledger", &[&unique_topic("read-only")])?)?;
        fs::create_dir(site.data())?;
        disk.remount("ro")?;
        let output = site.run_once()?;
        ensure!(!output.status.success(), "it ran: {}", transcript(&output));
        let said = String::from_utf8_lossy(&output.stderr);
        for word in [site.data().to_str().unwrap_or_default(), "ead-only"] {
            ensure!(said.contains(word), "not a word of {word:?}: {}", transcript(&output));
        }
        ensure!(!said.contains("panicked"), "{}", transcript(&output));
        Ok(())
    })
}

// No waiting mends a file that is damaged: a script must come to an end, and somebody be told what to do.
#[test]
fn a_damaged_read_model_halts_and_is_built_anew_when_it_is_moved_away() -> Result<()> {
    each_log(|log| {
        let (site, topic) = ledger_site(log, "damaged")?;
        let host = start_filled(&site, &topic, 1, entries(0, 0..10))?;
        host.terminate()?;
        let root = "SELECT (rootpage - 1) * (SELECT page_size FROM pragma_page_size) FROM sqlite_schema WHERE name = 'total'";
        let root = site.read_model("ledger")?.number(root)?;
        let link = site.data().join("read-models").join("ledger.db");
        let file = fs::canonicalize(&link)?;
        fs::File::options().write(true).open(&file)?.write_all_at(&[0xff; 512], u64::try_from(root)?)?;

        let mut host = site.start()?;
        host.await_broker()?;
        client::produce(site.address(), &topic, entries(0, 10..20))?;
        let name = file.to_str().context("a path that is text")?;
        host.await_error("ledger", &[name, "damaged", "move it away"])?;
        host.terminate()?;
        let output = site.run_once()?;
        ensure!(!output.status.success(), "it went on: {}", transcript(&output));
        ensure!(transcript(&output).contains("damaged"), "{}", transcript(&output));

        for companion in ["", "-wal", "-shm"] {
            let moved = fs::rename(format!("{name}{companion}"), format!("{name}{companion}.damaged"));
            ensure!(moved.is_ok() || !companion.is_empty(), "{moved:?}");
        }
        let mut host = site.start()?;
        host.await_broker()?;
        let records = await_whole(&mut host, &site, "ledger", &topic)?;
        ensure!(records[&0].len() == 20, "not all of it was written");
        Ok(())
    })
}

// Two processes on the same tables would apply each event twice.
#[test]
fn a_second_process_on_the_same_data_is_refused_with_the_name_of_the_first() -> Result<()> {
    each_log(|log| {
        let (site, topic) = ledger_site(log, "held")?;
        let host = start_filled(&site, &topic, 1, entries(0, 0..20))?;
        let lock: Value = serde_json::from_slice(&fs::read(site.data().join("lantern.lock"))?)?;
        let holder = lock["pid"].as_i64().with_context(|| lock.to_string())?.to_string();

        let output = site.run_once()?;
        ensure!(!output.status.success(), "it ran: {}", transcript(&output));
        let said = String::from_utf8_lossy(&output.stderr);
        for word in [holder.as_str(), site.data().to_str().unwrap_or_default()] {
            ensure!(said.contains(word), "not a word of {word:?}: {}", transcript(&output));
        }

        // The lock of a process that was killed holds nobody up.
        client::produce(site.address(), &topic, entries(0, 20..40))?;
        host.kill()?;
        let mut host = site.start()?;
        host.await_broker()?;
        await_whole(&mut host, &site, "ledger", &topic)?;
        Ok(())
    })
}

/// Has the embedded broker of a site running; Apache Kafka runs already.
fn serve<'s>(log: &Log<'_>, broker: &'s Site) -> Result<Option<lantern_tests::site::Host<'s>>> {
    match log {
        Log::Kafka(_) => Ok(None),
        Log::Embedded => {
            let mut host = broker.start()?;
            host.await_broker()?;
            Ok(Some(host))
        }
    }
}

// A script asks by `run --once` whether everything is applied: where a projection cannot even be started, it is not.
#[test]
fn run_once_fails_where_a_projection_cannot_be_started() -> Result<()> {
    each_log(|log| {
        let (site, topic) = ledger_site(log, "kept")?;
        let host = start_filled(&site, &topic, 1, entries(0, 0..5))?;
        host.terminate()?;
        ensure!(site.run_once()?.status.success());
        for kept in fs::read_dir(site.data().join("plugins"))? {
            fs::write(kept?.path(), b"what a sick disk gives")?;
        }
        let output = site.run_once()?;
        let said = transcript(&output);
        ensure!(output.status.code() == Some(1), "{said}");
        for words in ["ledger: halted: ", "this is not the plugin that was kept here"] {
            ensure!(said.contains(words), "{words}\n{said}");
        }
        Ok(())
    })
}
