//! The plugins folder.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;

use anyhow::{Context, Result, ensure};
use lantern_tests::client;
use lantern_tests::guest::{assembled, plugin, unique_topic};
use lantern_tests::log::{Log, each_log, on};
use lantern_tests::site::Site;
use lantern_tests::whole::await_whole;
use serde_json::json;

use crate::{await_applied, await_history, entries, history};

// Saving a file is the whole deployment: each way in which programs save must do, and nothing else may be needed.
#[test]
fn a_file_that_is_saved_replaced_and_removed_is_started_swapped_rebuilt_and_stopped() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("files");
        let site = Site::new(log)?;
        let mut host = site.start()?;
        host.await_broker()?;
        host.await_said("no plugin runs yet")?;
        client::create_topic(site.address(), &topic, 2)?;
        client::produce(site.address(), &topic, entries(0..50))?;
        let path = site.plugins_dir().join("ledger.wasm");

        // Written in place, as `cp` does.
        fs::write(&path, plugin("ledger", "ledger", &[&topic])?.wasm)?;
        await_history(&mut host, &site, "ledger", &["started"])?;
        await_whole(&mut host, &site, "ledger", &topic)?;
        // Written beside and renamed over, as editors and compilers do. The same tables: it is swapped in.
        let beside = site.plugins_dir().join(".ledger.wasm.new");
        fs::write(&beside, plugin("ledger", "ledger", &[&topic, "faulty"])?.wasm)?;
        fs::rename(&beside, &path)?;
        await_history(&mut host, &site, "ledger", &["started", "swapped"])?;
        client::produce(site.address(), &topic, entries(50..100))?;
        await_whole(&mut host, &site, "ledger", &topic)?;
        // Other tables: the read model is built anew beside the live one.
        fs::write(&path, plugin("tally", "ledger", &[&topic])?.wasm)?;
        let done = ["started", "swapped", "rebuilding", "promoted"];
        await_history(&mut host, &site, "ledger", &done)?;
        await_applied(&mut host, &site, "ledger", &topic)?;
        ensure!(site.read_model("ledger")?.number("SELECT sum(events) FROM partitions")? == 100);
        // Taken away: it stops, and what it wrote stays.
        fs::remove_file(&path)?;
        await_history(&mut host, &site, "ledger", &[&done[..], &["removed"]].concat())?;
        let stopped = site.projection("ledger")?.context("the read model is shown")?;
        ensure!(stopped["state"] == "stopped", "{stopped}");
        client::produce(site.address(), &topic, entries(100..120))?;
        // Put back: it goes on where it stopped.
        fs::write(&path, plugin("tally", "ledger", &[&topic])?.wasm)?;
        await_applied(&mut host, &site, "ledger", &topic)?;
        ensure!(site.read_model("ledger")?.number("SELECT sum(events) FROM partitions")? == 120);
        ensure!(host.terminate()?.success());
        Ok(())
    })
}

// A large plugin over a slow network is a file that grows for minutes. Half of it is no plugin, and to be told so again
// and again is noise in which real errors are lost.
#[test]
fn a_half_written_file_is_neither_loaded_nor_rejected() -> Result<()> {
    on(&Log::Embedded, |log| {
        let topic = unique_topic("slow");
        let site = Site::new(log)?;
        let mut host = site.start()?;
        host.await_broker()?;
        host.await_said("no plugin runs yet")?;
        client::create_topic(site.address(), &topic, 2)?;
        client::produce(site.address(), &topic, entries(0..20))?;
        let wasm = plugin("ledger", "slow", &[&topic])?.wasm;
        let mut file = File::create(site.plugins_dir().join("slow.wasm"))?;
        for (number, piece) in wasm.chunks(wasm.len() / 3 + 1).enumerate() {
            file.write_all(piece)?;
            // Another file that is saved meanwhile is taken, and by then this one would have been.
            let name = format!("quick-{number}");
            fs::write(
                site.plugins_dir().join(format!("{name}.wasm")),
                plugin("ledger", &name, &[&topic])?.wasm,
            )?;
            await_whole(&mut host, &site, &name, &topic)?;
            ensure!(history(&site, "slow")?.is_empty(), "{:?}", history(&site, "slow")?);
        }
        drop(file);
        await_whole(&mut host, &site, "slow", &topic)?;
        ensure!(history(&site, "slow")? == ["started"]);
        ensure!(!site.said().contains("rejected"), "{}", site.said());
        Ok(())
    })
}

/// How many files the folder has, and how many of them are broken.
const FILES: usize = 100;
const BROKEN: usize = 20;

// A folder that many people write to has broken files in it. Each is named with its reason, and none keeps another
// from running.
#[test]
fn a_folder_of_100_files_of_which_20_are_broken_starts_the_80_and_names_the_20() -> Result<()> {
    on(&Log::Embedded, |log| {
        let topic = unique_topic("hundred");
        let site = Site::new(log)?;
        let folder = site.plugins_dir();
        fs::create_dir(&folder)?;
        let good = plugin("tally", "good-00", &[&topic])?.wasm;
        for number in 0..FILES - BROKEN {
            let name = format!("good-{number:02}");
            fs::write(folder.join(format!("{name}.wasm")), plugin("tally", &name, &[&topic])?.wasm)?;
        }
        let manifest = |name: &str| json!({ "name": name, "topics": [topic] });
        for number in 0..BROKEN {
            // Twins come after those whose names they have.
            let name =
                if number % 10 == 9 { format!("twin-{number:02}") } else { format!("broken-{number:02}") };
            let path = folder.join(format!("{name}.wasm"));
            if number == BROKEN - 2 {
                // Larger than any plugin, and empty.
                File::create(path)?.set_len((256 << 20) + 1)?;
                continue;
            }
            let bytes = match number % 10 {
                0 => b"#!/bin/sh\necho hello\n".to_vec(),
                1 => Vec::new(),
                2 => good[..good.len() / 2].to_vec(),
                3 => good[8..].to_vec(),
                4 => b"\0asm\x01\0\0\0".to_vec(),
                5 => vec![0xff; 1_000],
                6 => assembled("other-world", &manifest(&name))?.wasm,
                7 => assembled("lacks-an-export", &manifest(&name))?.wasm,
                8 => assembled("bad-manifest", &manifest(&name))?.wasm,
                // The first one's name, and another content.
                _ => plugin("tally", "good-00", &[&topic, &format!("version:{number}")])?.wasm,
            };
            fs::write(path, bytes)?;
        }
        // What is no file is nobody's plugin.
        fs::create_dir(folder.join("folder.wasm"))?;
        symlink("nowhere.wasm", folder.join("dangling.wasm"))?;
        symlink("loop.wasm", folder.join("loop.wasm"))?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, 2)?;
        client::produce(site.address(), &topic, entries(0..30))?;
        for number in 0..FILES - BROKEN {
            await_applied(&mut host, &site, &format!("good-{number:02}"), &topic)?;
        }
        let projections = site.json(["status"])?["projections"].as_array().map_or(0, Vec::len);
        ensure!(projections == FILES - BROKEN, "{projections} run");
        for number in 0..BROKEN {
            let name = if number % 10 == 9 { "twin" } else { "broken" };
            host.await_said(&format!("{name}-{number:02}.wasm: "))?;
            if name == "twin" {
                host.await_said(&format!(
                    "{name}-{number:02}.wasm: a plugin named \"good-00\" runs already"
                ))?;
            }
        }
        let refused = site.json(["history"])?;
        let refused =
            refused.as_array().context("a list")?.iter().filter(|entry| entry["result"] == "rejected");
        ensure!(refused.count() == BROKEN);
        Ok(())
    })
}
