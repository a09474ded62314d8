//! `lantern command` and `lantern aggregate`.

use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use lantern_tests::log::{Log, on};
use lantern_tests::site::{Site, check, transcript};
use serde_json::{Value, json};

use crate::Accounts;

// A person at a terminal, and a script, see what was decided; and what is kept is theirs when no host runs.
#[test]
fn commands_are_sent_and_aggregates_are_shown_with_a_host_and_without() -> Result<()> {
    on(&Log::Embedded, |log| {
        let accounts = Accounts::new("tool");
        let name = accounts.name.as_str();
        let mut site = Site::new(log)?;
        check(&site, ["command", name, "ada", "Deposit"], 1, &["nothing runs on the data folder"])?;
        check(&site, ["aggregate", "list"], 0, &["no aggregate yet"])?;
        check(&site, ["aggregate", "show", name, "ada"], 1, &["no aggregate", "Known: there is none"])?;
        site.deploy(&accounts.handler(&["by:first"])?)?;
        let mut host = site.start()?;
        accounts.await_live(&mut host)?;

        let deposit = r#"{"cents":500}"#;
        let first = ["command", name, "ada", "Deposit", deposit, "--key", "k-1"];
        check(&site, first, 0, &["ada is at version 1", "Deposited", "500"])?;
        check(&site, first, 0, &["ada is at version 1", "decided before"])?;
        check(&site, ["command", name, "ada", "Touch"], 0, &["nothing to do", "stays at version 1"])?;
        let too_much = ["command", name, "ada", "Withdraw", r#"{"cents":501}"#];
        check(&site, too_much, 1, &["rejected (overdrawn)", "500 cents"])?;
        let said = check(&site, too_much.into_iter().chain(["--json"]), 1, &[])?;
        ensure!(serde_json::from_str::<Value>(&said)?["data"] == json!({ "missing": 1 }), "{said}");
        check(
            &site,
            ["command", name, "ada", "Deposit", deposit, "--expect-version", "0"],
            1,
            &["version 0 was expected"],
        )?;
        check(&site, ["command", name, "ada", "Deposit", "{cents}"], 1, &["no JSON", "quote it"])?;
        check(&site, ["command", "nothing", "ada", "Deposit"], 1, &["no aggregate \"nothing\"", name])?;
        let said = check(
            &site,
            [
                "command",
                name,
                "ada",
                "Deposit",
                deposit,
                "--expect-version",
                "1",
                "--correlation",
                "c-9",
                "--json",
            ],
            0,
            &[],
        )?;
        let decided: Value = serde_json::from_str(&said)?;
        ensure!(decided["version"] == 2 && decided["events"][0]["data"]["cents"] == 500, "{decided}");
        let mut piped = site.lantern(["command", name, "bob", "Deposit", "-"])?;
        let mut piped = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        piped.stdin.take().context("a pipe")?.write_all(b"{\"cents\": 7}\n")?;
        let piped = piped.wait_with_output()?;
        ensure!(piped.status.success(), "{}", transcript(&piped));

        let shows = |words: &[&str]| -> Result<()> {
            check(&site, ["aggregate", "show", name, "ada"], 0, &["ada is at version 2", "\"cents\": 1000"])?;
            let said = check(&site, ["aggregate", "show", name, "ada", "--json"], 0, &[])?;
            let shown: Value = serde_json::from_str(&said)?;
            ensure!(shown["version"] == 2 && shown["state"]["cents"] == 1_000, "{shown}");
            check(&site, ["aggregate", "events", name, "ada"], 0, &["version", "Deposited", "500"])?;
            let said =
                check(&site, ["aggregate", "events", name, "ada", "--from-version", "2", "--json"], 0, &[])?;
            let events: Vec<Value> = said.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
            ensure!(events.len() == 1 && events[0]["correlation"] == "c-9", "{said}");
            let time = events[0]["time"].as_str().context("an event has a time")?;
            for (bound, version) in [("--since", 2), ("--until", 1)] {
                let said = check(&site, ["aggregate", "events", name, "ada", bound, time, "--json"], 0, &[])?;
                let events: Vec<Value> = said.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
                ensure!(events.len() == 1 && events[0]["version"] == version, "{bound} {time}: {said}");
            }
            check(
                &site,
                ["aggregate", "events", name, "eve"],
                1,
                &["no event was appended", "aggregate list"],
            )?;
            check(&site, ["aggregate", "list", name], 0, &["ada", "bob"])?;
            check(&site, ["aggregate", "list"], 0, words)?;
            check(&site, ["status"], 0, words)?;
            Ok(())
        };
        shows(&[name, "live"])?;
        check(&site, ["history", name], 0, &["started"])?;
        check(&site, ["pause", name], 0, &["paused"])?;
        check(&site, ["command", name, "ada", "Touch"], 1, &["takes no commands", "lantern resume"])?;
        check(&site, ["resume", name], 0, &["resumed"])?;
        check(&site, ["rebuild", name], 0, &["folded anew"])?;
        check(&site, ["promote", name], 1, &["swapped between two commands"])?;
        accounts.await_live(&mut host)?;
        ensure!(host.terminate()?.success());
        shows(&[name, "stopped"])
    })
}

// The same way in as for a projection, and the exit code is the outcome.
#[test]
fn a_handler_is_deployed_rolled_back_and_removed_by_commands() -> Result<()> {
    on(&Log::Embedded, |log| {
        let accounts = Accounts::new("by-command");
        let site = Site::new(log)?;
        let file = |label: &str, labels: &[&str]| -> Result<String> {
            let path = site.plugins_dir().with_file_name(format!("{label}.wasm"));
            std::fs::write(&path, accounts.handler(labels)?.wasm)?;
            Ok(path.to_str().context("a path in UTF-8")?.to_owned())
        };
        let name = accounts.name.as_str();
        let first = file("first", &["by:first"])?;
        let second = file("second", &["by:second", "state:2"])?;
        let strict = file("strict", &["fold:strictly"])?;
        let mut host = site.start()?;
        host.await_http()?;
        check(&site, ["deploy", &first], 0, &["started"])?;
        check(&site, ["deploy", &first], 0, &["nothing to do"])?;
        check(&site, ["command", name, "ada", "Deposit", r#"{"cents":5000}"#], 0, &["first"])?;
        check(&site, ["deploy", &strict], 1, &["cannot fold", "ada"])?;
        check(&site, ["deploy", &second, "--preview"], 1, &["without --preview"])?;
        check(&site, ["deploy", &second], 0, &["swapped in between two commands", "ms without commands"])?;
        check(&site, ["command", name, "ada", "Deposit", r#"{"cents":1}"#], 0, &["second"])?;
        check(&site, ["rollback", name], 0, &["rolled back"])?;
        check(&site, ["command", name, "ada", "Deposit", r#"{"cents":1}"#], 0, &["first"])?;
        check(&site, ["remove", name, "--purge"], 1, &["deletes", "--yes"])?;
        check(&site, ["remove", name, "--purge", "--yes"], 0, &["removed"])?;
        check(&site, ["aggregate", "list"], 0, &["no aggregate yet"])?;
        ensure!(host.terminate()?.success());
        Ok(())
    })
}
