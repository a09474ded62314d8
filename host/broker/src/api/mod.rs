//! What the requests do, one file per family of requests.

pub(crate) mod cluster;
pub(crate) mod configs;
pub(crate) mod fetch;
pub(crate) mod groups;
pub(crate) mod list_offsets;
pub(crate) mod metadata;
pub(crate) mod offsets;
pub(crate) mod produce;
pub(crate) mod sasl;
pub(crate) mod topics;
pub(crate) mod transactions;
pub(crate) mod versions;

use std::collections::HashSet;
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use tokio::sync::watch;

use crate::broker::Core;
use crate::log::AppendError;

/// The one node has this id; it leads every partition and coordinates every group and transaction.
pub(crate) const NODE_ID: i32 = 1;

/// What the answers to one connection's requests may use.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) core: Arc<Core>,
    /// Where the client is told to connect: what the options say, or else where it has.
    pub(crate) host: StrBytes,
    pub(crate) port: u16,
    pub(crate) peer: SocketAddr,
    /// Turns true when the broker shuts down: whoever waits answers with what there is.
    pub(crate) closing: watch::Receiver<bool>,
}

impl Session {
    /// Runs `work`, which blocks on the disk, without holding up other connections.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Core) -> T + Send + 'static,
    ) -> Result<T, ResponseError> {
        let core = Arc::clone(&self.core);
        tokio::task::spawn_blocking(move || work(&core)).await.map_err(|_| ResponseError::UnknownServerError)
    }
}

/// Lets everything through once, by its key: a request that names a thing again and again gets no more of an answer
/// than one that names everything there is.
pub(crate) fn once<T: ?Sized, K: Hash + Eq>(key: impl Fn(&T) -> K) -> impl FnMut(&T) -> bool {
    let mut seen = HashSet::new();
    move |item| seen.insert(key(item))
}

pub(crate) fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

/// The protocol's code for an outcome.
pub(crate) fn code<T>(outcome: &Result<T, ResponseError>) -> i16 {
    outcome.as_ref().err().map_or(0, ResponseError::code)
}

impl AppendError {
    /// The error that a producer is told.
    pub(crate) fn response(&self) -> ResponseError {
        use crate::log::Refusal;
        match self {
            AppendError::Refused(Refusal::Fenced { .. }) => ResponseError::InvalidProducerEpoch,
            AppendError::Refused(Refusal::OutOfOrder { .. }) => ResponseError::OutOfOrderSequenceNumber,
            AppendError::Refused(Refusal::NotInTransaction) => ResponseError::InvalidTxnState,
            AppendError::Storage(_) => ResponseError::KafkaStorageError,
            AppendError::Deleted => ResponseError::UnknownTopicOrPartition,
        }
    }
}
