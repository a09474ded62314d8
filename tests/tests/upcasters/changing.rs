//! Deployed, replaced, removed, gone back to: the rows follow, and are proved.

use crate::{Shop, ledger, modern, site};
use anyhow::{Context, Result, ensure};
use lantern_tests::client;
use lantern_tests::guest::unique_topic;
use lantern_tests::log::each_log;
use lantern_tests::site::transcript;
use serde_json::json;

// A projection names the types of today. What was written before them must come to it all the same, and what it was
// turned away from must not come as if nothing had happened.
#[test]
fn old_events_arrive_as_todays_by_the_types_of_today() -> Result<()> {
    each_log(|log| {
        let (site, topic) = site(log)?;
        let mut shop = Shop::open(&site, &topic, &["a", "b"])?;
        shop.api.deploy(&modern(&topic, &["mark:new-"])?)?.done("started")?;
        shop.api.deploy(&ledger("all", &topic, &[])?)?.done("started")?;
        shop.api.deploy(&ledger("today", &topic, &["reads:today"])?)?.done("started")?;
        shop.api.deploy(&ledger("old", &topic, &[&format!("reads:{topic}")])?)?.done("started")?;
        shop.produce(&["c"])?;
        let expected = ["today=new-a", "today=new-b", "today=new-c"];
        shop.await_rows("all", &expected)?;
        shop.await_rows("today", &expected)?;
        shop.host.await_checkpoint("old", &topic, &[(0, 3)])?;
        shop.await_rows("old", &[])?;
        for name in ["all", "today", "old"] {
            shop.check_verified(name)?;
        }
        let shown = shop.api.plugin("modern")?.ok()?;
        ensure!(
            (&shown["kind"], &shown["state"], &shown["types"])
                == (&json!("upcaster"), &json!("active"), &json!([topic])),
            "{shown:#}"
        );
        Ok(())
    })
}

// Promise 4 for upcasters. Where one changes what old events mean, rows that were made of them are wrong; rows of other
// topics are not. And the journal must tell with whom each range was made, or nobody could prove the rows again.
#[test]
fn a_changed_upcaster_rebuilds_what_it_concerns_and_the_rows_are_proved() -> Result<()> {
    each_log(|log| {
        let (site, topic) = site(log)?;
        let other = unique_topic("other");
        let mut shop = Shop::open(&site, &topic, &["a"])?;
        client::create_topic(site.address(), &other, 1)?;
        client::produce(site.address(), &other, crate::records(&["x"]))?;
        shop.api.deploy(&ledger("ledger", &topic, &[])?)?.done("started")?;
        shop.api.deploy(&ledger("elsewhere", &other, &[])?)?.done("started")?;
        let old = format!("{topic}=a");
        ensure!(shop.await_rows("ledger", &[&old])? == 1);
        shop.await_rows("elsewhere", &[&format!("{other}=x")])?;

        let first = modern(&topic, &["mark:1"])?;
        shop.api.deploy(&first)?.done("started")?;
        ensure!(shop.await_rows("ledger", &["today=1a"])? == 2, "it is rebuilt beside the live one");
        shop.check_verified("ledger")?;

        // The same state version: from here on, and nothing is built.
        shop.api.deploy(&modern(&topic, &["mark:2"])?)?.done("swapped")?;
        shop.produce(&["b"])?;
        ensure!(shop.await_rows("ledger", &["today=1a", "today=2b"])? == 2, "it is swapped in");
        shop.check_verified("ledger")?;

        shop.api.deploy(&modern(&topic, &["mark:3", "state:2"])?)?.done("swapped")?;
        ensure!(shop.await_rows("ledger", &["today=3a", "today=3b"])? == 3);
        shop.api.act("modern", "rollback")?.done("rolled-back")?;
        ensure!(shop.await_rows("ledger", &["today=2a", "today=2b"])? == 4);
        shop.check_verified("ledger")?;

        shop.api.remove("modern", false)?.done("removed")?;
        let raw = [old.as_str(), &format!("{topic}=b")];
        ensure!(shop.await_rows("ledger", &raw)? == 5);
        shop.api.act("modern", "resume")?.done("resumed")?;
        ensure!(shop.await_rows("ledger", &["today=2a", "today=2b"])? == 6);
        // A projection goes back with the upcasters that its rows were made by.
        shop.api.act("ledger", "rollback")?.done("rolled-back")?;
        ensure!(shop.await_rows("ledger", &raw)? == 5);
        shop.api.act("ledger", "rollback")?.done("rolled-back")?;
        ensure!(shop.await_rows("ledger", &["today=2a", "today=2b"])? == 6);
        ensure!(shop.await_rows("elsewhere", &[&format!("{other}=x")])? == 1, "it reads another topic");

        let history = shop.api.history("ledger")?;
        let by = |entry: &serde_json::Value| entry["by"] == "the upcaster modern";
        ensure!(history.iter().filter(|entry| by(entry)).count() == 6, "{history:#?}");

        // From a start on it is as it was, without anything being built.
        let Shop { host, .. } = shop;
        ensure!(host.terminate()?.success());
        let mut host = site.start()?;
        let api = host.await_http()?;
        let mut shop = Shop { site: &site, host, api, topic };
        shop.produce(&["c"])?;
        ensure!(shop.await_rows("ledger", &["today=2a", "today=2b", "today=2c"])? == 6);
        shop.check_verified("ledger")?;

        // The last: an edit is found, as in any read model.
        ensure!(shop.host.terminate()?.success());
        let path = site.data().join("read-models/ledger.db");
        let edited = rusqlite::Connection::open(&path).context("the read model")?;
        edited.execute("UPDATE entries SET value = 'x' WHERE seq = 1", [])?;
        drop(edited);
        let output = site.lantern(["verify", "ledger", "--json"])?.output()?;
        let said = transcript(&output);
        ensure!(!output.status.success() && said.contains("\"edited\""), "{said}");
        Ok(())
    })
}

// What is written for the old type once and what an upcaster makes of it may be old for another. Which of two upcasters
// an event goes through must never be open.
#[test]
fn events_go_from_upcaster_to_upcaster_and_each_type_to_one() -> Result<()> {
    each_log(|log| {
        let (site, topic) = site(log)?;
        let mut shop = Shop::open(&site, &topic, &["a"])?;
        let next = |name: &str, words: &[&str]| lantern_tests::guest::plugin("modern", name, words);
        shop.api.deploy(&next("first", &[&topic, "to:second", "mark:1"])?)?.done("started")?;
        // Its own old type again: an event goes through each upcaster once.
        let second = next("second", &[&topic, "of:second", &format!("to:{topic}"), "mark:2"])?;
        shop.api.deploy(&second)?.done("started")?;
        let refused = shop.api.deploy(&next("third", &[&topic, "of:other", "of:second"])?)?.refused()?;
        let names_it = ["second", "the upcaster second already"].iter().all(|part| refused.contains(part));
        ensure!(names_it, "{refused}");
        let refused = shop.api.preview(&next("fourth", &[&topic, "of:x"])?)?.refused()?;
        ensure!(refused.contains("without --preview"), "{refused}");
        shop.api.deploy(&ledger("ledger", &topic, &[])?)?.done("started")?;
        shop.await_rows("ledger", &[&format!("{topic}=21a")])?;
        let refused = shop.api.deploy(&next("ledger", &[&topic, "of:x"])?)?.refused()?;
        ensure!(refused.contains("the name of a projection"), "{refused}");
        let refused = shop.api.act("first", "pause")?.refused()?;
        ensure!(refused.contains("lantern remove first"), "{refused}");
        Ok(())
    })
}
