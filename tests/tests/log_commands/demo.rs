//! `lantern demo`, which is what people run first.

use std::sync::Mutex;

use anyhow::{Context, Result, anyhow, ensure};
use lantern_tests::log::{Log, each_log, on};
use lantern_tests::site::{Site, transcript};

/// As small as a shop can be that has all kinds of events.
const SHOP: [&str; 4] = ["--events", "2000", "--seed", "7"];

/// The tables of what the demo said, which it has compared with the events itself.
fn tables(said: &str) -> Result<String> {
    let (_, shown) = said.split_once("\nOrders\n").with_context(|| format!("no tables in {said}"))?;
    let (tables, _) = shown
        .split_once("The tables agree with totals that were counted without Lantern.")
        .with_context(|| format!("the tables were not compared: {said}"))?;
    ensure!(tables.contains("Best customers") && tables.contains("Best products"), "{tables}");
    Ok(tables.to_owned())
}

// The first minute decides whether there is a second one. And a shop that can be made again is one that can be talked about.
#[test]
fn the_demo_shows_the_same_shop_on_every_broker_and_leaves_when_told_to() -> Result<()> {
    let shown = Mutex::new(Vec::new());
    let keep = |said: &str| -> Result<()> {
        let tables = tables(said)?;
        shown.lock().map_err(|_| anyhow!("another run has failed"))?.push(tables);
        Ok(())
    };
    each_log(|log| {
        // As it is run: without a configured broker, or with one that a flag names.
        let site = Site::new(&Log::Embedded)?;
        let mut demo = site.lantern(["demo", "--once"])?;
        demo.args(SHOP);
        if let Log::Kafka(kafka) = log {
            demo.args(["--kafka", &kafka.address()]);
        }
        let output = demo.output()?;
        ensure!(output.status.success(), "{}", transcript(&output));
        keep(&String::from_utf8_lossy(&output.stdout))
    })?;
    on(&Log::Embedded, |log| {
        let site = Site::new(log)?;
        let mut demo = site.lantern(["demo"])?;
        demo.args(SHOP);
        let mut demo = site.start_command(demo)?;
        demo.await_said("Going on until Ctrl-C")?;
        demo.await_http()?;
        ensure!(demo.terminate()?.success(), "SIGTERM ends it well: {}", site.said());
        keep(&site.said())
    })?;
    let shown = shown.into_inner().map_err(|_| anyhow!("a run has failed"))?;
    ensure!(shown.len() > 1 && shown.iter().all(|tables| *tables == shown[0]), "{shown:#?}");
    Ok(())
}
