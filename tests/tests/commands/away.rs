//! A host whose log is away from the start.

use anyhow::{Result, ensure};
use lantern_tests::kafka::free_port;
use lantern_tests::site::Site;

use super::{Accounts, handler};

// "There is no such account" makes somebody open a second one: who has read nothing of the log must not say it.
#[test]
fn a_host_that_has_not_read_the_log_does_not_say_that_there_is_nothing() -> Result<()> {
    let accounts = Accounts::new("away");
    // Nobody listens there.
    let mut site = Site::on_kafka(&format!("127.0.0.1:{}", free_port()?))?;
    site.deploy(&accounts.handler(&[])?)?;
    let mut host = site.start()?;
    let api = host.await_http()?;
    for path in ["", "/ada", "/ada/events"] {
        let shown = api.aggregates(&format!("/{}{path}", accounts.name))?;
        ensure!(shown.status == 503 && shown.headers.contains_key("retry-after"), "{path}: {shown:?}");
        let detail = shown.body["detail"].as_str().unwrap_or_default();
        ensure!(detail.contains("known here") && detail.contains(&accounts.name), "{path}: {detail}");
    }
    let unknown = api.aggregates("/nothing/ada")?;
    ensure!(unknown.status == 404 && handler(&unknown) == "unknown", "{unknown:?}");
    ensure!(host.terminate()?.success());
    Ok(())
}
