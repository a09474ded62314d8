//! Logs that are not there, or not as they were, and events that are not in their envelope.

use anyhow::{Context, Result, ensure};
use lantern_tests::client::{self, NewRecord};
use lantern_tests::fold::check_ledger;
use lantern_tests::guest::{plugin, unique_topic};
use lantern_tests::kafka::Kafka;
use lantern_tests::log::{Log, each_log, on};
use lantern_tests::site::{Site, transcript};
use lantern_tests::whole::{await_whole, entries, ledger_site, start_filled};

// One producer's mistake must not be guessed at: the projection stops at the event, and goes on
// when it is told another place for the type.
#[test]
fn a_payload_that_is_not_json_halts_with_its_coordinates_and_goes_on_when_configured() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("not-json");
        let in_json = r#"{ kind = "json-field", field = "type" }"#;
        let mut site = Site::new(log)?.with_settings(&format!(
            "[projections.ledger]
envelope = {in_json}"
        ))?;
        site.deploy(&plugin("ledger", "ledger", &[&topic])?)?;
        site.deploy(&plugin("ledger", "other", &[&topic])?)?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, 1)?;
        let not_json = NewRecord { value: Some(b"{\"type\"".to_vec()), ..NewRecord::default() };
        let records = entries(0, 0..10).chain([not_json]).chain(entries(0, 11..20));
        client::produce(site.address(), &topic, records)?;
        host.await_error("ledger", &[&topic, "partition 0", "offset 10", "JSON"])?;
        let records = await_whole(&mut host, &site, "other", &topic)?;
        let there = site.read_model("ledger")?.checkpoints(&topic)?;
        ensure!(there.get(&0) == Some(&10), "it stopped at {there:?}");
        host.terminate()?;

        // One pass by itself comes to the same end, and its status says so to a script.
        let output = site.run_once()?;
        let said = transcript(&output);
        ensure!(!output.status.success() && said.contains("offset 10"), "{said}");

        let site = site.with_replaced(in_json, r#"{ kind = "topic" }"#)?;
        let output = site.run_once()?;
        ensure!(output.status.success(), "{}", transcript(&output));
        check_ledger(&site.read_model("ledger")?, &topic, &records)?;
        Ok(())
    })
}

// A deployment may be quicker than whoever creates its topics.
#[test]
fn a_missing_topic_is_named_and_read_from_its_start_when_it_comes() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("late");
        let mut site = Site::new(log)?;
        site.deploy(&plugin("ledger", "ledger", &[&topic])?)?;
        let mut host = site.start()?;
        host.await_error("ledger", &[&topic, "topic"])?;
        client::create_topic(site.address(), &topic, 2)?;
        client::produce(site.address(), &topic, entries(1, 0..30))?;
        await_whole(&mut host, &site, "ledger", &topic)?;
        Ok(())
    })
}

// A topic that gets more partitions while it is read is read whole: also what is written to them before anybody has looked.
#[test]
fn a_partition_that_is_added_is_applied_from_its_start_and_can_be_verified() -> Result<()> {
    each_log(|log| {
        let (site, topic) = ledger_site(log, "grows")?;
        let mut host = start_filled(&site, &topic, 1, entries(0, 0..10))?;
        let grown = site.lantern(["topics", "alter", &topic, "--partitions", "3"])?.output()?;
        ensure!(grown.status.success(), "{}", transcript(&grown));
        // Until its new partitions are given out.
        client::create_topic(site.address(), &topic, 3)?;
        let new = entries(0, 10..20).chain(entries(1, 0..10)).chain(entries(2, 0..10));
        client::produce(site.address(), &topic, new)?;
        let records = await_whole(&mut host, &site, "ledger", &topic)?;
        ensure!(records.values().map(Vec::len).sum::<usize>() == 40, "not all of it was written");
        let verified = site.lantern(["verify", "ledger"])?.output()?;
        ensure!(verified.status.success(), "{}", transcript(&verified));
        Ok(())
    })
}

