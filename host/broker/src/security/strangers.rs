//! Bounds on who has not said yet who he is: how many connections an address has at a time, and how often it is
//! told that a password was wrong.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::poison::lock;

/// Connections of one address that are not authenticated. More are closed at once; a client tries again.
const CONNECTIONS_MAX: usize = 64;
/// Between two answers to one address that a password was wrong. Since a connection waits for its own, this
/// bounds how many passwords an address can try.
const REFUSAL_PAUSE: Duration = Duration::from_millis(100);

/// The addresses that strangers connect from. There are no more of them than connections.
#[derive(Debug, Default)]
pub(crate) struct Strangers(Mutex<HashMap<IpAddr, Address>>);

#[derive(Debug)]
struct Address {
    connections: usize,
    /// When the last refusal was or will be told.
    refusal_at: Instant,
}

/// A stranger's connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Stranger {
    strangers: Arc<Strangers>,
    address: IpAddr,
}

impl Strangers {
    /// Lets a connection in, if its address has not too many.
    pub(crate) fn enter(self: &Arc<Strangers>, address: IpAddr) -> Option<Stranger> {
        let address = network(address);
        let mut addresses = lock(&self.0);
        let now = Instant::now();
        let seen = addresses.entry(address).or_insert(Address { connections: 0, refusal_at: now });
        if seen.connections >= CONNECTIONS_MAX {
            return None;
        }
        seen.connections += 1;
        Some(Stranger { strangers: Arc::clone(self), address })
    }
}

impl Stranger {
    /// How long to wait before this connection is told that it is refused. It keeps its place meanwhile.
    pub(crate) fn refusal_pause(&self) -> Duration {
        let mut addresses = lock(&self.strangers.0);
        let now = Instant::now();
        let Some(seen) = addresses.get_mut(&self.address) else {
            return REFUSAL_PAUSE;
        };
        seen.refusal_at = seen.refusal_at.max(now) + REFUSAL_PAUSE;
        seen.refusal_at - now
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut addresses = lock(&self.strangers.0);
        if let Some(seen) = addresses.get_mut(&self.address) {
            seen.connections -= 1;
            if seen.connections == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

/// Whoever has one address of IPv6 has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // One address must neither take all places nor try passwords as fast as the machine checks them.
    #[test]
    fn an_address_has_so_many_places_and_is_refused_so_often() {
        let strangers = Arc::new(Strangers::default());
        let here: IpAddr = "2001:db8::1".parse().unwrap();
        let same: IpAddr = "2001:db8::2".parse().unwrap();
        let other: IpAddr = "192.0.2.1".parse().unwrap();
        let mut inside: Vec<Stranger> =
            (0..CONNECTIONS_MAX).map(|_| strangers.enter(here).unwrap()).collect();
        assert!(strangers.enter(same).is_none());
        let elsewhere = strangers.enter(other).unwrap();
        let pauses: Vec<Duration> = inside.iter().map(Stranger::refusal_pause).collect();
        let all = REFUSAL_PAUSE * CONNECTIONS_MAX as u32;
        assert!(pauses.last().is_some_and(|last| *last > all - REFUSAL_PAUSE), "{pauses:?}");
        assert!(elsewhere.refusal_pause() <= REFUSAL_PAUSE);
        inside.pop();
        assert!(strangers.enter(same).is_some());
        drop((inside, elsewhere));
        assert!(lock(&strangers.0).is_empty());
    }
}
