//! What people ask of a plugin that runs: go back, begin anew, pause, remove.

use anyhow::{Context, Result, ensure};
use lantern_tests::api::Api;
use lantern_tests::client;
use lantern_tests::fold::check_ledger;
use lantern_tests::generations::{self, Files};
use lantern_tests::guest::{Plugin, plugin, unique_topic};
use lantern_tests::log::{Log, each_log};
use lantern_tests::site::{Host, Site};
use lantern_tests::whole::{await_whole, entries};
use serde_json::Value;

use crate::ledger;

/// A site on which `ledger` is deployed by HTTP, and the host that runs on it.
struct Shop<'s> {
    site: &'s Site,
    host: Host<'s>,
    api: Api,
    topic: String,
    /// How many events there are.
    events: u32,
}

impl<'s> Shop<'s> {
    /// Starts it with some events applied by this plugin.
    fn open(site: &'s Site, topic: &str, first: &Plugin) -> Result<Self> {
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), topic, 2)?;
        let api = host.await_http()?;
        api.deploy(first)?.done("started")?;
        let mut shop = Shop { site, host, api, topic: topic.to_owned(), events: 0 };
        shop.sell()?;
        Ok(shop)
    }

    /// More events come, and the live generation is the fold of all.
    fn sell(&mut self) -> Result<()> {
        let numbers = self.events..self.events + 30;
        self.events = numbers.end;
        let records = entries(0, numbers.clone()).chain(entries(1, numbers));
        client::produce(self.site.address(), &self.topic, records)?;
        await_whole(&mut self.host, self.site, "ledger", &self.topic).map(drop)
    }

    /// Waits until this plugin is live, with nothing built beside it.
    fn await_live(&mut self, plugin: &Plugin) -> Result<Value> {
        self.host.await_plugin("ledger", "is live", |now| {
            now["digest"] == plugin.digest() && now["rebuild"].is_null()
        })
    }

    /// This plugin is live in this generation, answers queries with it, and all files belong to something.
    fn check_live(&self, plugin: &Plugin, generation: i64) -> Result<()> {
        let now = self.api.plugin("ledger")?.ok()?;
        ensure!(now["digest"] == plugin.digest() && now["generation"] == generation, "{now:#}");
        Files::of(self.site, "ledger")?.check(&now)?;
        let rows = self.api.query("ledger", "SELECT count(*) FROM entries")?;
        ensure!(rows.generation == generation, "queries are answered by generation {}", rows.generation);
        Ok(())
    }

    fn restart(self) -> Result<Self> {
        let Shop { site, host, topic, events, .. } = self;
        host.kill()?;
        let mut host = site.start()?;
        host.await_broker()?;
        let api = host.await_http()?;
        Ok(Shop { site, host, api, topic, events })
    }
}

fn each_shop(
    first: impl Fn(&str) -> Result<Plugin> + Sync,
    test: impl Fn(Shop<'_>) -> Result<()> + Sync,
) -> Result<()> {
    each_log(|log: &Log<'_>| {
        let topic = unique_topic("asked");
        let site = Site::new(log)?;
        let first = first(&topic)?;
        test(Shop::open(&site, &topic, &first)?)
    })
}

// Whoever sees that a new version is wrong goes back first and asks why later.
#[test]
fn a_rollback_after_a_swap_runs_the_earlier_plugin_on_the_same_rows() -> Result<()> {
    each_shop(
        |topic| plugin("ledger", "ledger", &[topic]),
        |mut shop| {
            let old = plugin("ledger", "ledger", &[&shop.topic])?;
            let new = plugin("ledger", "ledger", &[&shop.topic, "version:2"])?;
            shop.api.deploy(&new)?.done("swapped")?;
            shop.sell()?;
            // Forth and back, as often as somebody likes.
            for expected in [&old, &new, &old] {
                shop.api.act("ledger", "rollback")?.done("rolled-back")?;
                shop.check_live(expected, 1)?;
                shop.sell()?;
            }
            let mut shop = shop.restart()?;
            shop.await_live(&old)?;
            shop.sell()?;
            shop.check_live(&old, 1)
        },
    )
}

// The generation before is still there, so that going back takes no rebuild: it only applies what it has
// missed.
#[test]
fn a_rollback_after_a_promotion_is_at_once_and_goes_both_ways() -> Result<()> {
    each_shop(
        |topic| ledger(topic, 1),
        |mut shop| {
            let (old, new) = (ledger(&shop.topic, 1)?, ledger(&shop.topic, 2)?);
            shop.api.deploy(&new)?.done("rebuilding")?;
            shop.await_live(&new)?;
            shop.check_live(&new, 2)?;
            // The earlier generation is behind from here on.
            shop.sell()?;
            for (expected, generation) in [(&old, 1), (&new, 2), (&old, 1)] {
                let body = shop.api.act("ledger", "rollback")?.done("rolled-back")?;
                ensure!(body["generation"] == generation, "{body}");
                shop.check_live(expected, generation)?;
                ensure!(shop.site.read_model("ledger")?.number("SELECT state FROM total")? == generation);
                let records = client::read_committed(shop.site.address(), &shop.topic)?;
                await_whole(&mut shop.host, shop.site, "ledger", &shop.topic)?;
                check_ledger(&shop.site.read_model("ledger")?, &shop.topic, &records)?;
                shop.sell()?;
            }
            let mut shop = shop.restart()?;
            shop.await_live(&old)?;
            shop.check_live(&old, 1)?;
            shop.sell()?;
            // A third generation takes the place of the one that nobody went back to.
            let third = ledger(&shop.topic, 3)?;
            shop.api.deploy(&third)?.done("rebuilding")?;
            shop.await_live(&third)?;
            shop.check_live(&third, 3)?;
            let files = Files::of(shop.site, "ledger")?;
            ensure!(files.all == [1, 3].into(), "{files:?}");
            shop.sell()
        },
    )
}

