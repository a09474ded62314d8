//! A plugin writes what it wants sent, and nothing else; what was promised is kept.

use super::super::tests::{Scratch, TABLE, blueprint, frame};
use super::super::{Blueprint, Durability, Refusal, Writer};
use super::*;

/// A read model of a plugin that sends commands, for tests of this module and of who sends them.
pub(crate) struct Plugin {
    scratch: Scratch,
    writer: std::cell::RefCell<Option<Writer>>,
    sends: Vec<String>,
}

impl Plugin {
    pub(crate) fn sending(aggregates: &[&str]) -> Self {
        let sends = aggregates.iter().map(|name| (*name).to_owned()).collect();
        Plugin { scratch: Scratch::new(), writer: std::cell::RefCell::default(), sends }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.scratch.path()
    }

    /// Runs statements as the plugin does, in one transaction.
    pub(crate) fn try_run(&self, statements: &[&str]) -> Result<(), Refusal> {
        let mut writer = self.writer.borrow_mut();
        let writer = writer.get_or_insert_with(|| {
            let blueprint = Blueprint { sends: self.sends.clone(), ..blueprint(&[TABLE]) };
            Writer::open(&self.path(), &blueprint, Durability::Normal).unwrap()
        });
        writer.begin().unwrap();
        let done = statements.iter().try_for_each(|sql| {
            let statement = writer.prepare(sql)?;
            writer.apply(&frame(statement, &[])).map(drop)
        });
        match done {
            Ok(()) => writer.commit(&[]).unwrap(),
            Err(_) => writer.rollback(),
        }
        done
    }

    pub(crate) fn run(&self, statements: &[&str]) {
        self.try_run(statements).unwrap();
    }

    /// The same read model, whose plugin now sends to these.
    pub(crate) fn swapped(self, aggregates: &[&str]) -> Self {
        self.close();
        Plugin { scratch: self.scratch, ..Plugin::sending(aggregates) }
    }

    pub(crate) fn close(&self) {
        self.writer.borrow_mut().take();
    }

    /// The first column of a query's rows.
    pub(crate) fn ask(&self, sql: &str) -> Vec<String> {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap()
    }
}

/// The statement by which a plugin sends a command, as the SDK's.
pub(crate) fn insert(key: &str, id: &str, due_ms: Option<i64>) -> String {
    let due = due_ms.map_or("NULL".to_owned(), |due| due.to_string());
    format!(
        r#"INSERT INTO "_lantern_outbox" (key, aggregate, id, command, payload, due_ms, correlation, causation)
           VALUES ('{key}', 'account', '{id}', 'Withdraw', x'7b7d', {due}, NULL, NULL)
           ON CONFLICT (key) DO UPDATE SET aggregate = excluded.aggregate, id = excluded.id,
               command = excluded.command, payload = excluded.payload, due_ms = excluded.due_ms,
               correlation = excluded.correlation, causation = excluded.causation"#
    )
}

// What is in the outbox depends on when it was sent: a plugin that read it could not be replayed. And a command to an
// aggregate that the manifest does not name would wait for ever.
#[test]
fn only_a_process_manager_writes_its_outbox_and_nobody_reads_it() {
    let manager = Plugin::sending(&["account", "order"]);
    manager.run(&[&insert("a", "1", None), &insert("a", "2", Some(7)), &insert("b", "3", None)]);
    manager.run(&["DELETE FROM _lantern_outbox WHERE key = 'b'"]);
    assert_eq!(manager.ask("SELECT key || id || due_ms FROM _lantern_outbox"), ["a27"]);
    let check = |plugin: &Plugin, sql: &str, reason: &str| {
        let refusal = plugin.try_run(&[sql]).expect_err(sql);
        assert!(refusal.message.contains(reason), "{sql}\n  said: {}", refusal.message);
    };
    check(&manager, "INSERT INTO t SELECT 1, key FROM _lantern_outbox", "cannot be read");
    check(&manager, "DELETE FROM t WHERE x IN (SELECT key FROM _lantern_outbox)", "cannot be read");
    check(&manager, "DELETE FROM _lantern_unsent", "Lantern's own");
    check(&manager, "UPDATE _lantern_checkpoints SET next_offset = 0", "Lantern's own");
    check(&manager, &insert("a", "1", None).replace("'account'", "'customer'"), "`sends` does not name");
    let other = Plugin::sending(&[]);
    check(&other, &insert("a", "1", None), "no such table");
    // A swap may make a process manager of a projection, and one that sends elsewhere.
    other.run(&["INSERT INTO t VALUES (1, 2)"]);
    let other = other.swapped(&["account"]);
    other.run(&[&insert("a", "1", None)]);
    let other = other.swapped(&["order"]);
    check(&other, &insert("b", "1", None), "`sends` does not name");
    let other = other.swapped(&[]);
    check(&other, &insert("b", "1", None), "the manifest's `sends`");
    assert_eq!(other.ask("SELECT key FROM _lantern_outbox"), ["a"]);
}

#[test]
fn what_a_generation_no_longer_sends_is_counted_when_it_goes_live() {
    let live = Plugin::sending(&["account"]);
    live.run(&[&insert("a", "1", None), &insert("b", "1", None)]);
    let silent = Plugin::sending(&[]);
    silent.run(&["INSERT INTO t VALUES (1, 2)"]);
    assert_eq!(take_over(&live.path(), &silent.path()).unwrap(), 2);
    let next = Plugin::sending(&["order"]);
    next.run(&["INSERT INTO t VALUES (1, 2)"]);
    // What is taken over was promised, whatever the next one sends.
    assert_eq!(take_over(&live.path(), &next.path()).unwrap(), 0);
    assert_eq!(next.ask("SELECT key FROM _lantern_outbox"), ["a", "b"]);
    assert_eq!(take_over(&silent.path(), &next.path()).unwrap(), 0);
    assert!(next.ask("SELECT key FROM _lantern_outbox").is_empty());
}
