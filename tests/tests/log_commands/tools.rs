//! Topics, records and groups, by commands on both brokers.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use lantern_tests::client::{self, NewRecord};
use lantern_tests::guest::{plugin, unique_topic};
use lantern_tests::log::{Log, each_log};
use lantern_tests::site::{Site, check};
use lantern_tests::wait::{self, DEAR_POLL_MS};
use serde_json::Value;

use super::broker;

// Who has no Kafka has none of Kafka's tools either, and who has both must not have to learn two ways.
#[test]
fn topics_are_made_shown_changed_and_deleted() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("made");
        let site = Site::new(log)?;
        let _broker = broker(&site, log)?;
        let create = ["topics", "create", &topic, "--partitions", "2", "--set", "cleanup.policy=compact"];
        check(&site, create, 0, &["created topic", "2 partitions"])?;
        check(&site, ["topics", "create", &topic], 1, &["exists already", "lantern topics alter"])?;
        check(&site, ["topics", "create", &topic, "--if-missing"], 0, &["stays as it is"])?;
        check(&site, ["topics", "create", "not a name"], 1, &["does not take the name"])?;
        check(&site, ["topics", "create", "odd", "--set", "no.such=1"], 1, &["does not take a setting"])?;
        check(&site, ["topics", "describe", &topic], 0, &["cleanup.policy", "compact", "topic"])?;
        check(
            &site,
            ["topics", "describe", "nowhere"],
            1,
            &["there is no topic `nowhere`", "lantern topics"],
        )?;
        let alter = ["topics", "alter", &topic, "--partitions", "3", "--set", "retention.ms=5000000"];
        check(&site, alter, 0, &["partitions 2 -> 3", "retention.ms = 5000000"])?;
        check(
            &site,
            ["topics", "alter", &topic, "--partitions", "3"],
            1,
            &["has 3 partitions", "only become more"],
        )?;
        let wrong = ["topics", "alter", &topic, "--set", "retention.m=5"];
        check(&site, wrong, 1, &["did you mean `retention.ms`?"])?;
        check(&site, ["topics", "alter", &topic], 1, &["nothing to change"])?;
        check(&site, ["topics", "alter", &topic, "--unset", "cleanup.policy"], 0, &["by default"])?;
        let shown = site.json(["topics", "describe", &topic])?;
        ensure!(shown["partitions"].as_array().map(Vec::len) == Some(3), "{shown}");
        let settings = shown["settings"].as_array().context("settings")?;
        let own: Vec<&Value> = settings.iter().filter(|it| it["source"] == "topic").collect();
        ensure!(
            own.len() == 1 && own[0]["name"] == "retention.ms" && own[0]["value"] == "5000000",
            "{shown}"
        );
        ensure!(site.json(["topics", "list"])?.to_string().contains(&topic), "it is listed");
        check(&site, ["topics", "delete", &topic], 1, &["3 partitions", "--yes"])?;
        check(&site, ["topics", "delete", &topic, "--yes"], 0, &["deleted topic"])?;
        // Apache Kafka has deleted it, and goes on to give it out for a moment.
        wait::until_every(DEAR_POLL_MS, "the topic is no longer listed", || {
            let listed = site.json(["topics", "list"])?.to_string();
            Ok((!listed.contains(&topic)).then_some(()))
        })?;
        check(&site, ["topics", "delete", &topic, "--yes"], 1, &["there is no topic"])?;
        Ok(())
    })
}

