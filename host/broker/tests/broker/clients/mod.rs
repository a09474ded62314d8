//! What clients may expect of a broker: one suite, run on the embedded broker and on Apache Kafka.
//!
//! Where the two differ, docs/embedded-broker.md lists the difference with its reason. Tests that
//! restart the broker do so on the embedded one; what Kafka keeps over a restart is Kafka's affair.

mod groups;
mod records;
mod topics;
mod transactions;
