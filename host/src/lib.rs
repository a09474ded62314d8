//! Lantern: a projection engine whose logic is WebAssembly.
//!
//! # Layout
//!
//! Data flows one way, and imports point one way, downwards in this list:
//!
//! * [`cli`]: the commands, one file each.
//! * [`host`]: one running host: the data folder, the log, the projections, their supervision.
//! * [`http`]: deployments and queries for programs of this machine.
//! * [`deployment`]: what runs and what shall run: deploy, swap, rebuild, promote, roll back.
//! * [`catalog`]: what is deployed, as it was left, and the history.
//! * [`given`]: given-when-then: cases of a test, run against a plugin without a log.
//! * [`config`]: `lantern.toml`, environment and flags; composes the options that the modules own.
//! * [`data_dir`]: where everything lies, and who may write it.
//! * [`command`]: one aggregate type: decide, append, keep, answer.
//! * [`projection`]: one projection: fetch, decode, batch, apply, commit.
//! * [`upcast`]: old events become events of today, before anybody sees them.
//! * [`plugin`]: an artifact: bytes, digest, exports, manifest.
//! * [`aggregate_store`]: states, events and idempotency keys of one aggregate type.
//! * [`wasm`]: the engine. The only module that knows wasmtime.
//! * [`read_model`]: a projection's database, in SQLite.
//! * [`log`]: the client of the log. The only module that knows librdkafka.
//! * [`event`]: records, envelopes, events. Everything may use it; it uses nothing.
//! * [`fault`]: what a thread says that panicked. The same holds of it.
//!
//! `log`, `wasm`, `read_model` and `aggregate_store` do not import each other; `projection` and `command` are where they meet.

pub mod aggregate_store;
pub mod catalog;
pub mod cli;
pub mod command;
pub mod config;
pub mod data_dir;
pub mod deployment;
pub mod event;
pub mod fault;
pub mod given;
pub mod host;
pub mod http;
pub mod log;
pub mod plugin;
pub mod projection;
pub mod read_model;
pub mod upcast;
pub mod wasm;
