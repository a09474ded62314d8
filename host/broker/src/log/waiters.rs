//! Fetches that wait for new records.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::poison::lock;

/// One waiting fetch. It is registered with every partition that it asks for.
#[derive(Clone, Debug)]
pub(crate) struct Waiter {
    id: u64,
    notify: Arc<Notify>,
}

impl Waiter {
    pub(crate) fn new() -> Waiter {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Waiter { id: NEXT.fetch_add(1, Ordering::Relaxed), notify: Arc::new(Notify::new()) }
    }

    /// Returns once a partition has had something new since the last call.
    pub(crate) async fn woken(&self) {
        self.notify.notified().await;
    }
}

/// The fetches that wait for one partition; at most one per connection.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<HashMap<u64, Arc<Notify>>>);

impl Waiters {
    pub(crate) fn add(&self, waiter: &Waiter) {
        lock(&self.0).insert(waiter.id, Arc::clone(&waiter.notify));
    }

    pub(crate) fn remove(&self, waiter: &Waiter) {
        lock(&self.0).remove(&waiter.id);
    }

    pub(crate) fn wake(&self) {
        for notify in lock(&self.0).values() {
            notify.notify_one();
        }
    }
}
