//! A look at the bytes of a request before the codec takes memory for them.
//!
//! The codec reserves room for as many elements as a count field says, so that four bytes of a
//! stranger could end the process for want of memory. Here a request is walked along its layout
//! first, without taking memory: every length must fit the bytes that are there, and the elements
//! of all its arrays together are bounded. The layouts are those of the message definitions at
//! <https://github.com/apache/kafka/tree/trunk/clients/src/main/resources/common/message>.

use bytes::Buf;
use kafka_protocol::messages::ApiKey;

/// Elements of all arrays of a request, nested ones included, and its tagged fields.
const ELEMENTS_MAX: usize = 200_000;

/// What is wrong with the shape of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("it ends before its fields do")]
    Short,
    #[error("it has more than {ELEMENTS_MAX} elements")]
    Elements,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// So many bytes.
    Fixed(usize),
    Text,
    Bytes,
    Array(&'static [Field]),
}

/// A field and the versions that have it.
#[derive(Clone, Copy, Debug)]
enum Field {
    All(Kind),
    Since(i16, Kind),
    Until(i16, Kind),
    Between(i16, i16, Kind),
}

impl Field {
    /// What the field is in `version`, if it is there.
    fn kind(self, version: i16) -> Option<Kind> {
        let (is_there, kind) = match self {
            All(kind) => (true, kind),
            Since(from, kind) => (version >= from, kind),
            Until(to, kind) => (version <= to, kind),
            Between(from, to, kind) => ((from..=to).contains(&version), kind),
        };
        is_there.then_some(kind)
    }
}

use Field::{All, Between, Since, Until};
use Kind::{Array, Bytes, Fixed, Text};

const I8: Kind = Fixed(1);
const I16: Kind = Fixed(2);
const I32: Kind = Fixed(4);
const I64: Kind = Fixed(8);
const UUID: Kind = Fixed(16);
const TEXTS: Kind = Array(&[All(Text)]);

const NUMBERS: Kind = Array(&[All(I32)]);
/// A topic's name with numbers of partitions.
const TOPIC_PARTITIONS: Kind = Array(&[All(Text), All(NUMBERS)]);
const CONFIGS: Kind = Array(&[All(Text), All(Text)]);

