//! What becomes of a handler that is deployed, and of the aggregates that are there.

use anyhow::{Result, ensure};
use lantern_tests::guest::plugin;
use lantern_tests::log::{Log, each_log, on};
use lantern_tests::site::Site;
use serde_json::json;

use crate::{Accounts, expect, expect_problem};

// A new handler that cannot go on where the old one is would fail for one customer after the other.
#[test]
fn a_handler_that_does_not_fit_the_aggregates_is_rejected_and_the_one_before_decides_on() -> Result<()> {
    each_log(|log| {
        let accounts = Accounts::new("rejected");
        let mut site = Site::new(log)?;
        site.deploy(&accounts.handler(&["by:first"])?)?;
        let mut host = site.start()?;
        accounts.await_live(&mut host)?;
        let api = site.api();
        for cents in [700, 2_000] {
            accounts.deposit(&api, "ada", cents)?;
        }
        let refuse = |labels: &[&str], words: &[&str]| -> Result<()> {
            let reason = api.deploy(&accounts.handler(labels)?)?.refused()?;
            for word in words {
                ensure!(reason.contains(word), "{reason} lacks {word:?}");
            }
            Ok(())
        };
        refuse(&["fold:strictly"], &["cannot fold", "ada", "version 2", "decides on"])?;
        refuse(&["fold:by-half"], &["another state", "ada", "raise the state version"])?;
        let moved = plugin("account", &accounts.name, &[&format!("{}-2", accounts.topic)])?;
        let reason = api.deploy(&moved)?.refused()?;
        ensure!(reason.contains("stays with its topic"), "{reason}");
        let decided = accounts.deposit(&api, "ada", 1)?;
        ensure!(decided["events"][0]["data"]["by"] == "first", "{decided}");
        ensure!(decided["version"] == 3, "{decided}");

        // With another state version it may fold as it likes.
        api.deploy(&accounts.handler(&["fold:by-half", "state:2", "by:second"])?)?.done("swapped")?;
        ensure!(accounts.state(&api, "ada")? == json!({ "cents": 1_350, "events": 3, "state_version": 2 }));
        let decided = accounts.deposit(&api, "ada", 2)?;
        ensure!(decided["events"][0]["data"]["by"] == "second", "{decided}");

        // What is not a handler cannot be in its place, and it has no generations.
        let projection = plugin("tally", &accounts.name, &[&accounts.topic])?;
        let answer = api.deploy(&projection)?;
        ensure!(answer.status == 409, "{answer:?}");
        ensure!(answer.refused()?.contains("the name of a command handler"));
        for (action, word) in
            [("promote", "swapped between two commands"), ("discard", "rollback"), ("reset", "rebuild")]
        {
            let answer = api.act(&accounts.name, action)?;
            ensure!(answer.status == 409, "{action}: {answer:?}");
            ensure!(answer.clone().refused()?.contains(word), "{action}: {answer:?}");
        }
        let preview = api.preview(&accounts.handler(&["by:third"])?)?;
        ensure!(preview.status == 409 && preview.refused()?.contains("without --preview"));

        let results: Vec<_> =
            api.history(&accounts.name)?.iter().map(|entry| entry["result"].clone()).collect();
        let expected = ["started", "rejected", "rejected", "rejected", "swapped", "rejected", "rejected"];
        ensure!(results == expected, "{results:?}");
        ensure!(host.terminate()?.success());
        Ok(())
    })
}

// A state is a fold: with another fold it is another state, and no two of them may be mixed.
#[test]
fn states_of_another_version_are_folded_anew_one_by_one_or_all_at_once_and_back() -> Result<()> {
    each_log(|log| {
        let accounts = Accounts::new("states");
        let mut site = Site::new(log)?;
        site.deploy(&accounts.handler(&["by:first"])?)?;
        let mut host = site.start()?;
        accounts.await_live(&mut host)?;
        let api = site.api();
        for account in 0..20 {
            accounts.deposit(&api, &format!("a-{account}"), 100 + account)?;
        }
        let second = accounts.handler(&["by:second", "state:2"])?;
        ensure!(api.deploy(&second)?.done("swapped")?["generation"] == 0);
        ensure!(accounts.state(&api, "a-7")? == json!({ "cents": 107, "events": 1, "state_version": 2 }));
        api.act(&accounts.name, "rebuild")?.done("refolded")?;
        accounts.deposit(&api, "a-7", 1)?;
        ensure!(host.terminate()?.success());

        // After a start the second decides, on its own states.
        site.undeploy(&accounts.name);
        site.deploy(&second)?;
        let mut host = site.start()?;
        let live = accounts.await_live(&mut host)?;
        ensure!(live["kind"] == "commands" && live["digest"] == second.digest(), "{live}");
        let api = site.api();
        ensure!(accounts.state(&api, "a-7")? == json!({ "cents": 108, "events": 2, "state_version": 2 }));
        ensure!(accounts.state(&api, "a-8")? == json!({ "cents": 108, "events": 1, "state_version": 2 }));

        let back = api.act(&accounts.name, "rollback")?.done("rolled-back")?;
        ensure!(back["pause_us"].is_u64(), "{back}");
        let decided = accounts.deposit(&api, "a-8", 1)?;
        ensure!(decided["events"][0]["data"]["by"] == "first", "{decided}");
        ensure!(accounts.state(&api, "a-8")? == json!({ "cents": 109, "events": 2, "state_version": 1 }));
        api.act(&accounts.name, "rollback")?.done("rolled-back")?;
        let decided = accounts.deposit(&api, "a-8", 1)?;
        ensure!(decided["events"][0]["data"]["by"] == "second", "{decided}");
        ensure!(host.terminate()?.success());
        Ok(())
    })
}

