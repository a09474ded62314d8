//! The client of the log: what it guarantees on the embedded broker, it guarantees on Apache Kafka.

mod embedded;
mod kafka;
mod scenarios;
mod transactions;
