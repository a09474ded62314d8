//! Promotions and swaps that the catalog cannot take note of.

use std::fs;

use anyhow::{Result, ensure};
use lantern_tests::client;
use lantern_tests::generations::Files;
use lantern_tests::guest::{Plugin, plugin, unique_topic};
use lantern_tests::log::each_log;
use lantern_tests::site::{Host, Site, transcript};
use lantern_tests::whole::{await_whole, entries};
use rusqlite::Connection;
use serde_json::Value;

use crate::ledger;

/// What the catalog says when it takes note of nothing.
const REASON: &str = "there is no more room";
const REFUSE: &str = "
    CREATE TRIGGER refuse_new BEFORE INSERT ON plugins BEGIN SELECT RAISE(ABORT, 'there is no more room'); END;
    CREATE TRIGGER refuse_change BEFORE UPDATE ON plugins BEGIN SELECT RAISE(ABORT, 'there is no more room'); END";
const ALLOW: &str = "DROP TRIGGER refuse_new; DROP TRIGGER refuse_change";

/// A ledger that runs, and goes on running.
struct Running<'s> {
    site: &'s Site,
    host: Host<'s>,
    topic: String,
    events: u32,
}

impl Running<'_> {
    /// This plugin is live in this generation, applies what comes, and nothing is left of what was tried.
    fn check_goes_on(&mut self, plugin: &Plugin, generation: i64) -> Result<()> {
        let now = self.check_applies(plugin, generation)?;
        Files::of(self.site, "ledger")?.check(&now)
    }

    /// This plugin is live in this generation, and applies what comes; answers what the host says of it.
    fn check_applies(&mut self, plugin: &Plugin, generation: i64) -> Result<Value> {
        let numbers = self.events..self.events + 20;
        self.events = numbers.end;
        let records = entries(0, numbers.clone()).chain(entries(1, numbers));
        client::produce(self.site.address(), &self.topic, records)?;
        await_whole(&mut self.host, self.site, "ledger", &self.topic)?;
        let now = self.site.api().plugin("ledger")?.ok()?;
        ensure!(now["digest"] == plugin.digest() && now["generation"] == generation, "{now:#}");
        Ok(now)
    }
}

// The disk may be full just when a new version takes over. Nothing may stop then, nothing may be live that a restart does
// not know of, and when there is room again, what was built must not be lost.
#[test]
fn what_the_catalog_cannot_take_note_of_does_not_take_over_and_does_when_it_can() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("noted");
        let site = Site::new(log)?;
        let (first, second, third) = (ledger(&topic, 1)?, ledger(&topic, 2)?, ledger(&topic, 3)?);
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, 2)?;
        let api = host.await_http()?;
        api.deploy(&first)?.done("started")?;
        let mut running = Running { site: &site, host, topic: topic.clone(), events: 0 };
        running.check_goes_on(&first, 1)?;
        let catalog = Connection::open(site.data().join("lantern.db"))?;

        // Promoted by itself: whoever waits for it is told why it is not, and it is tried again.
        catalog.execute_batch(REFUSE)?;
        let file = site.data().join("second.wasm");
        fs::write(&file, &second.wasm)?;
        let output = site.lantern(["deploy", file.to_str().unwrap_or_default()])?.output()?;
        let said = transcript(&output);
        ensure!(output.status.code() == Some(1) && said.contains(REASON), "it should say why: {said}");
        let now = api.plugin("ledger")?.ok()?;
        let is_told = |error: &Value| error.as_str().is_some_and(|error| error.contains(REASON));
        ensure!(now["rebuild"]["state"] == "ready" && is_told(&now["rebuild"]["error"]), "{now:#}");
        running.check_goes_on(&first, 1)?;
        catalog.execute_batch(ALLOW)?;
        let is_second = |now: &Value| now["digest"] == second.digest() && now["rebuild"].is_null();
        running.host.await_plugin("ledger", "is promoted when there is room", is_second)?;
        running.check_goes_on(&second, 2)?;

        // Promoted by hand.
        api.preview(&third)?.done("previewing")?;
        let is_compared = |now: &Value| now["rebuild"]["changes"].is_object();
        running.host.await_plugin("ledger", "is compared", is_compared)?;
        catalog.execute_batch(REFUSE)?;
        let reason = api.act("ledger", "promote")?.refused()?;
        ensure!(reason.contains(REASON) && reason.contains("stays live"), "{reason}");
        running.check_goes_on(&second, 2)?;
        catalog.execute_batch(ALLOW)?;
        api.act("ledger", "promote")?.done("promoted")?;
        running.check_goes_on(&third, 3)?;

        // Swapped.
        let swapped = plugin("ledger", "ledger", &[&topic, "state:3", "version:2"])?;
        catalog.execute_batch(REFUSE)?;
        let reason = api.deploy(&swapped)?.refused()?;
        ensure!(reason.contains(REASON), "{reason}");
        running.check_goes_on(&third, 3)?;
        catalog.execute_batch(ALLOW)?;
        api.deploy(&swapped)?.done("swapped")?;
        // While it is on trial, the generation before is kept.
        running.check_applies(&swapped, 3)?;
        ensure!(running.host.terminate()?.success());
        let output = site.lantern(["verify", "ledger"])?.output()?;
        ensure!(output.status.success(), "it is not its replay: {}", transcript(&output));
        Ok(())
    })
}
