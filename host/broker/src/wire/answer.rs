//! The bytes of an answer. Records lie in parts of their own, just as they were read: to copy them behind the other
//! fields would take as long as to send them, and as much memory again.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{ApiKey, FetchResponse, ResponseHeader};
use kafka_protocol::protocol::{Encodable, HeaderVersion};
use tokio::sync::OwnedSemaphorePermit;

use super::Error;

/// The first version of `Fetch` that has an error of its own and a session.
const SESSION_FROM: i16 = 7;
/// The first version of `Fetch` with compact lengths and tagged fields.
const FLEXIBLE_FROM: i16 = 12;
/// The first version of `Fetch` that names topics by id.
const IDS_FROM: i16 = 13;
/// Records of fewer bytes are copied all the same, which is less work than another part is.
const PART_BYTES_MIN: usize = 4 << 10;

/// A whole answer, with its length, on its way to the client.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    parts: VecDeque<Bytes>,
    /// What it holds of the memory for large answers.
    _memory: Option<OwnedSemaphorePermit>,
}

impl Answer {
    pub(crate) fn holding(mut self, memory: Option<OwnedSemaphorePermit>) -> Answer {
        self._memory = memory;
        self
    }
}

impl From<Bytes> for Answer {
    fn from(bytes: Bytes) -> Answer {
        Answer { parts: VecDeque::from([bytes]), _memory: None }
    }
}

impl Buf for Answer {
    fn remaining(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.parts.front().map_or(&[], |part| &part[..])
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(part) = self.parts.front_mut() {
            if count < part.len() {
                part.advance(count);
                return;
            }
            count -= part.len();
            self.parts.pop_front();
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let filled = slices.iter_mut().zip(&self.parts);
        filled.map(|(slice, part)| *slice = IoSlice::new(part)).count()
    }
}

/// Encodes the answer to a fetch. The layout is that of the codec, which can only copy the records.
pub(crate) fn fetch(version: i16, correlation_id: i32, response: FetchResponse) -> Result<Answer, Error> {
    let failed = |error: &dyn std::fmt::Display| {
        let reason = error.to_string();
        Error::Encode { key: ApiKey::Fetch as i16, version, reason }
    };
    let mut body = Body { version, parts: VecDeque::new(), small: BytesMut::new() };
    ResponseHeader::default()
        .with_correlation_id(correlation_id)
        .encode(&mut body.small, FetchResponse::header_version(version))
        .map_err(|error| failed(&error))?;
    body.small.put_i32(response.throttle_time_ms);
    if version >= SESSION_FROM {
        body.small.put_i16(response.error_code);
        body.small.put_i32(response.session_id);
    }
    body.count(response.responses.len());
    for topic in response.responses {
        body.topic(topic).map_err(|error| failed(&error))?;
    }
    body.end_structure();
    body.end_part();
    let mut parts = body.parts;
    let length: usize = parts.iter().map(Bytes::len).sum();
    let first = parts.pop_front().unwrap_or_default();
    let mut start = BytesMut::with_capacity(4 + first.len());
    start.put_i32(i32::try_from(length).map_err(|error| failed(&error))?);
    start.put_slice(&first);
    parts.push_front(start.freeze());
    Ok(Answer { parts, _memory: None })
}

/// The codec's own errors have no type that could be named here.
type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Body {
    version: i16,
    parts: VecDeque<Bytes>,
    /// What comes after the last part.
    small: BytesMut,
}

impl Body {
    fn is_flexible(&self) -> bool {
        self.version >= FLEXIBLE_FROM
    }

    fn topic(&mut self, topic: FetchableTopicResponse) -> Result<(), Failure> {
        match self.version {
            IDS_FROM.. => self.small.put_slice(topic.topic_id.as_bytes()),
            _ if self.is_flexible() => {
                self.varint(topic.topic.len() + 1);
                self.small.put_slice(topic.topic.as_bytes());
            }
            _ => {
                self.small.put_i16(i16::try_from(topic.topic.len())?);
                self.small.put_slice(topic.topic.as_bytes());
            }
        }
        self.count(topic.partitions.len());
        for partition in topic.partitions {
            self.partition(partition)?;
        }
        self.end_structure();
        Ok(())
    }

    /// The records are the last field, so that the codec writes what is before them, and that there are none.
    fn partition(&mut self, mut partition: PartitionData) -> Result<(), Failure> {
        let records = partition.records.replace(Bytes::new()).unwrap_or_default();
        partition.encode(&mut self.small, self.version)?;
        let none_bytes = if self.is_flexible() { 2 } else { 4 };
        self.small.truncate(self.small.len() - none_bytes);
        match self.is_flexible() {
            true => self.varint(records.len() + 1),
            false => self.small.put_i32(i32::try_from(records.len())?),
        }
        if records.len() < PART_BYTES_MIN {
            self.small.put_slice(&records);
        } else {
            self.end_part();
            self.parts.push_back(records);
        }
        self.end_structure();
        Ok(())
    }

    fn count(&mut self, count: usize) {
        match self.is_flexible() {
            true => self.varint(count + 1),
            false => self.small.put_i32(count as i32),
        }
    }

    /// There are no tagged fields.
    fn end_structure(&mut self) {
        if self.is_flexible() {
            self.small.put_u8(0);
        }
    }

    fn end_part(&mut self) {
        self.parts.push_back(self.small.split().freeze());
    }

    fn varint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.small.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.small.put_u8(value as u8);
    }
}
