//! What was written is seen by who waits for it.

use anyhow::{Context, Result, ensure};
use lantern_tests::client;
use lantern_tests::guest::{plugin, unique_topic};
use lantern_tests::http;
use lantern_tests::log::each_log;
use lantern_tests::site::{Site, transcript};
use lantern_tests::whole::ledger_site;
use serde_json::json;

use crate::{append, query};

const COUNT: &str = "SELECT count(*) FROM entries";

// Whoever has just ordered must not be told that there is no order.
#[test]
fn a_query_with_a_position_sees_everything_before_it() -> Result<()> {
    each_log(|log| {
        let (site, topic) = ledger_site(log, "own-writes")?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, 2)?;
        host.await_plugin("ledger", "has applied what there is", |it| it["state"] == "live")?;
        for number in 1..=60 {
            let position = append(&site, &topic, &format!("key-{}", number % 5), "{}")?;
            let raw = match number % 2 {
                0 => query(&site, &format!("Lantern-Position: {position}\r\n"), &json!({ "sql": COUNT }))?,
                _ => query(&site, "", &json!({ "sql": COUNT, "wait_for": position }))?,
            };
            ensure!(raw.status == 200, "{raw:?}");
            let answer = raw.json()?;
            ensure!(answer["rows"] == json!([[number]]), "number {number}, after {position}: {answer}");
            let shown = raw.header("lantern-position").context("an answer without its position")?;
            ensure!(answer["position"] == shown && shown.contains(&topic), "{raw:?}");
        }
        // The same by the command, and across a deployment of other tables.
        let position = append(&site, &topic, "key-1", "{}")?;
        let output = site.lantern(["query", "ledger", COUNT, "--json", "--wait-for", &position])?.output()?;
        ensure!(String::from_utf8_lossy(&output.stdout).contains("[[61]]"), "{}", transcript(&output));
        let api = site.api();
        api.deploy(&plugin("tally", "ledger", &[&topic])?)?.ok()?;
        for number in 62..=90 {
            let position = append(&site, &topic, "key-2", "{}")?;
            // Whichever generation is live.
            let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'entries'";
            let raw = query(&site, "", &json!({ "sql": sql, "wait_for": position }))?;
            let sql = if raw.json()?["rows"] == json!([[1]]) {
                COUNT
            } else {
                "SELECT sum(events) FROM partitions"
            };
            let raw = query(&site, "", &json!({ "sql": sql, "wait_for": position }))?;
            // It may have been promoted between the two.
            ensure!(raw.status == 400 || raw.json()?["rows"] == json!([[number]]), "{number}: {raw:?}");
        }
        ensure!(host.terminate()?.success());
        Ok(())
    })
}

