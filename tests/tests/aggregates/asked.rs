//! Commands and aggregates by HTTP.

use anyhow::{Context, Result, ensure};
use lantern_tests::api::Api;
use lantern_tests::http::exchange;
use lantern_tests::log::each_log;
use lantern_tests::site::{Host, Site};
use serde_json::{Value, json};

use crate::{Accounts, expect, expect_problem};

fn site_with(accounts: &Accounts, log: &lantern_tests::log::Log<'_>) -> Result<Site> {
    let mut site = Site::new(log)?;
    site.deploy(&accounts.handler(&["by:first"])?)?;
    Ok(site)
}

fn start<'s>(site: &'s Site, accounts: &Accounts) -> Result<(Host<'s>, Api)> {
    let mut host = site.start()?;
    let api = host.await_http()?;
    accounts.await_live(&mut host)?;
    Ok((host, api))
}

// The answer is what a client goes on with: the version for its next command, the position for its next query.
#[test]
fn a_command_is_answered_with_its_events_its_version_and_its_position() -> Result<()> {
    each_log(|log| {
        let accounts = Accounts::new("answered");
        let site = site_with(&accounts, log)?;
        let (host, api) = start(&site, &accounts)?;
        let reply = accounts.command(&api, "ada", "Deposit", 500)?;
        ensure!(reply.headers["etag"] == "\"1\"", "{reply:?}");
        let position = reply.headers["lantern-position"].clone();
        let body = expect(reply, 200)?;
        let event = &body["events"][0];
        ensure!(event["type"] == "Deposited" && event["version"] == 1, "{body}");
        ensure!(event["data"] == json!({ "cents": 500, "by": "first" }), "{body}");
        ensure!(body["position"] == position && position.starts_with(&accounts.topic), "{body}");
        ensure!(body["aggregate"] == accounts.name && body["id"] == "ada" && body["repeated"] == false);

        // Nothing had to happen: the version stays.
        let touched = expect(api.command((&accounts.name, "ada"), ("Touch", Value::Null), &[])?, 200)?;
        ensure!(touched["version"] == 1 && touched["events"] == json!([]), "{touched}");

        let rejected = accounts.command(&api, "ada", "Withdraw", 501)?;
        let problem = expect_problem(rejected, 422, "command-rejected", &["500 cents"])?;
        ensure!(problem["code"] == "overdrawn" && problem["data"] == json!({ "missing": 1 }), "{problem}");
        ensure!(problem["version"] == 1 && problem["repeated"] == false, "{problem}");

        let shown = api.aggregates(&format!("/{}/ada", accounts.name))?;
        let tag = shown.headers["etag"].clone();
        ensure!(tag.starts_with("\"1-1-") && shown.headers["lantern-handler"] == "live", "{shown:?}");
        let shown = expect(shown, 200)?;
        let state = json!({ "cents": 500, "events": 1, "state_version": 1 });
        ensure!(shown["state"] == state && shown["version"] == 1 && shown["state_version"] == 1, "{shown}");
        let target = format!("/v1/aggregates/{}/ada", accounts.name);
        for (known, status) in [(&*tag, 304), ("*", 304), (&format!("\"0\", W/{tag}"), 304), ("\"1\"", 200)] {
            let again = exchange(&site.http()?, "GET", &target, &[("If-None-Match", known)], b"")?;
            ensure!(again.status == status && again.body.is_null() == (status == 304), "{known}: {again:?}");
        }
        // What was read is what is expected.
        expect(api.command((&accounts.name, "ada"), ("Touch", Value::Null), &[("If-Match", &tag)])?, 200)?;
        ensure!(host.terminate()?.success());
        Ok(())
    })
}