// Who deletes a topic by mistake makes it anew or restores it; nothing has to be restarted for that. What comes then is not what
// the read model is of, and that is not passed over either.
#[test]
fn a_topic_that_is_deleted_under_a_projection_is_waited_for_and_not_mistaken_for_another() -> Result<()> {
    each_log(|log| {
        let (site, topic) = ledger_site(log, "deleted")?;
        let mut host = start_filled(&site, &topic, 1, entries(0, 0..10))?;
        let deleted = site.lantern(["topics", "delete", &topic, "--yes"])?.output()?;
        ensure!(deleted.status.success(), "{}", transcript(&deleted));
        let error = host.await_error("ledger", &["no topic", &topic])?;
        let state = site.projection("ledger")?.context("it has no status")?;
        ensure!(state["state"] == "paused", "{error}: {state}");
        client::create_topic(site.address(), &topic, 1)?;
        host.await_error("ledger", &["truncated", &topic, "10"])?;
        Ok(())
    })
}

// Machines start in any order.
#[test]
fn a_broker_that_comes_after_lantern_is_waited_for() -> Result<()> {
    on(&Log::Embedded, |log| {
        let mut broker = Site::new(log)?;
        broker.deploy(&plugin("tally", "idle", &["none"])?)?;
        let mut serving = None;
        check_waiting(broker.address(), || {
            let mut host = broker.start()?;
            host.await_broker()?;
            serving = Some(host);
            Ok(())
        })
    })?;
    let Some(kafka) = Kafka::start()? else { return Ok(()) };
    kafka.kill();
    on(&Log::Kafka(&kafka), |_| check_waiting(&kafka.address(), || kafka.restart()))
}

fn check_waiting(address: &str, start_broker: impl FnOnce() -> Result<()>) -> Result<()> {
    let topic = unique_topic("waited-for");
    let mut site = Site::on_kafka(address)?;
    site.deploy(&plugin("ledger", "ledger", &[&topic])?)?;
    let mut host = site.start()?;
    host.await_error("ledger", &[address, "broker"])?;
    start_broker()?;
    client::create_topic(address, &topic, 2)?;
    client::produce(address, &topic, entries(0, 0..30).chain(entries(1, 0..30)))?;
    await_whole(&mut host, &site, "ledger", &topic)?;
    Ok(())
}

// Retention that is shorter than an outage deletes events that were never applied. Going on
// silently would leave a read model that is the fold of nothing.
#[test]
fn a_log_truncated_under_a_read_model_halts_it_and_is_gone_on_with_only_when_told_to() -> Result<()> {
    each_log(|log| {
        let (topic, other) = (unique_topic("truncated"), unique_topic("whole"));
        let mut site = Site::new(log)?;
        site.deploy(&plugin("ledger", "ledger", &[&topic])?)?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, 2)?;
        client::create_topic(site.address(), &other, 1)?;
        client::produce(site.address(), &topic, entries(0, 0..40).chain(entries(1, 0..40)))?;
        let mut applied = await_whole(&mut host, &site, "ledger", &topic)?;
        host.terminate()?;

        // The log goes on while the ledger is away.
        site.undeploy("ledger");
        site.deploy(&plugin("ledger", "other", &[&other])?)?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::produce(site.address(), &topic, entries(0, 40..80))?;
        client::produce(site.address(), &other, entries(0, 0..10))?;
        client::delete_records(site.address(), &topic, 0, 60)?;
        host.terminate()?;

        site.deploy(&plugin("ledger", "ledger", &[&topic])?)?;
        let mut host = site.start()?;
        host.await_broker()?;
        let error = host.await_error("ledger", &["truncated", &topic, "40", "60"])?;
        let state = site.projection("ledger")?.context("it has no status")?;
        ensure!(state["state"] == "halted", "{error}: {state}");
        await_whole(&mut host, &site, "other", &other)?;
        let there = site.read_model("ledger")?.checkpoints(&topic)?;
        ensure!(there.get(&0) == Some(&40), "the checkpoint went from 40 to {there:?}");
        host.terminate()?;

        // Whoever would rather have the rest has it, behind the rows that are there.
        let site = site.with_settings("[projections.ledger]\non_truncated = \"earliest\"")?;
        let mut host = site.start()?;
        host.await_broker()?;
        host.await_said("going on at 60, as on_truncated says")?;
        host.await_checkpoint("ledger", &topic, &[(0, 80), (1, 40)])?;
        let left = client::read_committed(site.address(), &topic)?;
        ensure!(left[&0].len() == 20 && left[&1].len() == 40, "{} and {}", left[&0].len(), left[&1].len());
        applied.entry(0).or_default().extend(left[&0].iter().cloned());
        let events = check_ledger(&site.read_model("ledger")?, &topic, &applied)?;
        ensure!(events == 100, "{events} events are applied");
        Ok(())
    })
}
