//! Another plugin: between two commands, and never on states of another version.

use super::*;

fn source(site: &Site, state_version: u32, starts: bool) -> Box<InRust> {
    Box::new(InRust { state_version, made: Arc::clone(&site.made), starts })
}

// A state of the plugin before, read by the plugin after, would be read wrongly without anybody noticing.
#[test]
fn states_of_another_version_are_made_anew() {
    let site = Site::new();
    let account = site.start("one");
    for id in ["a", "b", "c"] {
        account.accepted(command(id, "Deposit", "5"));
    }
    assert_eq!(account.state("a").as_deref(), Some("{\"v1\":5}"));
    let swapped = site.runtime.block_on(account.handler.swap_with(source(&site, 2, true)));
    assert!(swapped.unwrap() < PATIENCE);
    // Touched by being shown, by a command, and all at once.
    assert_eq!(account.state("a").as_deref(), Some("{\"v2\":5}"));
    account.accepted(command("b", "Deposit", "1"));
    assert_eq!(account.state("b").as_deref(), Some("{\"v2\":6}"));
    let stored = |id: &str| {
        let aggregate = account.handler.reader().unwrap().show(id).unwrap().unwrap();
        (aggregate.state_version, String::from_utf8(aggregate.state.unwrap()).unwrap())
    };
    assert_eq!(stored("c"), (1, "{\"v1\":5}".to_owned()));
    assert_eq!(site.runtime.block_on(account.handler.refold()), Ok(1));
    assert_eq!(stored("c"), (2, "{\"v2\":5}".to_owned()));
    assert_eq!(stored("a"), (2, "{\"v2\":5}".to_owned()));
    let status = account.handler.status().borrow().clone();
    assert_eq!((status.state_version, status.digest.as_str()), (2, "digest of 2"));
    account.stop();
}

// An aggregate is folded however much there is of it: in pieces that memory takes, and in smaller ones where the plugin cannot.
#[test]
fn an_aggregate_of_many_large_events_is_folded_anew() {
    let site = Site::new();
    let account = site.start("one");
    for _ in 0..20 {
        account.accepted(command("a", "Pad", "800000"));
    }
    account.accepted(command("a", "Deposit", "5"));
    let made = site.made.load(Ordering::Relaxed);
    site.runtime.block_on(account.handler.swap_with(source(&site, 2, true))).unwrap();
    assert_eq!(account.state("a").as_deref(), Some("{\"v2\":5}"));
    // The first piece was too much for it, and only that.
    assert_eq!(site.made.load(Ordering::Relaxed), made + 2);
    account.stop();
}

#[test]
fn a_plugin_that_does_not_start_does_not_take_over() {
    let site = Site::new();
    let account = site.start("one");
    account.accepted(command("a", "Deposit", "5"));
    let swapped = site.runtime.block_on(account.handler.swap_with(source(&site, 2, false)));
    assert!(matches!(swapped, Err(Error::Plugin { .. })), "{swapped:?}");
    account.accepted(command("a", "Deposit", "5"));
    assert_eq!(account.state("a").as_deref(), Some("{\"v1\":10}"));
    account.stop();
}

// None is lost and none is decided by a mixture, however often the plugin changes under load.
#[test]
fn commands_under_way_are_decided_by_one_plugin_or_the_other() {
    let site = Site::new();
    let account = site.start("one");
    let handler = account.handler.clone();
    let clients: Vec<_> = (0..8)
        .map(|client| {
            let handler = handler.clone();
            site.runtime.spawn(async move {
                for _ in 0..50 {
                    handler.submit(command(&format!("a{client}"), "Deposit", "1")).await.unwrap();
                }
            })
        })
        .collect();
    for version in 2..12 {
        site.runtime.block_on(handler.swap_with(source(&site, version, true))).unwrap();
    }
    for client in clients {
        site.runtime.block_on(client).unwrap();
    }
    for client in 0..8 {
        assert_eq!(account.state(&format!("a{client}")).as_deref(), Some("{\"v11\":50}"));
    }
    account.stop();
}
