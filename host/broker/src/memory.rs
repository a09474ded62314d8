//! A bound on what large requests and large answers take, of all connections together: each alone is bounded, and
//! there can be a thousand of each.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is smaller than this is not counted.
pub(crate) const LARGE_BYTES: usize = 1 << 20;
/// Large requests together may have so many bytes, or as many as the largest one.
const REQUESTS_BYTES: usize = 256 << 20;
/// Large answers together may have so many bytes, or as many as the largest one.
const ANSWERS_BYTES: usize = 256 << 20;
/// What is counted in.
const UNIT_BYTES: usize = 1 << 10;

/// Memory for large things of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    units_max: usize,
}

impl Budget {
    pub(crate) fn of_requests(request_bytes_max: usize) -> Budget {
        Budget::new(REQUESTS_BYTES.max(request_bytes_max))
    }

    pub(crate) fn of_answers(fetch_bytes_max: usize) -> Budget {
        Budget::new(ANSWERS_BYTES.max(fetch_bytes_max))
    }

    fn new(bytes: usize) -> Budget {
        let units_max = bytes.div_ceil(UNIT_BYTES).min(u32::MAX as usize).min(Semaphore::MAX_PERMITS);
        Budget { units: Arc::new(Semaphore::new(units_max)), units_max }
    }

    fn units(&self, bytes: usize) -> u32 {
        bytes.div_ceil(UNIT_BYTES).min(self.units_max) as u32
    }

    /// Waits for as much to be free; others that come later wait behind. It is free again when the permit is dropped.
    pub(crate) async fn wait(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.units).acquire_many_owned(self.units(bytes)).await.ok()
    }

    /// Takes as much, if it is free.
    pub(crate) fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.units).try_acquire_many_owned(self.units(bytes)).ok()
    }
}
