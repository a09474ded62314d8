use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::Kafka;
use crate::stream::Stream;
use crate::{client, seed, wait};

// The promise tests kill Kafka in the middle of a stream. That shows something only if what Kafka
// had acknowledged is still there, transactions work, and it comes back where clients look for it.
#[test]
fn kafka_comes_back_after_sigkill_with_what_it_had_acknowledged() {
    let Some(kafka) = Kafka::start().unwrap() else {
        return;
    };
    let address = kafka.address();
    client::create_topic(&address, "kept", 2).unwrap();

    let timeout = Duration::from_secs(30);
    let producer: BaseProducer = client::config(&address).set("transactional.id", "t").create().unwrap();
    producer.init_transactions(timeout).unwrap();
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::to("kept").partition(1).key("k").payload("v")).unwrap();
    producer.commit_transaction(timeout).unwrap();

    kafka.kill();
    kafka.restart().unwrap();
    assert_eq!(kafka.address(), address);
    let consumer: BaseConsumer = client::config(&address).create().unwrap();
    // Kafka knows its high watermark only when it leads the partition again, and says 0 before. Killed between writing a marker
    // and noting that it did, it writes another.
    wait::until("one record and the marker of its transaction are there", || {
        let watermarks = consumer.fetch_watermarks("kept", 1, timeout).unwrap();
        Ok((watermarks.0 == 0 && watermarks.1 >= 2).then_some(()))
    })
    .unwrap();
}

// The stream of promise 1 must be right about what it was told, or its check shows nothing; and a
// log that lost a record it had acknowledged must be caught.
#[test]
fn a_stream_goes_on_over_kills_and_remembers_what_was_acknowledged() {
    let Some(kafka) = Kafka::start().unwrap() else {
        return;
    };
    let (seed, _) = seed::seeded();
    let address = kafka.address();
    client::create_topic(&address, "stream", 2).unwrap();
    let stream = Stream::start(&address, "stream", 2, seed);
    let grown_by = |records: i64, before: i64| {
        let consumer: BaseConsumer = client::config(&address).create().unwrap();
        let end = || consumer.fetch_watermarks("stream", 0, Duration::from_secs(5)).map(|at| at.1);
        // Kafka says 0 until it leads the partition again.
        let start = wait::until("what was there is there", || Ok(end().ok().filter(|now| *now >= before)));
        let grown = start.unwrap() + records;
        wait::until("the stream grows", || Ok(end().ok().filter(|now| *now >= grown))).unwrap()
    };
    let before = grown_by(200, 0);
    kafka.restart().unwrap();
    grown_by(200, before);
    let told = stream.stop().unwrap();
    let mut log = client::read_committed(&address, "stream").unwrap();
    told.check(&log).unwrap();

    log.get_mut(&1).unwrap().remove(0);
    assert!(told.check(&log).is_err(), "a lost record is not seen: {}", told.summary());
}
