//! What librdkafka says of settings, asked of librdkafka itself: its list and this one cannot drift apart.
#![allow(unsafe_code, reason = "librdkafka's list of its settings has no safe wrapping")]

use std::collections::BTreeSet;
use std::ffi::{c_char, c_int, c_void};
use std::io::{self, Read as _, Seek as _};
use std::os::fd::{FromRawFd as _, IntoRawFd as _, OwnedFd};

use rdkafka::ClientConfig;
use rdkafka::bindings as native;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::Error;

// librdkafka prints its list to a stream of C, and Rust's library has none.
unsafe extern "C" {
    fn fdopen(descriptor: c_int, mode: *const c_char) -> *mut c_void;
    fn fclose(stream: *mut c_void) -> c_int;
}

/// Whether librdkafka has a setting of this name that takes this value, whatever else is set.
pub(super) fn check(key: &str, value: &str) -> Result<(), Error> {
    match ClientConfig::new().set(key, value).create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => Err(Error::Setting {
            key: key.to_owned(),
            reason: "is unknown: librdkafka has no setting of this name".to_owned(),
        }),
        Err(error) => Err(Error::creation(&error)),
    }
}

/// The names of the settings that there are, to find the one that was meant; none where the list cannot be had.
pub(super) fn names() -> BTreeSet<String> {
    let printed = printed().unwrap_or_default();
    let names = printed.lines().filter_map(|line| Some(line.split_once(" | ")?.0.trim_end()));
    // What is not written like a setting is a heading, or a pointer that no text can set.
    let is_name =
        |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || b".0123456789".contains(&byte));
    names.filter(is_name).map(str::to_owned).collect()
}

/// The table that librdkafka's CONFIGURATION.md consists of. What lists a configuration itself leaves out what is not set.
fn printed() -> io::Result<String> {
    let mut file = tempfile::tempfile()?;
    let descriptor = OwnedFd::from(file.try_clone()?).into_raw_fd();
    // SAFETY: the descriptor is open and of nobody else; the stream has it from here to `fclose`, and is used for one call.
    // Where there is no stream the descriptor is closed as it was opened.
    unsafe {
        let stream = fdopen(descriptor, c"w".as_ptr());
        if stream.is_null() {
            let error = io::Error::last_os_error();
            drop(OwnedFd::from_raw_fd(descriptor));
            return Err(error);
        }
        native::rd_kafka_conf_properties_show(stream.cast());
        fclose(stream);
    }
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    // A suggestion that is refused in turn would be worse than none.
    #[test]
    fn the_names_are_librdkafkas() {
        let names = names();
        assert!(names.len() > 100, "{names:?}");
        for expected in ["bootstrap.servers", "message.timeout.ms", "sasl.password", "acks"] {
            assert!(names.contains(expected), "{names:?}");
        }
        for name in &names {
            // What is refused is the value, not the name.
            let refused = check(name, "-").err().map(|error| error.to_string()).unwrap_or_default();
            assert!(!refused.contains("is unknown"), "{refused}");
        }
    }
}
