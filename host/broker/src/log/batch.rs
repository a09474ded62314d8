//! The header of a record batch (Kafka's record format 2) and the control batches that end
//! transactions. See <https://kafka.apache.org/documentation/#recordbatch>.

use bytes::{Buf, BufMut};

/// Bytes of a batch before its first record.
pub(crate) const HEADER_BYTES: usize = 61;
/// Bytes before the part that the length field counts.
const PREFIX_BYTES: usize = 12;
/// Where the part that the checksum covers begins.
const CHECKED_FROM: usize = 21;
/// Bytes that the broker rewrites: base offset, length (unchanged) and leader epoch.
pub(crate) const REWRITTEN_BYTES: usize = 16;
/// A broker that is alone leads every partition for ever.
pub(crate) const LEADER_EPOCH: i32 = 0;

/// Offsets from here on could overflow when a batch's deltas are added.
const OFFSET_MAX: i64 = i64::MAX - (1 << 32);

const CODEC_MASK: i16 = 0b111;
const CODEC_MAX: i16 = 4;
pub(crate) const CODEC_ZSTD: i16 = 4;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// The fixed fields of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) base_offset: i64,
    /// The whole batch, header included.
    pub(crate) total_bytes: usize,
    pub(crate) magic: i8,
    pub(crate) crc: u32,
    pub(crate) attributes: i16,
    pub(crate) last_offset_delta: i32,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) record_count: i32,
}

/// Why bytes are not a batch that can be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    Short,
    Length,
    Magic,
    Checksum,
    Count,
    Codec,
}

impl Flaw {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Flaw::Short => "it is shorter than the header of a batch",
            Flaw::Length => "its length field does not fit",
            Flaw::Magic => "its format is not version 2",
            Flaw::Checksum => "its checksum does not match",
            Flaw::Count => "its offsets do not fit",
            Flaw::Codec => "its compression codec is unknown",
        }
    }
}

impl Header {
    /// Reads the header at the start of `bytes` without checking more than its length field.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Header, Flaw> {
        if bytes.len() < HEADER_BYTES {
            return Err(Flaw::Short);
        }
        let mut fields = &bytes[..HEADER_BYTES];
        let base_offset = fields.get_i64();
        let length = fields.get_i32();
        let _leader_epoch = fields.get_i32();
        let magic = fields.get_i8();
        let crc = fields.get_u32();
        let attributes = fields.get_i16();
        let last_offset_delta = fields.get_i32();
        let _base_timestamp = fields.get_i64();
        let max_timestamp = fields.get_i64();
        let producer_id = fields.get_i64();
        let producer_epoch = fields.get_i16();
        let base_sequence = fields.get_i32();
        let record_count = fields.get_i32();
        if magic != 2 {
            return Err(Flaw::Magic);
        }
        let total_bytes = usize::try_from(length).map_err(|_| Flaw::Length)? + PREFIX_BYTES;
        if total_bytes < HEADER_BYTES {
            return Err(Flaw::Length);
        }
        if last_offset_delta < 0 || !(0..OFFSET_MAX).contains(&base_offset) {
            return Err(Flaw::Count);
        }
        Ok(Header {
            base_offset,
            total_bytes,
            magic,
            crc,
            attributes,
            last_offset_delta,
            max_timestamp,
            producer_id,
            producer_epoch,
            base_sequence,
            record_count,
        })
    }

    /// Reads and checks the one batch that `bytes` consists of.
    pub(crate) fn check(bytes: &[u8]) -> Result<Header, Flaw> {
        // The magic byte lies at the same place in every format, so an old format is told apart
        // from garbage even when it is shorter than a header of version 2.
        if bytes.len() > REWRITTEN_BYTES && (0..2).contains(&bytes[REWRITTEN_BYTES]) {
            return Err(Flaw::Magic);
        }
        let header = Header::parse(bytes)?;
        if header.total_bytes != bytes.len() {
            return Err(Flaw::Length);
        }
        if crc32c::crc32c(&bytes[CHECKED_FROM..]) != header.crc {
            return Err(Flaw::Checksum);
        }
        if header.codec() > CODEC_MAX {
            return Err(Flaw::Codec);
        }
        Ok(header)
    }

    pub(crate) fn codec(&self) -> i16 {
        self.attributes & CODEC_MASK
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub(crate) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    pub(crate) fn is_idempotent(&self) -> bool {
        self.producer_id >= 0 && self.base_sequence >= 0
    }

    pub(crate) fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// Sequence numbers go back to 0 after the largest `i32`.
    pub(crate) fn last_sequence(&self) -> i32 {
        let sum = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        (sum % (i64::from(i32::MAX) + 1)) as i32
    }
}

