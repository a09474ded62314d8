//! Finding keys: their hash, where a search begins, and when one is found.

/// A hash by multiplication, eight bytes at a time, as rustc's FxHash does it. It needs no protection against chosen
/// keys: a batch is bounded in size, and its time has a deadline.
pub(super) fn hash(bytes: &[u8]) -> u32 {
    const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
    let mut hash = bytes.len() as u64;
    let mut mix = |word: u64| hash = (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let (words, last) = words(bytes);
    for word in words {
        mix(u64::from_le_bytes(*word));
    }
    mix(last);
    (hash >> 32) as u32
}

/// Where the search for a hash begins: at its highest bits, which every bit of the key has had a part in. By the lowest,
/// keys that count up fall into runs, and a search takes several times as long.
pub(super) fn first_slot(hash: u32, slots: usize) -> usize {
    // The number of slots is a power of two, and at least two.
    (hash >> (u32::BITS - slots.trailing_zeros())) as usize
}

/// Whether both are the same. WebAssembly has no instruction for it, and comparing slices goes byte by byte there.
pub(super) fn equal(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let ((left_words, left_last), (right_words, right_last)) = (words(left), words(right));
    left_last == right_last && left_words.iter().zip(right_words).all(|(left, right)| left == right)
}

/// The bytes by eights, and once more the last eight: what is left of them, and some of what is before it.
fn words(bytes: &[u8]) -> (&[[u8; 8]], u64) {
    let last = match bytes.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last),
        None => bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    };
    (bytes.as_chunks::<8>().0, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Keys of real life count up and differ in a few digits. If they fell into runs, a row would be found after many
    // steps instead of one or two, and the larger the batch, the more.
    #[test]
    fn keys_that_count_up_are_found_in_a_few_steps() {
        let check = |label: &str, key: &dyn Fn(u64) -> Vec<u8>| {
            for count in [400usize, 4_000, 30_000] {
                let mut taken = vec![false; (count * 2).next_power_of_two()];
                let mut steps = 0;
                for number in 0..count {
                    let mut slot = first_slot(hash(&key(number as u64)), taken.len());
                    steps += 1;
                    while std::mem::replace(&mut taken[slot], true) {
                        slot = (slot + 1) % taken.len();
                        steps += 1;
                    }
                }
                assert!(steps < count * 2, "{label}: {steps} steps for {count} keys");
            }
        };
        let text = |text: String| [&[3][..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
        check("order-00001234", &|number| text(format!("order-{number:08}")));
        check("customer-001234", &|number| text(format!("customer-{number:06}")));
        check("c-1234", &|number| text(format!("c-{number}")));
        check("1234 as a text", &|number| text(number.to_string()));
        check("1234", &|number| [&[1][..], &number.to_le_bytes()].concat());
        check("12340", &|number| [&[1][..], &(number * 10).to_le_bytes()].concat());
    }

    // Two rows taken for one would be lost silently.
    #[test]
    fn keys_are_equal_when_every_byte_is() {
        for len in 0..40 {
            let key: Vec<u8> = (0..len).collect();
            assert!(equal(&key, &key.clone()), "{len} bytes");
            assert!(!equal(&key, &[&key[..], &[0]].concat()), "{len} bytes and one more");
            for at in 0..key.len() {
                let mut other = key.clone();
                other[at] ^= 0x80;
                assert!(!equal(&key, &other), "{len} bytes, byte {at}");
            }
        }
    }
}