#[test]
fn there_is_nothing_to_roll_back_or_promote_before_there_was_a_second_deployment() -> Result<()> {
    each_shop(
        |topic| ledger(topic, 1),
        |mut shop| {
            let first = ledger(&shop.topic, 1)?;
            for action in ["rollback", "promote"] {
                let reason = shop.api.act("ledger", action)?.refused()?;
                ensure!(reason.contains("ledger"), "{action}: {reason}");
            }
            ensure!(shop.api.act("nobody", "rollback")?.status == 404);
            shop.api.deploy(&first)?.done("unchanged")?;
            shop.check_live(&first, 1)?;
            shop.sell()
        },
    )
}

// A rebuild on request gives the same rows, of the same order; a reset begins with none.
#[test]
fn a_rebuild_on_request_equals_the_log_and_a_reset_begins_anew() -> Result<()> {
    each_shop(
        |topic| ledger(topic, 1),
        |mut shop| {
            let first = ledger(&shop.topic, 1)?;
            let order = |shop: &Shop<'_>| shop.site.read_model("ledger")?.entries(&shop.topic);
            let before = order(&shop)?;
            shop.api.act("ledger", "rebuild")?.done("rebuilding")?;
            shop.host.await_plugin("ledger", "is promoted", |now| now["generation"] == 2)?;
            ensure!(order(&shop)? == before, "the partitions were interleaved otherwise");
            shop.sell()?;
            shop.await_live(&first)?;
            shop.check_live(&first, 2)?;

            let body = shop.api.act("ledger", "reset")?.done("reset")?;
            ensure!(body["generation"] == 3, "{body}");
            await_whole(&mut shop.host, shop.site, "ledger", &shop.topic)?;
            shop.sell()?;
            shop.check_live(&first, 3)?;
            shop.api.act("ledger", "rollback")?.done("rolled-back")?;
            shop.check_live(&first, 2)?;
            await_whole(&mut shop.host, shop.site, "ledger", &shop.topic)?;
            shop.sell()
        },
    )
}

// Somebody who pauses a projection to look at its rows must find them as they were, also after a start.
#[test]
fn a_paused_projection_applies_nothing_until_it_is_resumed_also_after_a_start() -> Result<()> {
    each_shop(
        |topic| ledger(topic, 1),
        |shop| {
            let applied = |shop: &Shop<'_>| shop.site.read_model("ledger")?.checkpoints(&shop.topic);
            shop.api.act("ledger", "pause")?.done("paused")?;
            shop.api.act("ledger", "pause")?.done("unchanged")?;
            let before = applied(&shop)?;
            let more = entries(0, 1_000..1_030);
            client::produce(shop.site.address(), &shop.topic, more)?;
            let mut shop = shop.restart()?;
            let paused = |now: &Value| {
                now["state"] == "paused"
                    && now["error"].as_str().is_some_and(|error| error.contains("resume"))
            };
            shop.host.await_plugin("ledger", "is paused still", paused)?;
            // A plugin deployed meanwhile waits with it.
            let next = plugin("ledger", "ledger", &[&shop.topic, "state:1", "version:2"])?;
            shop.api.deploy(&next)?.done("swapped")?;
            shop.host.await_plugin("ledger", "is paused still", paused)?;
            ensure!(applied(&shop)? == before, "it has applied events while it was paused");
            shop.api.query("ledger", "SELECT count(*) FROM entries").context("a paused one is asked")?;

            shop.api.act("ledger", "resume")?.done("resumed")?;
            await_whole(&mut shop.host, shop.site, "ledger", &shop.topic)?;
            shop.api.act("ledger", "resume")?.done("unchanged")?;
            shop.sell()?;
            shop.await_live(&next).map(drop)
        },
    )
}

// Rows outlive their plugin until somebody says that they shall not.
#[test]
fn a_removed_plugin_leaves_its_rows_until_it_is_purged() -> Result<()> {
    each_shop(
        |topic| ledger(topic, 1),
        |shop| {
            let first = ledger(&shop.topic, 1)?;
            shop.api.remove("ledger", false)?.done("removed")?;
            client::produce(shop.site.address(), &shop.topic, entries(0, 1_000..1_030))?;
            let mut shop = shop.restart()?;
            shop.host.await_plugin("ledger", "is stopped still", |now| now["state"] == "stopped")?;
            let rows = shop.api.query("ledger", "SELECT count(*) FROM entries")?.rows;
            ensure!(rows == [[60]], "the rows that it left are {rows:?}");

            // It goes on where it was, when it is back.
            shop.api.deploy(&first)?.done("started")?;
            await_whole(&mut shop.host, shop.site, "ledger", &shop.topic)?;
            shop.check_live(&first, 1)?;

            shop.api.remove("ledger", true)?.done("removed")?;
            ensure!(!generations::folder(shop.site, "ledger").exists(), "its generations are still there");
            ensure!(shop.site.read_model("ledger").is_err(), "its link is still there");
            ensure!(shop.api.plugin("ledger")?.status == 404);
            let history = shop.api.history("ledger")?;
            ensure!(history.last().is_some_and(|last| last["result"] == "removed"), "{history:#?}");
            let mut shop = shop.restart()?;
            ensure!(shop.api.plugin("ledger")?.status == 404, "it is back after a start");
            shop.api.deploy(&first)?.done("started")?;
            shop.sell()?;
            shop.check_live(&first, 1)
        },
    )
}