/// The first bytes of a batch as the broker stores them.
pub(crate) fn rewritten(batch: &[u8], base_offset: i64) -> [u8; REWRITTEN_BYTES] {
    let mut start = [0; REWRITTEN_BYTES];
    start[..8].copy_from_slice(&base_offset.to_be_bytes());
    start[8..12].copy_from_slice(&batch[8..12]);
    start[12..].copy_from_slice(&LEADER_EPOCH.to_be_bytes());
    start
}

/// The timestamp that the records of a batch count from. `batch` has a whole header.
pub(super) fn base_timestamp(batch: &[u8]) -> i64 {
    (&batch[27..35]).get_i64()
}

/// The batch with only these of its records, which keep their offsets and times.
pub(super) fn with_records(batch: &[u8], body: &[u8], count: i32, max_timestamp: i64) -> Vec<u8> {
    let mut new = [&batch[..HEADER_BYTES], body].concat();
    let length = (new.len() - PREFIX_BYTES) as i32;
    new[8..12].copy_from_slice(&length.to_be_bytes());
    new[35..43].copy_from_slice(&max_timestamp.to_be_bytes());
    new[57..61].copy_from_slice(&count.to_be_bytes());
    let crc = crc32c::crc32c(&new[CHECKED_FROM..]);
    new[17..21].copy_from_slice(&crc.to_be_bytes());
    new
}

/// A control batch: the one record that commits or aborts a transaction in a partition.
pub(crate) fn control(producer_id: i64, producer_epoch: i16, commit: bool, timestamp_ms: i64) -> Vec<u8> {
    let mut record = Vec::with_capacity(16);
    record.put_i8(0); // attributes
    record.put_u8(0); // timestamp delta, as a varint
    record.put_u8(0); // offset delta
    record.put_u8(8); // length of the key: 4, zigzag
    record.put_i16(0); // version of the key
    record.put_i16(i16::from(commit)); // 0 aborts, 1 commits
    record.put_u8(12); // length of the value: 6, zigzag
    record.put_i16(0); // version of the value
    record.put_i32(LEADER_EPOCH); // the coordinator's epoch
    record.put_u8(0); // headers

    let mut batch = Vec::with_capacity(HEADER_BYTES + 1 + record.len());
    batch.put_i64(0);
    batch.put_i32((HEADER_BYTES - PREFIX_BYTES + 1 + record.len()) as i32);
    batch.put_i32(LEADER_EPOCH);
    batch.put_i8(2);
    batch.put_u32(0);
    batch.put_i16(TRANSACTIONAL | CONTROL);
    batch.put_i32(0); // last offset delta
    batch.put_i64(timestamp_ms);
    batch.put_i64(timestamp_ms);
    batch.put_i64(producer_id);
    batch.put_i16(producer_epoch);
    batch.put_i32(-1); // base sequence
    batch.put_i32(1); // record count
    batch.put_u8((record.len() * 2) as u8); // length of the record, zigzag
    batch.extend_from_slice(&record);
    let crc = crc32c::crc32c(&batch[CHECKED_FROM..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// Whether the control batch `bytes` commits; `None` if it is not a marker of a transaction.
pub(crate) fn commits(bytes: &[u8]) -> Option<bool> {
    // The record: length, attributes, timestamp delta and offset delta, each one byte in the
    // batches written by `control`, then the length of the key, its version and its type.
    let key = bytes.get(HEADER_BYTES + 5..HEADER_BYTES + 9)?;
    match i16::from_be_bytes([key[2], key[3]]) {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}