// Who waits in vain must be told so in time, how far it is, and why.
#[test]
fn a_position_that_does_not_come_is_told_with_how_far_it_is() -> Result<()> {
    each_log(|log| {
        let (site, topic) = ledger_site(log, "behind")?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, 1)?;
        host.await_plugin("ledger", "has applied what there is", |it| it["state"] == "live")?;
        let position = append(&site, &topic, "a", "{}")?;
        let ask = |position: &str, timeout_ms: u64| {
            query(&site, "", &json!({ "sql": COUNT, "wait_for": position, "timeout_ms": timeout_ms }))
        };
        ensure!(ask(&position, 10_000)?.status == 200);
        // Others' topics are nothing to wait for.
        ensure!(ask("elsewhere/0@99", 10_000)?.json()?["rows"] == json!([[1]]));
        ensure!(ask(&format!("elsewhere/0@99,{topic}/0@1"), 10_000)?.status == 200);

        let raw = ask(&format!("{topic}/0@9,elsewhere/3@1"), 200)?;
        let problem = raw.json()?;
        ensure!(raw.status == 504 && problem["type"] == "urn:lantern:behind", "{raw:?}");
        ensure!(problem["position"] == format!("{topic}/0@1"), "{problem}");
        ensure!(problem["missing"] == format!("{topic}/0@9"), "{problem}");
        ensure!(problem["detail"].as_str().is_some_and(|detail| detail.contains("it is live")), "{problem}");

        // A projection that is paused says so, and who waits sees it go on.
        site.api().act("ledger", "pause")?.ok()?;
        let position = append(&site, &topic, "a", "{}")?;
        let problem = ask(&position, 200)?.json()?;
        ensure!(
            problem["detail"].as_str().is_some_and(|detail| detail.contains("lantern resume ledger")),
            "{problem}"
        );
        let output = site
            .lantern(["query", "ledger", COUNT, "--wait-for", &position, "--timeout", "300"])?
            .output()?;
        ensure!(
            !output.status.success() && transcript(&output).contains("has not applied"),
            "{}",
            transcript(&output)
        );
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| ask(&position, 30_000));
            site.api().act("ledger", "resume")?.ok()?;
            let raw = waiting.join().map_err(|_| anyhow::anyhow!("the query panicked"))??;
            ensure!(raw.json()?["rows"] == json!([[2]]), "{raw:?}");
            anyhow::Ok(())
        })?;
        ensure!(host.terminate()?.success());
        // Nothing runs: what is there is there, and nothing will come.
        let output = site.lantern(["query", "ledger", COUNT, "--wait-for", &position])?.output()?;
        ensure!(output.status.success(), "{}", transcript(&output));
        let ahead = format!("{topic}/0@9");
        let output = site.lantern(["query", "ledger", COUNT, "--wait-for", &ahead])?.output()?;
        ensure!(transcript(&output).contains("nothing runs"), "{}", transcript(&output));
        Ok(())
    })
}

// People without a client of Kafka append what anybody else's consumer reads.
#[test]
fn events_of_every_form_are_appended_and_read_by_others() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("produced");
        let site = Site::new(log)?;
        let mut host = site.start()?;
        host.await_broker()?;
        host.await_http()?;
        let post = |query: &str, headers: &str, body: &str| {
            let target = format!("/v1/topics/{topic}/events{query}");
            http::send(site.http_address(), &http::request("POST", &target, headers, body.as_bytes()))
        };
        let structured = "Content-Type: application/cloudevents+json\r\n";
        let batch = "Content-Type: application/cloudevents-batch+json; charset=utf-8\r\n";
        let event = |id: &str| json!({ "specversion": "1.0", "id": id, "source": "/s", "type": "paid", "partitionkey": "k", "data": { "n": id } });
        let raw = post("", structured, &event("1").to_string())?;
        ensure!(raw.status == 404 && raw.json()?["type"] == "urn:lantern:unknown-topic", "{raw:?}");
        let raw = post("?create=true&partitions=3", structured, &event("1").to_string())?;
        ensure!(raw.status == 200, "{raw:?}");
        let raw = post("", batch, &json!([event("2"), event("3")]).to_string())?;
        ensure!(raw.json()?["events"].as_array().is_some_and(|events| events.len() == 2), "{raw:?}");
        let binary = "Content-Type: text/plain\r\nce-type: noted\r\nce-id: 4\r\nce-source: /s\r\nce-specversion: 1.0\r\n";
        ensure!(post("?key=k", binary, "hello")?.status == 200);
        let raw = post("?type=plain&key=k", "Content-Type: application/json\r\n", "{\"n\": 1.0}")?;
        ensure!(raw.status == 200, "{raw:?}");

        let records = client::read_committed(site.address(), &topic)?;
        ensure!(records.len() == 3, "three partitions");
        let values: Vec<String> = records
            .values()
            .flatten()
            .filter(|record| record.key.as_deref() == Some(b"k"))
            .map(|record| String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned())
            .collect();
        // As they were sent, in their order.
        let expected = [r#"{"n":"1"}"#, r#"{"n":"2"}"#, r#"{"n":"3"}"#, "hello", r#"{"n": 1.0}"#];
        ensure!(values == expected, "{values:?}");
        ensure!(host.terminate()?.success());
        Ok(())
    })
}