/// The fields of a request, in order. Tagged fields are skipped wherever they can be.
fn layout(key: ApiKey) -> &'static [Field] {
    match key {
        ApiKey::Produce => {
            &[All(Text), All(I16), All(I32), All(Array(&[All(Text), All(Array(&[All(I32), All(Bytes)]))]))]
        }
        ApiKey::Fetch => &[
            Until(14, I32),
            All(I32),
            All(I32),
            All(I32),
            All(I8),
            Since(7, I32),
            Since(7, I32),
            All(Array(&[
                Until(12, Text),
                Since(13, UUID),
                All(Array(&[All(I32), Since(9, I32), All(I64), Since(12, I32), Since(5, I64), All(I32)])),
            ])),
            Since(7, Array(&[Until(12, Text), Since(13, UUID), All(NUMBERS)])),
            Since(11, Text),
        ],
        ApiKey::ListOffsets => &[
            All(I32),
            Since(2, I8),
            All(Array(&[All(Text), All(Array(&[All(I32), Since(4, I32), All(I64)]))])),
        ],
        ApiKey::Metadata => {
            &[All(Array(&[Since(10, UUID), All(Text)])), Since(4, I8), Between(8, 10, I8), Since(8, I8)]
        }
        ApiKey::OffsetCommit => &[
            All(Text),
            All(I32),
            All(Text),
            Since(7, Text),
            Until(4, I64),
            All(Array(&[All(Text), All(Array(&[All(I32), All(I64), Since(6, I32), All(Text)]))])),
        ],
        ApiKey::OffsetFetch => &[
            Until(7, Text),
            Until(7, TOPIC_PARTITIONS),
            Since(8, Array(&[All(Text), All(TOPIC_PARTITIONS)])),
            Since(7, I8),
        ],
        ApiKey::FindCoordinator => &[Until(3, Text), Since(1, I8), Since(4, TEXTS)],
        ApiKey::JoinGroup => &[
            All(Text),
            All(I32),
            Since(1, I32),
            All(Text),
            Since(5, Text),
            All(Text),
            All(Array(&[All(Text), All(Bytes)])),
            Since(8, Text),
        ],
        ApiKey::Heartbeat => &[All(Text), All(I32), All(Text), Since(3, Text)],
        ApiKey::LeaveGroup => {
            &[All(Text), Until(2, Text), Since(3, Array(&[All(Text), All(Text), Since(5, Text)]))]
        }
        ApiKey::SyncGroup => &[
            All(Text),
            All(I32),
            All(Text),
            Since(3, Text),
            Since(5, Text),
            Since(5, Text),
            All(Array(&[All(Text), All(Bytes)])),
        ],
        ApiKey::DescribeGroups => &[All(TEXTS), Since(3, I8)],
        ApiKey::ListGroups => &[Since(4, TEXTS), Since(5, TEXTS)],
        ApiKey::SaslHandshake => &[All(Text)],
        ApiKey::SaslAuthenticate => &[All(Bytes)],
        ApiKey::ApiVersions => &[Since(3, Text), Since(3, Text)],
        ApiKey::CreateTopics => &[
            All(Array(&[All(Text), All(I32), All(I16), All(Array(&[All(I32), All(NUMBERS)])), All(CONFIGS)])),
            All(I32),
            All(I8),
        ],
        ApiKey::DeleteTopics => &[Since(6, Array(&[All(Text), All(UUID)])), Until(5, TEXTS), All(I32)],
        ApiKey::DeleteRecords => &[All(Array(&[All(Text), All(Array(&[All(I32), All(I64)]))])), All(I32)],
        ApiKey::InitProducerId => &[All(Text), All(I32), Since(3, I64), Since(3, I16)],
        ApiKey::OffsetForLeaderEpoch => {
            &[Since(3, I32), All(Array(&[All(Text), All(Array(&[All(I32), All(I32), All(I32)]))]))]
        }
        ApiKey::AddPartitionsToTxn => &[All(Text), All(I64), All(I16), All(TOPIC_PARTITIONS)],
        ApiKey::AddOffsetsToTxn => &[All(Text), All(I64), All(I16), All(Text)],
        ApiKey::EndTxn => &[All(Text), All(I64), All(I16), All(I8)],
        ApiKey::TxnOffsetCommit => &[
            All(Text),
            All(Text),
            All(I64),
            All(I16),
            Since(3, I32),
            Since(3, Text),
            Since(3, Text),
            All(Array(&[All(Text), All(Array(&[All(I32), All(I64), Since(2, I32), All(Text)]))])),
        ],
        ApiKey::DescribeAcls => &[All(I8), All(Text), All(I8), All(Text), All(Text), All(I8), All(I8)],
        ApiKey::DescribeConfigs => &[All(Array(&[All(I8), All(Text), All(TEXTS)])), All(I8), Since(3, I8)],
        ApiKey::AlterConfigs => &[All(Array(&[All(I8), All(Text), All(CONFIGS)])), All(I8)],
        ApiKey::IncrementalAlterConfigs => {
            &[All(Array(&[All(I8), All(Text), All(Array(&[All(Text), All(I8), All(Text)]))])), All(I8)]
        }
        ApiKey::DescribeLogDirs => &[All(TOPIC_PARTITIONS)],
        ApiKey::CreatePartitions => {
            &[All(Array(&[All(Text), All(I32), All(Array(&[All(NUMBERS), NOTHING]))])), All(I32), All(I8)]
        }
        ApiKey::DeleteGroups => &[All(TEXTS)],
        ApiKey::ListPartitionReassignments => &[All(I32), All(TOPIC_PARTITIONS)],
        ApiKey::OffsetDelete => &[All(Text), All(Array(&[All(Text), All(Array(&[All(I32), NOTHING]))]))],
        ApiKey::DescribeCluster => &[All(I8), Since(1, I8)],
        ApiKey::DescribeProducers => &[All(TOPIC_PARTITIONS)],
        ApiKey::DescribeTransactions => &[All(TEXTS)],
        ApiKey::ListTransactions => &[All(TEXTS), All(Array(&[All(I64)])), Since(1, I64)],
        _ => &[],
    }
}