// A client that got no answer sends its command again, and must not pay twice, also after a restart.
#[test]
fn a_key_is_decided_once_and_an_expected_version_is_kept() -> Result<()> {
    each_log(|log| {
        let accounts = Accounts::new("keys");
        let site = site_with(&accounts, log)?;
        let (host, api) = start(&site, &accounts)?;
        let send = |api: &Api, name: &str, cents: i64, headers: &[(&str, &str)]| {
            api.command((&accounts.name, "ada"), (name, json!({ "cents": cents })), headers)
        };
        let key = [("Idempotency-Key", "\"k-1\"")];
        let first = expect(send(&api, "Deposit", 500, &key)?, 200)?;
        let refused = expect(send(&api, "Withdraw", 900, &[("Idempotency-Key", "k-2")])?, 422)?;
        expect(send(&api, "Deposit", 1_000, &[])?, 200)?;
        ensure!(host.terminate()?.success());

        let (host, api) = start(&site, &accounts)?;
        let again = expect(send(&api, "Deposit", 500, &[("Idempotency-Key", "k-1")])?, 200)?;
        ensure!(again["repeated"] == true && again["events"] == first["events"], "{again} is not {first}");
        // The account has enough by now; what was rejected is rejected.
        let again = expect(send(&api, "Withdraw", 900, &[("Idempotency-Key", "k-2")])?, 422)?;
        ensure!(again["repeated"] == true && again["code"] == refused["code"], "{again}");
        expect_problem(send(&api, "Deposit", 501, &key)?, 409, "key-reused", &["new key"])?;
        expect_problem(send(&api, "Withdraw", 500, &key)?, 409, "key-reused", &[])?;

        let stale = send(&api, "Deposit", 1, &[("If-Match", "\"1\"")])?;
        let problem = expect_problem(stale, 412, "wrong-version", &["version 1", "2"])?;
        ensure!(problem["version"] == 2, "{problem}");
        expect_problem(send(&api, "Deposit", 1, &[("If-None-Match", "*")])?, 412, "wrong-version", &[])?;
        ensure!(expect(send(&api, "Deposit", 1, &[("If-Match", "\"2\"")])?, 200)?["version"] == 3);
        ensure!(host.terminate()?.success());
        Ok(())
    })
}

