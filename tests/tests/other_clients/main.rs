//! Clients that others wrote, on the embedded broker: what matters to users is not that it answers the client that it
//! was written with.
//!
//! - [`tools`]: the Java client, by the tools that Kafka comes with.
//! - [`streams`]: Kafka Streams, whose exactly once needs everything that a broker promises.
//! - [`kcat`]: librdkafka as Debian has it.
//! - [`libraries`]: clients of other languages, which all do the same.
//!
//! What is expected is what Apache Kafka does: with `LANTERN_TESTS_BROKER=HOST:PORT` the same runs on any other broker that
//! is empty, one test at a time, but for what depends on the size of its segments.

mod kcat;
mod libraries;
mod streams;
mod tools;

use std::env;

use anyhow::Result;
use lantern_tests::broker::OwnBroker;

/// The broker that a test's clients talk to.
enum Broker {
    Own(OwnBroker),
    Named(String),
}

impl Broker {
    /// A new one, whose segments are so small that retention and compaction have something to do.
    fn start() -> Result<Self> {
        Ok(match env::var("LANTERN_TESTS_BROKER") {
            Ok(address) => Broker::Named(address),
            Err(_) => Broker::Own(OwnBroker::start_with(&[
                "--segment-bytes",
                "65536",
                "--maintain-every-ms",
                "100",
            ])?),
        })
    }

    /// Whether its segments are as small as the tests want them.
    fn compacts_soon(&self) -> bool {
        matches!(self, Broker::Own(_))
    }

    fn address(&self) -> &str {
        match self {
            Broker::Own(broker) => broker.address(),
            Broker::Named(address) => address,
        }
    }
}