// What is printed is what is in the log: all of it, once, from where it was asked for, and nothing that was taken back.
#[test]
fn records_are_printed_from_and_to_where_it_is_asked_for() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("printed");
        let site = Site::new(log)?;
        let _broker = broker(&site, log)?;
        client::create_topic(site.address(), &topic, 2)?;
        let record = |number: i64, value: &str| NewRecord {
            partition: i32::try_from(number % 2).unwrap_or(0),
            key: Some(format!("k{}", number % 5).into_bytes()),
            value: Some(value.into()),
            headers: vec![("n".into(), number.to_string())],
            timestamp_ms: Some(1_700_000_000_000 + 1_000 * number),
        };
        client::produce(
            site.address(),
            &topic,
            (0..40).map(|number| record(number, &format!("{{\"n\": {number}.50}}"))),
        )?;
        let lines = |arguments: &[&str]| -> Result<Vec<Value>> {
            let all = [&["consume", &topic, "--json"], arguments].concat();
            check(&site, all, 0, &[])?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
        };
        let offsets = |arguments: &[&str], partition: i64| -> Result<Vec<i64>> {
            let lines = lines(arguments)?;
            let of = lines.iter().filter(|line| line["partition"] == partition);
            Ok(of.filter_map(|line| line["offset"].as_i64()).collect())
        };
        let expect = |arguments: &[&str], expected: std::ops::Range<i64>| -> Result<()> {
            for partition in [0, 1] {
                let found = offsets(arguments, partition)?;
                ensure!(found == expected.clone().collect::<Vec<_>>(), "{arguments:?}: {found:?}");
            }
            Ok(())
        };
        expect(&[], 0..20)?;
        expect(&["--from", "15"], 15..20)?;
        expect(&["--from", "-3"], 17..20)?;
        expect(&["--from", "end"], 0..0)?;
        expect(&["--from", "99"], 0..0)?;
        expect(&["--from", "2023-11-14T22:13:24Z", "--until", "2023-11-14T22:13:30Z"], 2..5)?;
        expect(&["--until", "4"], 0..4)?;
        ensure!(lines(&["--partition", "1"])?.len() == 20 && lines(&["--count", "7"])?.len() == 7);
        let one = lines(&["--key", "k3", "--partition", "1"])?;
        ensure!(one.len() == 4 && one.iter().all(|line| line["key"] == "k3"), "{one:?}");
        ensure!(one[0]["time"] == "2023-11-14T22:13:23.000Z", "{}", one[0]);
        ensure!(one[0]["headers"][0]["text"] == "3", "{}", one[0]);
        let values = check(&site, ["consume", &topic, "--values", "--key", "k3", "-p", "1"], 0, &[])?;
        ensure!(values.lines().next() == Some(r#"{"n":3.50}"#), "{values}");
        check(&site, ["consume", &topic, "-n", "1", "-p", "0"], 0, &["/0@0", "key k0", "  \"n\": 0.50"])?;
        check(&site, ["consume", &topic, "-p", "7"], 1, &["no partition 7", "0 to 1"])?;
        check(&site, ["consume", &topic, "--from", "soon"], 2, &["2026-01-31T08:00:00Z"])?;
        check(&site, ["consume", "nowhere"], 1, &["there is no topic `nowhere`"])?;

        // What comes later is followed, and whoever has seen enough closes the pipe.
        let mut following = site
            .lantern(["consume", &topic, "--follow", "--from", "-1", "-p", "0", "--values"])?
            .stdout(Stdio::piped())
            .spawn()?;
        let mut printed = BufReader::new(following.stdout.take().context("its output is piped")?).lines();
        ensure!(printed.next().context("the last record")?? == r#"{"n":38.50}"#);
        client::produce(site.address(), &topic, [record(40, "later")])?;
        ensure!(printed.next().context("what came later")?? == "later");
        drop(printed);
        client::produce(site.address(), &topic, [record(42, "unread")])?;
        ensure!(following.wait()?.success(), "a closed pipe is no error");
        Ok(())
    })
}

// Lag is the first thing that is asked of whoever reads a log, also of Lantern itself.
#[test]
fn groups_are_shown_with_their_lag_and_forgotten() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("grouped");
        let name = topic.clone();
        let group = format!("lantern-{name}");
        let mut site = Site::new(log)?;
        site.deploy(&plugin("tally", &name, &[&topic])?)?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, 2)?;
        let record = |number: i32| NewRecord {
            partition: number % 2,
            value: Some("x".into()),
            ..NewRecord::default()
        };
        client::produce(site.address(), &topic, (0..10).map(record))?;
        let lag = |site: &Site| -> Result<Option<Value>> {
            let groups = site.json(["groups"])?;
            Ok(groups.as_array().and_then(|all| all.iter().find(|it| it["name"] == *group)).cloned())
        };
        // What a read model tells the log is advice, and comes some time after its commit.
        host.until_every(DEAR_POLL_MS, "the group is at the end", || {
            let at_end = |it: &Value| it["lag"] == 0 && it["offsets"].as_array().map(Vec::len) == Some(2);
            Ok(lag(&site)?.filter(at_end).map(drop))
        })?;
        check(&site, ["groups", "describe", &group], 0, &[&topic, "lag 0"])?;
        host.terminate()?;
        site.undeploy(&name);
        let _broker = broker(&site, log)?;
        client::produce(site.address(), &topic, (0..6).map(record))?;
        ensure!(lag(&site)?.is_some_and(|it| it["lag"] == 6), "{:?}", lag(&site)?);
        check(&site, ["groups"], 0, &[&group])?;
        check(&site, ["groups", "describe", "nobody"], 1, &["there is no group nobody", "lantern groups"])?;
        check(&site, ["groups", "delete", &group], 1, &["--yes"])?;
        check(&site, ["groups", "delete", &group, "--yes"], 0, &["deleted group"])?;
        check(&site, ["groups", "describe", &group], 1, &["there is no group"])?;
        Ok(())
    })
}

// Two brokers on one folder would be two logs; who is refused must know whom to stop.
#[test]
fn a_broker_alone_has_the_folder_and_lets_other_commands_in() -> Result<()> {
    let site = Site::new(&Log::Embedded)?;
    let mut broker = site.start_command(site.lantern(["broker"])?)?;
    broker.await_broker()?;
    for second in [["broker"], ["run"]] {
        check(&site, second, 1, &["in use by process", "`lantern broker`"])?;
    }
    check(&site, ["topics", "create", "a"], 0, &["created topic a"])?;
    ensure!(broker.terminate()?.success(), "SIGTERM ends it well");
    check(&site, ["topics"], 0, &["a"])?;
    let mut configured = site.lantern(["broker"])?;
    let output = configured.env("LANTERN_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9").output()?;
    let said = lantern_tests::site::transcript(&output);
    ensure!(!output.status.success() && said.contains("names the broker 127.0.0.1:9"), "{said}");
    Ok(())
}
