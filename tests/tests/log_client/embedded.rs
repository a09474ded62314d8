//! The guarantees on the embedded broker.

use std::net::SocketAddr;
use std::sync::OnceLock;

use crate::{scenarios, transactions};
use lantern_broker::{Broker, Options};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A broker that can be stopped and started again at the same address.
struct Embedded {
    dir: TempDir,
    runtime: Runtime,
    broker: Option<Broker>,
    address: SocketAddr,
}

impl Embedded {
    fn start() -> Self {
        let mut embedded = Embedded {
            dir: tempfile::tempdir().expect("a folder"),
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .expect("a runtime"),
            broker: None,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        embedded.run();
        embedded
    }

    fn run(&mut self) {
        let options = Options {
            dir: self.dir.path().to_owned(),
            listen: self.address,
            // As Kafka is run in production.
            auto_create_topics: false,
            ..Options::default()
        };
        let broker = self.runtime.block_on(Broker::start(options)).expect("it starts");
        self.address = broker.address();
        self.broker = Some(broker);
    }

    fn stop(&mut self) {
        if let Some(broker) = self.broker.take() {
            self.runtime.block_on(broker.shutdown()).expect("it stops in order");
        }
    }
}

/// The address of a broker that the tests share; each has topics of its own.
fn servers() -> String {
    static SHARED: OnceLock<Embedded> = OnceLock::new();
    SHARED.get_or_init(Embedded::start).address.to_string()
}

#[test]
fn reading_starts_exactly_where_it_should() {
    scenarios::reading_starts_exactly_where_it_should(&servers());
}

#[test]
fn bounds_of_a_fetch_lose_and_repeat_nothing() {
    scenarios::bounds_of_a_fetch_lose_and_repeat_nothing(&servers());
}

#[test]
fn a_record_is_read_as_it_was_sent() {
    scenarios::a_record_is_read_as_it_was_sent(&servers());
}

#[test]
fn a_partition_that_is_added_is_read() {
    scenarios::a_partition_that_is_added_is_read(&servers());
}

#[test]
fn partitions_are_taken_in_the_order_that_is_asked_for() {
    scenarios::partitions_are_taken_in_the_order_that_is_asked_for(&servers());
}

#[test]
fn a_gap_in_the_log_is_told_with_its_place() {
    scenarios::a_gap_in_the_log_is_told_with_its_place(&servers());
}

#[test]
fn a_topic_that_is_missing_is_told_by_its_name() {
    scenarios::a_topic_that_is_missing_is_told_by_its_name(&servers());
}

#[test]
fn topics_and_what_they_hold_are_listed() {
    scenarios::topics_and_what_they_hold_are_listed(&servers());
}

#[test]
fn the_end_is_behind_aborted_records_and_markers() {
    scenarios::the_end_is_behind_aborted_records_and_markers(&servers());
}

#[test]
fn a_transaction_with_a_refused_record_is_taken_back_at_once() {
    transactions::a_transaction_with_a_refused_record_is_taken_back_at_once(&servers());
}

#[test]
fn a_broker_may_come_later_and_go() {
    let mut embedded = Embedded::start();
    embedded.stop();
    let servers = embedded.address.to_string();
    let embedded = std::cell::RefCell::new(embedded);
    scenarios::a_broker_may_come_later_and_go(&servers, &mut || embedded.borrow_mut().run(), &mut || {
        embedded.borrow_mut().stop()
    });
}
