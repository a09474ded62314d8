//! One text over many records, by which two logs are compared.

use crate::event::Record;
use sha2::{Digest as _, Sha256};

/// Over records in their order: key, headers, time and value of each.
#[derive(Clone, Default)]
pub struct Sum(Sha256);

impl Sum {
    /// Adds a record.
    pub fn add(&mut self, record: &Record<'_>) {
        self.0.update(record.timestamp_ms.to_le_bytes());
        self.bytes(record.key);
        self.bytes(record.payload);
        for (name, value) in record.headers.iter() {
            self.bytes(Some(name.as_bytes()));
            self.bytes(value);
        }
        // No length is this one: headers end here.
        self.0.update(u64::MAX.to_le_bytes());
    }

    fn bytes(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            // One less than what ends the headers: nothing is as long.
            None => self.0.update((u64::MAX - 1).to_le_bytes()),
            Some(bytes) => {
                self.0.update((bytes.len() as u64).to_le_bytes());
                self.0.update(bytes);
            }
        }
    }

    /// Adds another sum, as text.
    pub fn add_text(&mut self, sum: &str) {
        self.bytes(Some(sum.as_bytes()));
    }

    /// As text.
    pub fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