// What a program does wrong it is told in a form that it can branch on; nothing is appended then.
#[test]
fn every_wrong_command_is_a_problem_and_changes_nothing() -> Result<()> {
    each_log(|log| {
        let accounts = Accounts::new("wrong");
        let site = site_with(&accounts, log)?;
        let (host, api) = start(&site, &accounts)?;
        accounts.deposit(&api, "ada", 1)?;
        let address = site.http()?;
        let commands = format!("/v1/aggregates/{}/ada/commands", accounts.name);
        let good = br#"{"type":"Deposit","data":{"cents":5}}"#;
        let check = |target: &str, headers: &[(&str, &str)], body: &[u8], expected: &str, words: &[&str]| {
            let (status, kind) = expected.split_once(' ').unwrap_or_default();
            let reply = exchange(&address, "POST", target, headers, body)?;
            expect_problem(reply, status.parse()?, kind, words).map(drop)
        };
        check(&commands, &[], b"", "400 bad-request", &["no command"])?;
        check(
            &commands,
            &[],
            br#"{"type":"Deposit","data":{"cents":5},"x":1}"#,
            "400 bad-request",
            &["`x`"],
        )?;
        check(&commands, &[], br#"{"data":{}}"#, "400 bad-request", &["`type`"])?;
        check(&commands, &[], br#"{"type":"Nothing"}"#, "400 bad-command", &["Nothing"])?;
        check(
            &commands,
            &[],
            br#"{"type":"Deposit","data":{"cents":"5"}}"#,
            "400 bad-command",
            &["expected i64"],
        )?;
        check(&commands, &[], br#"{"type":"Deposit"}"#, "400 bad-command", &[])?;
        check(&commands, &[("Content-Type", "text/plain")], good, "415 unsupported-media-type", &["JSON"])?;
        check(&commands, &[("If-Match", "*")], good, "400 bad-request", &["If-Match"])?;
        check(&commands, &[("If-Match", "\"1\""), ("If-Match", "\"1\"")], good, "400 bad-request", &["two"])?;
        check(&commands, &[("Idempotency-Key", "")], good, "400 bad-request", &["0 bytes"])?;
        check(
            "/v1/aggregates/nothing/ada/commands",
            &[],
            good,
            "404 unknown-aggregate-type",
            &[&accounts.name],
        )?;
        check("/v1/aggregates/..%2f..%2fx/ada/commands", &[], good, "404 unknown-aggregate-type", &[])?;
        let long = format!("/v1/aggregates/{}/{}/commands", accounts.name, "x".repeat(256));
        check(&long, &[], good, "400 bad-request", &["255"])?;
        let odd = format!("/v1/aggregates/{}/a%00b/commands", accounts.name);
        check(&odd, &[], good, "400 bad-request", &["control"])?;
        let large = format!(r#"{{"type":"Deposit","data":"{}"}}"#, "x".repeat(1 << 20));
        check(&commands, &[], large.as_bytes(), "413 too-large", &["1048576"])?;

        let get = |path: &str| api.aggregates(path);
        expect_problem(get("/nothing")?, 404, "unknown-aggregate-type", &[])?;
        expect_problem(get(&format!("/{}/bob", accounts.name))?, 404, "unknown-aggregate", &["bob"])?;
        expect_problem(get(&format!("/{}/bob/events", accounts.name))?, 404, "unknown-aggregate", &[])?;
        expect_problem(
            get(&format!("/{}/ada/events?limit=x", accounts.name))?,
            400,
            "bad-request",
            &["limit"],
        )?;
        expect_problem(
            get(&format!("/{}/ada/events?since=now", accounts.name))?,
            400,
            "bad-request",
            &["since"],
        )?;
        ensure!(accounts.state(&api, "ada")? == json!({ "cents": 1, "events": 1, "state_version": 1 }));
        ensure!(host.terminate()?.success());
        Ok(())
    })
}

// An audit asks for a time or a range, and reads all of a long history in parts.
#[test]
fn the_events_of_an_aggregate_are_read_in_pages_by_version_and_by_time() -> Result<()> {
    each_log(|log| {
        let accounts = Accounts::new("audit");
        let site = site_with(&accounts, log)?;
        let (host, api) = start(&site, &accounts)?;
        for cents in 1..=7 {
            let headers = [("X-Correlation-Id", format!("c-{cents}"))];
            let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
            let data = json!({ "cents": cents });
            expect(api.command((&accounts.name, "a%2Fb"), ("Deposit", data), &headers)?, 200)?;
        }
        let page = |query: &str| -> Result<(Vec<u64>, Value)> {
            let path = format!("/{}/a%2Fb/events?{query}", accounts.name);
            let body = expect(api.aggregates(&path)?, 200)?;
            let versions = body["events"].as_array().into_iter().flatten();
            Ok((versions.filter_map(|event| event["version"].as_u64()).collect(), body["next"].clone()))
        };
        ensure!(page("")? == ((1..=7).collect(), Value::Null));
        ensure!(page("limit=3")? == (vec![1, 2, 3], json!(4)));
        ensure!(page("limit=3&from_version=4")? == (vec![4, 5, 6], json!(7)));
        ensure!(page("limit=3&from_version=7")? == (vec![7], Value::Null));
        ensure!(page("from_version=2&to_version=3")? == (vec![2, 3], Value::Null));
        ensure!(page("from_version=8")? == (vec![], Value::Null));
        ensure!(page("until=2020-01-01T00:00:00Z")? == (vec![], Value::Null));
        ensure!(page("since=2020-01-01T00:00:00Z&limit=1")? == (vec![1], json!(2)));
        // Cut at a time that an event has: from it on, and before it.
        let body = api.aggregates(&format!("/{}/a%2Fb/events", accounts.name))?.body;
        let times: Vec<&str> = body["events"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|event| event["time"].as_str())
            .collect();
        let last = *times.last().context("an event has a time")?;
        let before = times.iter().position(|time| *time == last).unwrap_or_default() as u64;
        ensure!(before > 0, "all events are of one time: {times:?}");
        ensure!(page(&format!("since={last}"))? == ((before + 1..=7).collect(), Value::Null));
        ensure!(page(&format!("until={last}"))? == ((1..=before).collect(), Value::Null));
        let body = api.aggregates(&format!("/{}/a%2Fb/events?limit=1", accounts.name))?.body;
        let event = &body["events"][0];
        ensure!(
            event["correlation"] == "c-1" && event["time"].is_string() && event["id"].is_string(),
            "{event}"
        );

        for id in ["b", "c"] {
            accounts.deposit(&api, id, 1)?;
        }
        let list = expect(api.aggregates(&format!("/{}?limit=2", accounts.name))?, 200)?;
        ensure!(
            list["aggregates"] == json!([{ "id": "a/b", "version": 7 }, { "id": "b", "version": 1 }]),
            "{list}"
        );
        ensure!(list["next"] == "b", "{list}");
        let rest = expect(api.aggregates(&format!("/{}?limit=2&after=b", accounts.name))?, 200)?;
        ensure!(
            rest["aggregates"] == json!([{ "id": "c", "version": 1 }]) && rest["next"].is_null(),
            "{rest}"
        );
        let types = expect(api.aggregates("")?, 200)?;
        ensure!(
            types["types"][0]["type"] == accounts.name && types["types"][0]["state"] == "live",
            "{types}"
        );
        ensure!(host.terminate()?.success());
        Ok(())
    })
}
