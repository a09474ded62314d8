//! Kafka's protocol on a connection: frames, versions, and the way from a request to its answer.

pub(crate) mod answer;
pub(crate) mod dispatch;
pub(crate) mod frame;
mod shape;
pub(crate) mod versions;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ResponseHeader;
use kafka_protocol::protocol::{Encodable, HeaderVersion};

/// Why a connection is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("a request of {bytes} bytes is larger than the limit of {bytes_max}")]
    TooLarge { bytes: i64, bytes_max: usize },
    #[error("a request is too short to have a header")]
    Short,
    #[error("the API with key {0} is not supported")]
    UnknownApi(i16),
    #[error("version {version} of the API with key {key} is not supported")]
    UnknownVersion { key: i16, version: i16 },
    #[error("a request of API key {key}, version {version} does not decode: {reason}")]
    Decode { key: i16, version: i16, reason: String },
    #[error("the answer to API key {key}, version {version} does not encode: {reason}")]
    Encode { key: i16, version: i16, reason: String },
    #[error("API key {key} was asked for before the client said who it is")]
    Unauthenticated { key: i16 },
    #[error("{user:?} was refused by {mechanism}")]
    Refused { user: String, mechanism: String },
    #[error("the client asked for the mechanism {0:?}, which is not offered here")]
    Mechanism(String),
    #[error("TLS: {0}")]
    Tls(std::io::Error),
    #[error("the client did not say in time who it is")]
    Stalled,
    #[error("the address has too many connections that have not said who they are")]
    Strangers,
    #[error("the client sent nothing for too long")]
    Idle,
    #[error("a large request came to a standstill")]
    Halted,
    #[error("the client did not take its answer in time")]
    Stuck,
    #[error("connection: {0}")]
    Io(#[from] std::io::Error),
}

/// Encodes a whole answer: length, header and body.
pub(crate) fn encode<R: Encodable + HeaderVersion>(
    key: i16,
    version: i16,
    correlation_id: i32,
    response: &R,
) -> Result<Bytes, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Encode { key, version, reason: error.to_string() };
    let size = response.compute_size(version).map_err(|error| failed(&error))?;
    let mut buffer = BytesMut::with_capacity(size + 16);
    buffer.put_i32(0);
    ResponseHeader::default()
        .with_correlation_id(correlation_id)
        .encode(&mut buffer, R::header_version(version))
        .map_err(|error| failed(&error))?;
    response.encode(&mut buffer, version).map_err(|error| failed(&error))?;
    let length = i32::try_from(buffer.len() - 4).map_err(|error| failed(&error))?;
    buffer[..4].copy_from_slice(&length.to_be_bytes());
    Ok(buffer.freeze())
}

#[cfg(test)]
mod tests;
