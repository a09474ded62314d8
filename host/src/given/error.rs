//! What is wrong with a test as it is written.

use std::fmt;

/// What is wrong, and where. The file is known to who reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl Error {
    /// At a line.
    pub fn new(line: usize, reason: impl Into<String>) -> Self {
        Error { line, reason: reason.into() }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}
