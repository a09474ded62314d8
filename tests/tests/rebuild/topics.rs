//! A new version that reads more topics than the one before.

use anyhow::{Context, Result, ensure};
use lantern_tests::client;
use lantern_tests::guest::{plugin, unique_topic};
use lantern_tests::log::each_log;
use lantern_tests::site::{Host, Site, transcript};
use lantern_tests::whole::{ends, entries};

// Whoever deploys a version that reads another topic looks at its tables the moment it is live. They must not be empty,
// and what was applied in an order that no journal had before must be repeatable.
#[test]
fn a_version_that_reads_another_topic_is_promoted_with_the_rows_of_that_topic() -> Result<()> {
    each_log(|log| {
        let (known, added) = (unique_topic("known"), unique_topic("added"));
        let mut site = Site::new(log)?;
        site.deploy(&plugin("tally", "tally", &[&known])?)?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &known, 2)?;
        client::create_topic(site.address(), &added, 3)?;
        client::produce(site.address(), &known, entries(0, 0..40))?;
        client::produce(site.address(), &added, entries(0, 0..30).chain(entries(2, 0..30)))?;
        // A partition whose last record nobody is shown has an end too.
        client::produce_aborted(site.address(), &added, 2)?;
        await_applied(&mut host, &site, &known)?;

        // While it is paused nothing but the rebuild can apply anything.
        let api = host.await_http()?;
        api.act("tally", "pause")?.done("paused")?;
        let both = plugin("tally", "tally", &[&known, &added, "state:2"])?;
        api.deploy(&both)?.done("rebuilding")?;
        host.await_plugin("tally", "is promoted", |now| now["generation"] == 2 && now["rebuild"].is_null())?;
        check_events(&site, &known, 40)?;
        check_events(&site, &added, 60)?;

        api.act("tally", "resume")?.done("resumed")?;
        client::produce(site.address(), &known, entries(1, 0..10))?;
        client::produce(site.address(), &added, entries(1, 0..10).chain(entries(2, 30..40)))?;
        for topic in [&known, &added] {
            await_applied(&mut host, &site, topic)?;
        }
        check_events(&site, &known, 50)?;
        check_events(&site, &added, 80)?;
        // What follows its journal finds all of it there.
        api.act("tally", "rebuild")?.done("rebuilding")?;
        host.await_plugin("tally", "is built anew", |now| {
            now["generation"] == 3 && now["rebuild"].is_null()
        })?;
        check_events(&site, &added, 80)?;
        ensure!(host.terminate()?.success());
        let output = site.lantern(["verify", "tally"])?.output()?;
        ensure!(output.status.success(), "it is not its replay: {}", transcript(&output));
        Ok(())
    })
}

fn await_applied(host: &mut Host<'_>, site: &Site, topic: &str) -> Result<()> {
    host.await_checkpoint("tally", topic, &ends(&client::read_committed(site.address(), topic)?))
}

fn check_events(site: &Site, topic: &str, expected: i64) -> Result<()> {
    let sum = format!("SELECT coalesce(sum(events), 0) FROM partitions WHERE topic = '{topic}'");
    let events = site.read_model("tally")?.number(&sum).context("the rows of a topic")?;
    ensure!(events == expected, "{topic} has {expected} events, and {events} are applied");
    Ok(())
}
