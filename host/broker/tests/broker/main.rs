//! The embedded broker, as clients and tools meet it. What counts the process's memory is a program of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod admin;
mod clients;
mod crash;
mod disk;
mod port;
mod security;
#[path = "../support/mod.rs"]
mod support;
