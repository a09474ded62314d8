//! Looking into a batch: only needed to find a record by its time, since everything else works on
//! whole batches.

use std::io::{self, BufReader, Read};

use bytes::{Buf, Bytes};

use super::batch::{HEADER_BYTES, Header};

/// A compressed batch is read as a stream, and no more than this of it: a few bytes can unpack to
/// gigabytes.
const UNPACKED_BYTES_MAX: u64 = 256 << 20;
/// The frame that the Java library puts around snappy blocks.
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER_BYTES: usize = 16;

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
    let base_timestamp = (&batch[27..35]).get_i64();
    let body = &batch[HEADER_BYTES..];
    let unpacked: Box<dyn Read> = match header.codec() {
        0 => Box::new(body),
        1 => Box::new(flate2::read::MultiGzDecoder::new(body)),
        2 => Box::new(snappy(body)?.reader()),
        3 => Box::new(lz4::Decoder::new(body)?),
        _ => Box::new(zstd::stream::read::Decoder::new(body)?),
    };
    let mut reader = BufReader::new(unpacked.take(UNPACKED_BYTES_MAX));
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

/// Unpacks snappy, plain or in the Java library's frame.
fn snappy(body: &[u8]) -> io::Result<Bytes> {
    let mut unpacked = Vec::new();
    let mut add = |block: &[u8]| -> io::Result<()> {
        let size = snap::raw::decompress_len(block).map_err(invalid)?;
        if (unpacked.len() + size) as u64 > UNPACKED_BYTES_MAX {
            return Err(invalid("too large"));
        }
        unpacked.extend(snap::raw::Decoder::new().decompress_vec(block).map_err(invalid)?);
        Ok(())
    };
    if body.starts_with(XERIAL_MAGIC) && body.len() >= XERIAL_HEADER_BYTES {
        let mut rest = &body[XERIAL_HEADER_BYTES..];
        while rest.len() >= 4 {
            let size = usize::try_from(rest.get_i32()).map_err(invalid)?;
            let block = rest.get(..size).ok_or_else(|| invalid("too short"))?;
            add(block)?;
            rest.advance(size);
        }
    } else {
        add(body)?;
    }
    Ok(Bytes::from(unpacked))
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

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
