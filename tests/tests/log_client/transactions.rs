//! What appending in transactions guarantees, on whatever broker.

use lantern::log::{TransactionError, TransactionRecord, TransactionalProducer};

use crate::scenarios::{PATIENCE, create, options};

/// Transactions of which a record is refused.
const ROUNDS: u32 = 8;
/// The broker takes no batch of so many bytes.
const BATCH_BYTES_MAX: usize = 20_000;

// What is on its way behind a record that the broker refuses is answered at any moment, also while more is handed over, and while
// the transaction is taken back. Whenever that is, it is known why it failed, and another can begin at once.
pub fn a_transaction_with_a_refused_record_is_taken_back_at_once(servers: &str) {
    let topic = "refused-in-transaction";
    let bytes_max = BATCH_BYTES_MAX.to_string();
    create(servers, topic, 1, &[("max.message.bytes", &bytes_max)]);
    let mut options = options(servers);
    // A request for each record, five of them on their way at once.
    options.set("batch.num.messages", "1");
    let producer = TransactionalProducer::new(&options, "refused").expect("the options are right");
    producer.init(PATIENCE).expect("the broker has transactions");
    let send = |bytes: usize| {
        let payload = vec![b'0'; bytes];
        let record = TransactionRecord {
            topic,
            partition: 0,
            key: b"a",
            payload: &payload,
            headers: &[],
            timestamp_ms: 0,
        };
        producer.send(record)
    };
    let mut refused = 0;
    for round in 0..ROUNDS {
        producer.begin().expect("a transaction");
        let mut sizes = [10, 2 * BATCH_BYTES_MAX].into_iter().chain([10; 20]);
        let told = sizes.try_for_each(|bytes| send(bytes).map(drop)).and_then(|()| producer.commit(PATIENCE));
        refused += u32::from(matches!(told, Err(TransactionError::Refused { .. })));
        // The broker has not counted what it has refused: the next is out of order, once.
        let is_right = match &told {
            Err(TransactionError::NotAppended { reason }) => !reason.contains("state"),
            told => matches!(told, Err(TransactionError::Refused { .. })),
        };
        assert!(is_right, "round {round}: {told:?}");
        // Shorter than an abort that waits for what never comes.
        let aborted = producer.abort(PATIENCE / 10);
        assert!(aborted.is_ok(), "round {round}: {aborted:?}");
    }
    assert!(refused >= ROUNDS / 2, "it was known {refused} times that a record was refused");
    let mut appended = Vec::new();
    for _ in 0..2 {
        producer.begin().expect("a transaction");
        let told = send(10).and_then(|_| producer.commit(PATIENCE));
        match told {
            Ok(offsets) => appended.extend(offsets),
            Err(_) => producer.abort(PATIENCE).expect("it is taken back"),
        }
    }
    assert!(!appended.is_empty(), "nothing can be appended any more");
}
