//! The threads that force written bytes to the disk.
//!
//! A file asks for a sync when it has bytes that are not on the disk and no sync of it is queued.
//! While one runs, further writes gather; the next sync serves all of them. That is group commit
//! without a timer.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::poison::lock;

/// Syncs of different files overlap in the device, so a few threads serve many partitions better
/// than one.
const THREADS: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// A few threads that run blocking jobs in order.
pub(crate) struct Syncer {
    queue: Arc<(Mutex<Queue>, Condvar)>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Syncer {
    pub(crate) fn start() -> std::io::Result<Syncer> {
        let queue: Arc<(Mutex<Queue>, Condvar)> = Arc::default();
        let threads = (0..THREADS)
            .map(|n| {
                let queue = Arc::clone(&queue);
                std::thread::Builder::new().name(format!("broker-sync-{n}")).spawn(move || work(&queue))
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Syncer { queue, threads: Mutex::new(threads) })
    }

    /// Queues `job`. The queue is bounded by its callers: each file has at most one job in it.
    pub(crate) fn submit(&self, job: impl FnOnce() + Send + 'static) {
        let (queue, wake) = &*self.queue;
        lock(queue).jobs.push_back(Box::new(job));
        wake.notify_one();
    }

    /// Runs what is queued and ends the threads.
    pub(crate) fn close(&self) {
        let (queue, wake) = &*self.queue;
        lock(queue).closed = true;
        wake.notify_all();
        let current = std::thread::current().id();
        for thread in lock(&self.threads).drain(..) {
            // The last owner of a syncer can be one of its own jobs.
            if thread.thread().id() != current {
                let _ended = thread.join();
            }
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Syncer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Syncer")
    }
}

fn work((queue, wake): &(Mutex<Queue>, Condvar)) {
    let mut guard = lock(queue);
    loop {
        if let Some(job) = guard.jobs.pop_front() {
            drop(guard);
            job();
            guard = lock(queue);
        } else if guard.closed {
            return;
        } else {
            guard = wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