// An aggregate may be more than a plugin has memory for: it is folded in pieces, by the trial of a handler and by its use.
#[test]
fn an_aggregate_that_is_larger_than_a_plugins_memory_is_folded_anew() -> Result<()> {
    on(&Log::Embedded, |log| {
        let accounts = Accounts::new("large");
        let mut site = Site::new(log)?.with_settings("[limits]\nmemory_bytes_max = 50331648")?;
        site.deploy(&accounts.handler(&["by:first"])?)?;
        let mut host = site.start()?;
        accounts.await_live(&mut host)?;
        let api = site.api();
        for _ in 0..100 {
            let pad = ("Pad", json!({ "bytes": 800_000 }));
            expect(api.command((&accounts.name, "ada"), pad, &[])?, 200)?;
        }
        accounts.deposit(&api, "ada", 5)?;
        // With the same state version, too, the trial folds them all.
        api.deploy(&accounts.handler(&["by:second"])?)?.done("swapped")?;
        api.deploy(&accounts.handler(&["by:third", "state:2"])?)?.done("swapped")?;
        ensure!(accounts.state(&api, "ada")? == json!({ "cents": 5, "events": 101, "state_version": 2 }));
        ensure!(host.terminate()?.success());
        Ok(())
    })
}

// A handler is stopped to repair something; the next start must not quietly undo that. The log is the truth: what is kept
// beside it can be thrown away.
#[test]
fn a_handler_is_paused_removed_and_purged_and_finds_its_aggregates_in_the_log_again() -> Result<()> {
    each_log(|log| {
        let accounts = Accounts::new("purged");
        let mut site = Site::new(log)?;
        let handler = accounts.handler(&["by:first"])?;
        site.deploy(&handler)?;
        let mut host = site.start()?;
        accounts.await_live(&mut host)?;
        accounts.deposit(&site.api(), "ada", 5)?;
        site.api().act(&accounts.name, "pause")?.done("paused")?;
        ensure!(host.terminate()?.success());

        let mut host = site.start()?;
        let api = host.await_http()?;
        let paused = host.await_plugin(&accounts.name, "is paused", |it| it["state"] == "paused")?;
        ensure!(paused["error"].as_str().is_some_and(|it| it.contains("lantern resume")), "{paused}");
        let refused = accounts.command(&api, "ada", "Deposit", 1)?;
        ensure!(refused.headers.contains_key("retry-after"), "{refused:?}");
        expect_problem(refused, 503, "unavailable", &["paused", "lantern resume"])?;
        // What is known can still be read.
        ensure!(accounts.state(&api, "ada")?["cents"] == 5);
        api.act(&accounts.name, "resume")?.done("resumed")?;
        accounts.await_live(&mut host)?;
        accounts.deposit(&api, "ada", 6)?;

        ensure!(api.remove(&accounts.name, false)?.done("removed")?["generation"] == 0);
        expect_problem(accounts.command(&api, "ada", "Deposit", 1)?, 503, "unavailable", &["stopped"])?;
        let store = site.data().join("aggregates").join(format!("{}.db", accounts.name));
        ensure!(store.exists(), "what is kept stays");
        api.remove(&accounts.name, true)?.done("removed")?;
        ensure!(!store.exists(), "what was kept is deleted");
        let path = format!("/{}/ada", accounts.name);
        expect_problem(api.aggregates(&path)?, 404, "unknown-aggregate-type", &[&accounts.name])?;

        api.deploy(&handler)?.done("started")?;
        accounts.await_live(&mut host)?;
        let shown = expect(api.aggregates(&path)?, 200)?;
        ensure!(shown["version"] == 2 && shown["state"]["cents"] == 11, "{shown}");
        ensure!(host.terminate()?.success());
        Ok(())
    })
}

// Whoever saves a handler in the plugins folder has deployed it, as with a projection.
#[test]
fn a_file_in_the_plugins_folder_is_a_handler_until_it_is_taken_away() -> Result<()> {
    on(&Log::Embedded, |log| {
        let accounts = Accounts::new("folder");
        let site = Site::new(log)?;
        let mut host = site.start()?;
        let api = host.await_http()?;
        let file = site.plugins_dir().join("account.wasm");
        let save = |labels: &[&str]| -> Result<()> {
            // Moved there, so that it is whole when it is seen.
            let beside = site.plugins_dir().with_file_name("account.wasm");
            std::fs::write(&beside, accounts.handler(labels)?.wasm)?;
            Ok(std::fs::rename(beside, &file)?)
        };
        std::fs::create_dir_all(site.plugins_dir())?;
        save(&["by:first"])?;
        accounts.await_live(&mut host)?;
        accounts.deposit(&api, "ada", 5)?;
        save(&["by:second"])?;
        host.until("the second decides", || {
            let decided = accounts.deposit(&api, "ada", 5)?;
            Ok((decided["events"][0]["data"]["by"] == "second").then_some(()))
        })?;
        std::fs::remove_file(&file)?;
        host.await_plugin(&accounts.name, "is stopped", |it| it["state"] == "stopped")?;
        ensure!(accounts.state(&api, "ada")?["events"].as_u64() >= Some(2), "its aggregates stay");
        ensure!(host.terminate()?.success());
        Ok(())
    })
}
