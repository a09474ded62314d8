//! Upcasters that cannot upcast.

use crate::{Shop, ledger, modern, site};
use anyhow::{Result, ensure};
use lantern_tests::log::each_log;

// Promises 3, 6 and 9. An event that cannot be upcast is nobody else's: whoever reads the topic halts at it, says so, and
// goes on there when the upcaster is mended.
#[test]
fn a_projection_halts_where_its_upcaster_fails_and_goes_on_when_that_is_mended() -> Result<()> {
    each_log(|log| {
        let (site, topic) = site(log)?;
        let mut shop = Shop::open(&site, &topic, &["a"])?;
        let odd = modern(&topic, &["mark:1", "odd:fails"])?;
        shop.api.deploy(&odd)?.done("started")?;
        shop.api.deploy(&ledger("ledger", &topic, &[])?)?.done("started")?;
        shop.await_rows("ledger", &["today=1a"])?;
        shop.produce(&["odd", "b"])?;
        let place = format!("{topic}/0@1");
        let words = ["the upcaster modern cannot upcast", &place, "too odd", "lantern rollback modern"];
        shop.host.await_error("ledger", &words)?;
        shop.await_rows("ledger", &["today=1a"])?;
        // The same rows as far as there are any: the mended one takes over where it halted.
        shop.api.deploy(&modern(&topic, &["mark:1", "version:2"])?)?.done("swapped")?;
        let all = ["today=1a", "today=1odd", "today=1b"];
        shop.await_rows("ledger", &all)?;
        shop.check_verified("ledger")?;

        // One that fails at events that there are never takes over, whatever it does to fail.
        for fault in ["odd:fails", "odd:traps"] {
            let refused = shop.api.deploy(&modern(&topic, &["mark:3", "state:3", fault])?)?.refused()?;
            let says =
                ["nothing has changed", "too odd", place.as_str()].iter().all(|part| refused.contains(part));
            ensure!(says, "{refused}");
        }
        let refused = shop.api.act("modern", "rollback")?.refused()?;
        ensure!(refused.contains("too odd"), "it would go back to the one that failed: {refused}");
        ensure!(shop.await_rows("ledger", &all)? == 1, "nothing was rebuilt");
        Ok(())
    })
}
