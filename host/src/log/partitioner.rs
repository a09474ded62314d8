//! Which partition a key goes to, as Kafka's own producer has it.

/// The partition of a key among so many, by murmur2: the same that Java's default partitioner and librdkafka's
/// `murmur2_random` choose.
pub fn partition_of(key: &[u8], partitions: i32) -> i32 {
    let positive = murmur2(key) & 0x7fff_ffff;
    // Below 2^31, so it is its own sign.
    (positive % partitions.max(1).unsigned_abs()) as i32
}

/// Kafka's variant of MurmurHash2, with its seed.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    // Kafka counts in 32 bits.
    let mut hash = SEED ^ (data.len() as u32);
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    // An aggregate whose events went to two partitions would have two orders. The values are those of Kafka's own test.
    #[test]
    fn keys_go_where_kafka_sends_them() {
        let check = |key: &str, hash: i32| assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        check("21", -973932308);
        check("foobar", -790332482);
        check("a-little-bit-long-string", -985981536);
        check("a-little-bit-longer-string", -1486304829);
        check("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971);
        check("abc", 479470107);
        assert_eq!(partition_of(b"abc", 10), 7);
        assert_eq!(partition_of(b"21", 1), 0);
    }
}