/// Marks a structure of one field, which unlike a plain value has tagged fields.
const NOTHING: Field = Until(-1, I8);
/// Checks a whole request, header included, and returns how many bytes follow its last field.
///
/// Those are ignored, as Kafka does: librdkafka sends some after `Metadata` of version 12.
pub(crate) fn check(key: ApiKey, version: i16, frame: &[u8]) -> Result<usize, Flaw> {
    let flexible = key.request_header_version(version) >= 2;
    let mut walk = Walk { bytes: frame, version, flexible: false, elements: 0 };
    // The header: key, version and correlation id, then the client's id, which never has the
    // compact form.
    walk.skip(8)?;
    walk.value(Text)?;
    walk.flexible = flexible;
    walk.tagged_fields()?;
    walk.structure(layout(key))?;
    Ok(walk.bytes.len())
}

struct Walk<'a> {
    bytes: &'a [u8],
    version: i16,
    /// Lengths are variable-length integers, and structures end in tagged fields.
    flexible: bool,
    elements: usize,
}

impl Walk<'_> {
    fn skip(&mut self, count: usize) -> Result<(), Flaw> {
        self.bytes = self.bytes.get(count..).ok_or(Flaw::Short)?;
        Ok(())
    }

    fn structure(&mut self, fields: &[Field]) -> Result<(), Flaw> {
        for field in fields {
            if let Some(kind) = field.kind(self.version) {
                self.value(kind)?;
            }
        }
        self.tagged_fields()
    }

    fn value(&mut self, kind: Kind) -> Result<(), Flaw> {
        match kind {
            Fixed(count) => self.skip(count),
            Text => {
                let length = match self.flexible {
                    true => self.compact_length()?,
                    false => self.short_length()?,
                };
                self.skip(length)
            }
            Bytes => {
                let length = self.length()?;
                self.skip(length)
            }
            Array(fields) => {
                let count = self.length()?;
                self.count(count)?;
                for _ in 0..count {
                    match fields {
                        // Plain values, unlike structures, have no tagged fields.
                        [All(kind)] => self.value(*kind)?,
                        _ => self.structure(fields)?,
                    }
                }
                Ok(())
            }
        }
    }

    fn count(&mut self, count: usize) -> Result<(), Flaw> {
        self.elements = self.elements.saturating_add(count);
        match self.elements <= ELEMENTS_MAX {
            true => Ok(()),
            false => Err(Flaw::Elements),
        }
    }

    fn tagged_fields(&mut self) -> Result<(), Flaw> {
        if !self.flexible {
            return Ok(());
        }
        let count = self.varint()?;
        self.count(count)?;
        for _ in 0..count {
            let _tag = self.varint()?;
            let length = self.varint()?;
            self.skip(length)?;
        }
        Ok(())
    }

    /// The length of bytes or of an array; that of an absent one is 0.
    fn length(&mut self) -> Result<usize, Flaw> {
        if self.flexible {
            return self.compact_length();
        }
        let mut field = self.bytes.get(..4).ok_or(Flaw::Short)?;
        self.skip(4)?;
        match field.get_i32() {
            -1 => Ok(0),
            length => usize::try_from(length).map_err(|_| Flaw::Short),
        }
    }

    fn short_length(&mut self) -> Result<usize, Flaw> {
        let mut field = self.bytes.get(..2).ok_or(Flaw::Short)?;
        self.skip(2)?;
        match field.get_i16() {
            -1 => Ok(0),
            length => usize::try_from(length).map_err(|_| Flaw::Short),
        }
    }

    /// Compact lengths are one too large, so that 0 is an absent value.
    fn compact_length(&mut self) -> Result<usize, Flaw> {
        Ok(self.varint()?.saturating_sub(1))
    }

    /// An unsigned variable-length integer of at most five bytes.
    fn varint(&mut self) -> Result<usize, Flaw> {
        let mut value = 0_u64;
        for shift in (0..35).step_by(7) {
            let byte = *self.bytes.first().ok_or(Flaw::Short)?;
            self.skip(1)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(value).map_err(|_| Flaw::Short);
            }
        }
        Err(Flaw::Short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Four bytes must not be able to reserve gigabytes.
    #[test]
    fn a_count_that_the_bytes_cannot_hold_is_refused() {
        let header = [0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff];
        for count in [ELEMENTS_MAX as i32 + 1, i32::MAX, i32::MIN] {
            let mut frame = header.to_vec();
            frame.extend_from_slice(&count.to_be_bytes());
            assert!(check(ApiKey::Metadata, 1, &frame).is_err(), "{count}");
        }
        let mut absent = header.to_vec();
        absent.extend_from_slice(&(-1_i32).to_be_bytes());
        assert_eq!(check(ApiKey::Metadata, 1, &absent), Ok(0));
    }
}
