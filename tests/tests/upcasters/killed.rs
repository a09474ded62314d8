//! Kills in the middle of changes.

use crate::{Shop, ledger, modern, site};
use anyhow::{Context, Result};
use lantern_tests::log::each_log;
use lantern_tests::seed::seeded;
use rand::RngExt;
use std::thread;
use std::time::Duration;

/// How often the process is killed on each broker.
const KILLS: usize = 4;

// An upcaster is stored in one place and brought to read models in others: there must be no moment between them from which
// a start does not find its way to one upcaster for all, and to rows that are proved.
#[test]
fn rows_and_upcasters_are_of_one_mind_after_a_kill_in_the_middle_of_a_change() -> Result<()> {
    each_log(|log| {
        let (_, mut random) = seeded();
        let (site, topic) = site(log)?;
        let mut shop = Shop::open(&site, &topic, &["a", "b"])?;
        shop.api.deploy(&ledger("one", &topic, &[])?)?.done("started")?;
        shop.api.deploy(&ledger("two", &topic, &[])?)?.done("started")?;
        shop.api.deploy(&modern(&topic, &["mark:0"])?)?.done("started")?;
        for kill in 1..=KILLS {
            let words = [format!("mark:{kill}"), format!("state:{}", kill + 1)];
            let next = modern(&shop.topic, &words.each_ref().map(String::as_str))?;
            let digest = next.digest();
            let api = site.api();
            let asking = thread::spawn(move || api.deploy(&next));
            thread::sleep(Duration::from_millis(random.random_range(0..400)));
            let Shop { host, topic, .. } = shop;
            host.kill()?;
            // It may have been answered, or not.
            drop(asking.join());
            let mut host = site.start()?;
            host.await_broker()?;
            let api = host.await_http()?;
            shop = Shop { site: &site, host, api, topic };
            let now = shop.host.await_plugin("modern", "is there", |now| now["digest"].is_string())?;
            let is_taken = now["digest"] == digest;
            if !is_taken {
                shop.api.deploy(&modern(&shop.topic, &words.each_ref().map(String::as_str))?)?.ok()?;
            }
            let rows = [format!("today={kill}a"), format!("today={kill}b")];
            for name in ["one", "two"] {
                let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
                shop.await_rows(name, &rows).with_context(|| format!("kill {kill}, taken: {is_taken}"))?;
                shop.check_verified(name).with_context(|| format!("kill {kill}"))?;
            }
        }
        Ok(())
    })
}
