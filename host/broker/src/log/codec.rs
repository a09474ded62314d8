//! Packing and unpacking what follows a batch's header.

use std::io::{self, Read, Write};

use bytes::{Buf, BufMut, Bytes};

/// No more than this is unpacked of a batch: a few bytes can unpack to gigabytes.
pub(super) const UNPACKED_BYTES_MAX: u64 = 256 << 20;
/// The frame that the Java library puts around snappy blocks: its name, its version, and the version
/// that can read it.
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
const XERIAL_VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
const XERIAL_HEADER_BYTES: usize = XERIAL_MAGIC.len() + XERIAL_VERSIONS.len();

/// A stream of what `body` holds, at most [`UNPACKED_BYTES_MAX`] of it.
pub(super) fn unpacked(codec: i16, body: &[u8]) -> io::Result<impl Read> {
    let stream: Box<dyn Read> = match codec {
        0 => Box::new(body),
        1 => Box::new(flate2::read::MultiGzDecoder::new(body)),
        2 => Box::new(snappy(body)?.reader()),
        3 => Box::new(lz4::Decoder::new(body)?),
        _ => Box::new(zstd::stream::read::Decoder::new(body)?),
    };
    Ok(stream.take(UNPACKED_BYTES_MAX))
}

/// Everything that `body` holds.
pub(super) fn unpack(codec: i16, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    unpacked(codec, body)?.read_to_end(&mut all)?;
    match all.len() as u64 {
        UNPACKED_BYTES_MAX.. => Err(invalid("too large")),
        _ => Ok(all),
    }
}

/// Packs `plain` so that every client can unpack it.
pub(super) fn pack(codec: i16, plain: &[u8]) -> io::Result<Vec<u8>> {
    match codec {
        0 => Ok(plain.to_vec()),
        1 => {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            packer.write_all(plain)?;
            packer.finish()
        }
        2 => {
            let block = snap::raw::Encoder::new().compress_vec(plain).map_err(invalid)?;
            let mut framed = [XERIAL_MAGIC, &XERIAL_VERSIONS].concat();
            framed.put_i32(i32::try_from(block.len()).map_err(invalid)?);
            framed.extend_from_slice(&block);
            Ok(framed)
        }
        3 => {
            // The Java client reads independent blocks only.
            let mut packer = lz4::EncoderBuilder::new()
                .block_mode(lz4::BlockMode::Independent)
                .checksum(lz4::ContentChecksum::NoChecksum)
                .build(Vec::new())?;
            packer.write_all(plain)?;
            let (packed, outcome) = packer.finish();
            outcome.map(|()| packed)
        }
        _ => zstd::stream::encode_all(plain, zstd::DEFAULT_COMPRESSION_LEVEL),
    }
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

pub(super) fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
