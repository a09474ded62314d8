//! The guarantees on Apache Kafka.

use crate::{scenarios, transactions};
use anyhow::Result;
use lantern_tests::kafka::{self, Kafka};

/// Runs a scenario on the Kafka that this file's tests share; each has topics of its own.
fn on_kafka(scenario: fn(&str)) {
    if let Some(kafka) = kafka::shared() {
        scenario(&kafka.address());
    }
}

#[test]
fn reading_starts_exactly_where_it_should() {
    on_kafka(scenarios::reading_starts_exactly_where_it_should);
}

#[test]
fn bounds_of_a_fetch_lose_and_repeat_nothing() {
    on_kafka(scenarios::bounds_of_a_fetch_lose_and_repeat_nothing);
}

#[test]
fn a_record_is_read_as_it_was_sent() {
    on_kafka(scenarios::a_record_is_read_as_it_was_sent);
}

#[test]
fn a_partition_that_is_added_is_read() {
    on_kafka(scenarios::a_partition_that_is_added_is_read);
}

#[test]
fn partitions_are_taken_in_the_order_that_is_asked_for() {
    on_kafka(scenarios::partitions_are_taken_in_the_order_that_is_asked_for);
}

#[test]
fn a_gap_in_the_log_is_told_with_its_place() {
    on_kafka(scenarios::a_gap_in_the_log_is_told_with_its_place);
}

#[test]
fn a_topic_that_is_missing_is_told_by_its_name() {
    on_kafka(scenarios::a_topic_that_is_missing_is_told_by_its_name);
}

#[test]
fn topics_and_what_they_hold_are_listed() {
    on_kafka(scenarios::topics_and_what_they_hold_are_listed);
}

#[test]
fn the_end_is_behind_aborted_records_and_markers() {
    on_kafka(scenarios::the_end_is_behind_aborted_records_and_markers);
}

#[test]
fn a_transaction_with_a_refused_record_is_taken_back_at_once() {
    on_kafka(transactions::a_transaction_with_a_refused_record_is_taken_back_at_once);
}

// Its own Kafka, because it is killed.
#[test]
fn a_broker_may_come_later_and_go() -> Result<()> {
    let Some(kafka) = Kafka::start()? else { return Ok(()) };
    kafka.kill();
    scenarios::a_broker_may_come_later_and_go(
        &kafka.address(),
        &mut || kafka.restart().expect("it starts again"),
        &mut || kafka.kill(),
    );
    Ok(())
}
