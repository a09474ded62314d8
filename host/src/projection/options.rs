//! What a user may set for projections.

use lantern_contract::manifest::{Envelope, Manifest};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `[batch]`: how many events become one transaction. A batch is never waited for while events are few:
/// a lone event is applied when it arrives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchOptions {
    /// The most events of a batch.
    pub events_max: usize,
    /// The most bytes of a batch.
    pub bytes_max: usize,
    /// While catching up: how long a batch may take to fill, in milliseconds.
    pub wait_ms_max: u64,
}

impl Default for BatchOptions {
    fn default() -> Self {
        BatchOptions { events_max: 20_000, bytes_max: 8 * 1024 * 1024, wait_ms_max: 20 }
    }
}

impl BatchOptions {
    /// The size of the batches of a rebuild, for which nobody waits.
    #[must_use]
    pub fn for_rebuild(&self, rebuild: &RebuildOptions) -> Self {
        let bytes_max = self.bytes_max.saturating_mul(4);
        BatchOptions { events_max: rebuild.events_max, bytes_max, ..self.clone() }
    }

    /// [`BatchOptions::wait_ms_max`] as a duration.
    pub fn wait_max(&self) -> Duration {
        Duration::from_millis(self.wait_ms_max)
    }
}

/// `[rebuild]`: generations that are built beside the live ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RebuildOptions {
    /// How many are built at once; others wait.
    pub at_once_max: usize,
    /// When live projections are more events behind than this in all, rebuilds slow down.
    pub lag_max: u64,
    /// The most events of a rebuild's transaction.
    pub events_max: usize,
}

impl Default for RebuildOptions {
    fn default() -> Self {
        RebuildOptions { at_once_max: 1, lag_max: 10_000, events_max: 50_000 }
    }
}

/// What happens when the log no longer has the next event of a read model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnTruncated {
    /// The projection halts and says what is missing.
    #[default]
    Halt,
    /// It goes on at the first event that is left; what is missing is logged.
    Earliest,
}

/// `[projections.<name>]`: settings of one projection; they go before its manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Where an event's type stands, instead of the manifest's `envelope`.
    pub envelope: Option<Envelope>,
    /// The topics to read, instead of the manifest's.
    pub topics: Option<Vec<String>>,
    /// What to do when the log was truncated under the read model.
    pub on_truncated: OnTruncated,
}

impl Options {
    /// The topics that the projection reads.
    pub fn topics<'a>(&'a self, manifest: &'a Manifest) -> &'a [String] {
        self.topics.as_deref().unwrap_or(&manifest.topics)
    }

    /// Where its events have their type.
    pub fn envelope<'a>(&'a self, manifest: &'a Manifest) -> &'a Envelope {
        self.envelope.as_ref().unwrap_or(&manifest.envelope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // "No bound" is written as the largest number, which must not come out as a small one.
    #[test]
    fn a_rebuilds_batches_are_larger_whatever_the_user_has_set() {
        let of = |bytes_max| {
            BatchOptions { bytes_max, ..BatchOptions::default() }
                .for_rebuild(&RebuildOptions::default())
                .bytes_max
        };
        assert_eq!((of(1000), of(usize::MAX)), (4000, usize::MAX));
    }
}
