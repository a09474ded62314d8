//! Looking into a batch: needed to find a record by its time, and to compact by key. Everything else
//! works on whole batches.

use std::io::{self, BufReader, Read};

use bytes::Buf;

use super::batch::{self, HEADER_BYTES, Header};
use super::codec::{self, invalid};

/// The largest timestamp that the batch says it has.
pub(crate) fn max_timestamp(batch: &[u8]) -> Option<i64> {
    Header::parse(batch).ok().map(|header| header.max_timestamp)
}

/// The offset and timestamp of the first record at `timestamp` or later and at `offset` or later. A
/// batch that does not unpack is answered with its first offset: what it holds is the producer's
/// affair, and starting early is safe.
pub(crate) fn first_at(batch: &[u8], timestamp: i64, offset: i64) -> Option<(i64, i64)> {
    let header = Header::parse(batch).ok()?;
    match search(batch, &header, timestamp, offset) {
        Ok(found) => found,
        Err(_) => Some((header.base_offset.max(offset), header.max_timestamp)),
    }
}

fn search(batch: &[u8], header: &Header, timestamp: i64, offset: i64) -> io::Result<Option<(i64, i64)>> {
    let base_timestamp = batch::base_timestamp(batch);
    let mut reader = BufReader::new(codec::unpacked(header.codec(), &batch[HEADER_BYTES..])?);
    for _ in 0..header.record_count {
        let length = varint(&mut reader)?;
        let mut record = (&mut reader).take(u64::try_from(length).map_err(invalid)?);
        let mut attributes = [0];
        record.read_exact(&mut attributes)?;
        let record_timestamp = base_timestamp.saturating_add(varint(&mut record)?);
        let record_offset = header.base_offset.saturating_add(varint(&mut record)?);
        if record_timestamp >= timestamp && record_offset >= offset {
            return Ok(Some((record_offset, record_timestamp)));
        }
        io::copy(&mut record, &mut io::sink())?;
    }
    Ok(None)
}

/// One record of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    pub(super) key: Option<&'a [u8]>,
    pub(super) is_tombstone: bool,
    /// The record as it is packed, its length in front.
    pub(super) bytes: &'a [u8],
}

/// The records of one batch, unpacked.
#[derive(Debug)]
pub(super) struct Unpacked {
    base_offset: i64,
    base_timestamp: i64,
    count: i32,
    plain: Vec<u8>,
}

impl Unpacked {
    pub(super) fn of(batch: &[u8], header: &Header) -> io::Result<Unpacked> {
        let plain = codec::unpack(header.codec(), &batch[HEADER_BYTES..])?;
        let base_timestamp = batch::base_timestamp(batch);
        Ok(Unpacked { base_offset: header.base_offset, base_timestamp, count: header.record_count, plain })
    }

    pub(super) fn records(&self) -> impl Iterator<Item = io::Result<Record<'_>>> {
        let mut rest = &self.plain[..];
        (0..self.count).map(move |_| self.next(&mut rest))
    }

    fn next<'a>(&self, rest: &mut &'a [u8]) -> io::Result<Record<'a>> {
        let start = *rest;
        let mut fields = field(rest)?.ok_or_else(|| invalid("a record without length"))?;
        let bytes = &start[..start.len() - rest.len()];
        fields.try_get_u8().map_err(invalid)?;
        let timestamp = self.base_timestamp.saturating_add(varint(&mut fields)?);
        let offset = self.base_offset.saturating_add(varint(&mut fields)?);
        let key = field(&mut fields)?;
        let is_tombstone = field(&mut fields)?.is_none();
        Ok(Record { offset, timestamp, key, is_tombstone, bytes })
    }
}

/// Whether every record of a client's batch has a key; `false` also for one that does not unpack.
pub(crate) fn all_have_keys(batch: &[u8], header: &Header) -> bool {
    look_for_keys(batch, header).unwrap_or(false)
}

/// Nothing is kept while it unpacks: a batch may hold a thousand times its bytes.
fn look_for_keys(batch: &[u8], header: &Header) -> io::Result<bool> {
    let mut reader = BufReader::new(codec::unpacked(header.codec(), &batch[HEADER_BYTES..])?);
    for _ in 0..header.record_count {
        let length = varint(&mut reader)?;
        let mut record = (&mut reader).take(u64::try_from(length).map_err(invalid)?);
        record.read_exact(&mut [0])?;
        let (_timestamp, _offset) = (varint(&mut record)?, varint(&mut record)?);
        let key = varint(&mut record)?;
        if key < 0 {
            return Ok(false);
        }
        skip(&mut record, key)?;
        let value = varint(&mut record)?;
        skip(&mut record, value.max(0))?;
        let headers = record.limit();
        skip(&mut record, i64::try_from(headers).map_err(invalid)?)?;
    }
    Ok(true)
}

fn skip(reader: &mut impl Read, bytes: i64) -> io::Result<()> {
    let bytes = u64::try_from(bytes).map_err(invalid)?;
    match io::copy(&mut reader.take(bytes), &mut io::sink())? == bytes {
        true => Ok(()),
        false => Err(invalid("too short")),
    }
}

/// Bytes with their length in front; a negative length is nothing.
fn field<'a>(rest: &mut &'a [u8]) -> io::Result<Option<&'a [u8]>> {
    let length = varint(rest)?;
    if length < 0 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(invalid)?;
    let (bytes, after) = rest.split_at_checked(length).ok_or_else(|| invalid("too short"))?;
    *rest = after;
    Ok(Some(bytes))
}

/// A zigzag-encoded variable-length integer of at most ten bytes.
fn varint(reader: &mut impl Read) -> io::Result<i64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let mut byte = [0];
        reader.read_exact(&mut byte)?;
        value |= u64::from(byte[0] & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte[0] & 0x80 == 0 {
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    Err(invalid("a number of more than ten bytes"))
}
