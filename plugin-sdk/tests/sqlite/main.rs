//! The SDK against a real SQLite: what a projection writes is what its tables hold.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests: a helper that fails fails the test")]

mod host;
mod rows;
mod writes;
