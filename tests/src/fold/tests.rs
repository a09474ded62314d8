use rusqlite::Connection;

use super::{Records, check_ledger, mix};
use crate::client::Record;
use crate::read_model::ReadModel;

const TOPIC: &str = "t";

/// A read model as a right `ledger` leaves it, of two partitions read in turns, with one record
/// left behind the checkpoint of partition 1.
fn right() -> (ReadModel, Records) {
    let record = |partition, offset: i64| Record {
        partition,
        offset,
        key: Some(format!("{partition}-{}", offset % 2).into_bytes()),
        value: Some(format!("value {partition} {offset}").into_bytes()),
        headers: Vec::new(),
    };
    // Offset 1 is the marker of a transaction, which readers are not shown.
    let log: Records = [0, 1].map(|p| (p, vec![record(p, 0), record(p, 2), record(p, 3)])).into();
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch(
            r#"CREATE TABLE entries (seq, topic, "partition", "offset", "key" BLOB, value BLOB);
               CREATE TABLE accounts ("key" BLOB, events, fold);
               CREATE TABLE total (events, fold);
               CREATE TABLE _lantern_checkpoints (topic TEXT, partition INTEGER, next_offset INTEGER);
               INSERT INTO _lantern_checkpoints VALUES ('t', 0, 4), ('t', 1, 3);"#,
        )
        .unwrap();
    let order = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 2)];
    let mut everything = 0;
    for (seq, (partition, index)) in order.into_iter().enumerate() {
        let Record { offset, key, value, .. } = &log[&partition][index];
        let entry = (seq as i64 + 1, TOPIC, partition, offset, key, value);
        connection.execute("INSERT INTO entries VALUES (?,?,?,?,?,?)", entry).unwrap();
        let old = connection
            .query_row(r#"SELECT events, fold FROM accounts WHERE "key" = ?"#, [key], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })
            .unwrap_or((0, 0));
        connection.execute(r#"DELETE FROM accounts WHERE "key" = ?"#, [key]).unwrap();
        let account = (key, old.0 + 1, mix(old.1, value.as_deref()));
        connection.execute("INSERT INTO accounts VALUES (?,?,?)", account).unwrap();
        everything = mix(everything, value.as_deref());
    }
    connection.execute("INSERT INTO total VALUES (5, ?)", [everything]).unwrap();
    (ReadModel { connection }, log)
}

// Every promise is judged by this check, so it must accept what is right and see whatever is not.
#[test]
fn the_check_sees_events_that_are_lost_doubled_changed_or_out_of_order() {
    let (model, log) = right();
    assert_eq!(check_ledger(&model, TOPIC, &log).unwrap(), 5);

    let check = |damage: &str, seen: &str| {
        let (model, log) = right();
        model.connection.execute_batch(damage).unwrap();
        let error = check_ledger(&model, TOPIC, &log).expect_err(damage);
        assert!(format!("{error:#}").contains(seen), "{damage}: {error:#}");
    };
    check("DELETE FROM entries WHERE seq = 5", "t/0@3 is lost");
    check("DELETE FROM entries WHERE seq = 1", "t/1@0 is counted as event 2");
    check(
        "DELETE FROM entries WHERE seq = 1; UPDATE entries SET seq = seq - 1",
        "t/0@2 was applied where t/0@0 comes next",
    );
    check(
        "INSERT INTO entries SELECT 6, topic, \"partition\", \"offset\", \"key\", value FROM entries WHERE seq = 5",
        "t/0@3 was applied beyond the log's end",
    );
    check("UPDATE entries SET seq = 5 - seq WHERE seq IN (1, 4)", "t/0@2 was applied where t/0@0");
    check("UPDATE entries SET value = x'00' WHERE seq = 2", "t/1@0 has other content");
    check("UPDATE entries SET seq = 6 WHERE seq = 5", "counted as event 6");
    check("UPDATE total SET fold = fold + 1", "total is");
    check("UPDATE accounts SET fold = fold + 1 WHERE rowid = 2", "accounts has");
    check("DELETE FROM accounts WHERE rowid = 2", "accounts has 2 rows");
    check("UPDATE _lantern_checkpoints SET next_offset = 9 WHERE partition = 1", "t/1@3 is lost");
    check("UPDATE _lantern_checkpoints SET next_offset = 2 WHERE partition = 1", "beyond the log's end");
    check("INSERT INTO _lantern_checkpoints VALUES ('t', 7, 1)", "t/7, which is not");
}
