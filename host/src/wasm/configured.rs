//! A plugin's configuration: a custom section at the end of its file, so that file and configuration are one artifact,
//! which its digest names.

use std::sync::Arc;

/// The section's name.
const SECTION: &str = "lantern-config";
/// The kind of a custom section, in modules and components alike.
const CUSTOM: u8 = 0;
/// Magic and version.
const HEADER_BYTES: usize = 8;

/// The file of a plugin with this configuration; one that it had is no longer in force.
pub fn configured(artifact: &[u8], configuration: &str) -> Vec<u8> {
    let mut section = Vec::new();
    leb(SECTION.len(), &mut section);
    section.extend_from_slice(SECTION.as_bytes());
    section.extend_from_slice(configuration.as_bytes());
    let mut out = artifact.to_vec();
    out.push(CUSTOM);
    leb(section.len(), &mut out);
    out.extend_from_slice(&section);
    out
}

/// The configuration in a plugin's file: the last one.
pub(super) fn configuration(artifact: &[u8]) -> Option<Arc<str>> {
    let mut rest = artifact.get(HEADER_BYTES..)?;
    let mut found = None;
    // What is no section ends it; the compiler says more about such a file.
    while let Some((kind, content, after)) = section(rest) {
        if kind == CUSTOM
            && let Some((name, configuration)) = named(content)
            && name == SECTION.as_bytes()
        {
            found = std::str::from_utf8(configuration).ok();
        }
        rest = after;
    }
    found.map(Arc::from)
}

/// The first section: its kind, its content, and what comes after it.
fn section(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (content, after) = sized(rest)?;
    Some((*kind, content, after))
}

fn named(content: &[u8]) -> Option<(&[u8], &[u8])> {
    sized(content)
}

/// Bytes with their number before them, and what comes after.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut size = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        size |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return bytes[index + 1..].split_at_checked(usize::try_from(size).ok()?);
        }
    }
    None
}

fn leb(mut number: usize, out: &mut Vec<u8>) {
    while number > 0x7f {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // A plugin that is given another's configuration, or none, fills its tables with nonsense.
    #[test]
    fn a_file_carries_the_configuration_that_was_put_in_last() {
        let module = wat::parse_str("(module (func))").unwrap();
        assert_eq!(configuration(&module), None);
        let long = "x".repeat(40_000);
        for text in ["", "{}", long.as_str()] {
            let with = configured(&module, text);
            assert_eq!(configuration(&with).as_deref(), Some(text));
            assert_eq!(configuration(&configured(&with, "after")).as_deref(), Some("after"));
            wasmparser::validate(&with).unwrap();
        }
        let component = wat::parse_str("(component)").unwrap();
        assert_eq!(configuration(&configured(&component, "é")).as_deref(), Some("é"));
    }

    proptest! {
        // A file comes from anywhere, and is read before anybody has checked it.
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = configuration(&bytes);
        }
    }
}
