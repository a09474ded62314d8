//! `Row`: operations on one row.

use lantern_sdk::{Db, Event, Result, Table};
use serde::Deserialize;

static ROWS: Table = Table::new("rows", &["id"], &["n", "note"]);
static READS: Table = Table::new("reads", &["partition", "position", "step"], &["found", "n", "note"]);

#[derive(Deserialize)]
struct Row {
    id: String,
    ops: String,
}

/// Does the operations in order.
pub fn row(event: &Event<'_>, db: &mut Db) -> Result<()> {
    let Row { id, ops } = event.json()?;
    for (step, op) in ops.split(';').enumerate() {
        let (word, argument) = op.split_once(' ').unwrap_or((op, ""));
        let n = || {
            argument
                .parse::<i64>()
                .map_err(|error| event.bad_input(format_args!("the operation {op:?}: {error}")))
        };
        match word {
            "put" => db.put(&ROWS, &id, (n()?, "put")),
            "add" => drop(db.upsert(&ROWS, &id).add("n", n()?)),
            "max" => drop(db.upsert(&ROWS, &id).max("n", n()?)),
            "min" => drop(db.upsert(&ROWS, &id).min("n", n()?)),
            "set" => drop(db.upsert(&ROWS, &id).set("n", n()?)),
            "null" => drop(db.upsert(&ROWS, &id).set("n", None::<i64>)),
            "note" => drop(db.upsert(&ROWS, &id).set("note", argument)),
            "touch" => drop(db.upsert(&ROWS, &id)),
            "uset" => drop(db.update(&ROWS, &id).set("n", n()?)),
            "uadd" => drop(db.update(&ROWS, &id).add("n", n()?)),
            "delete" => db.delete(&ROWS, &id),
            "get" => read(event, step, &id, db)?,
            _ => return Err(event.bad_input(format_args!("{op:?} is no operation"))),
        }
    }
    Ok(())
}

fn read(event: &Event<'_>, step: usize, id: &str, db: &mut Db) -> Result<()> {
    let (found, n, note) = match db.get(&ROWS, id)? {
        Some(row) => (1, row.get::<Option<i64>>("n")?, row.get::<Option<&str>>("note")?.map(str::to_owned)),
        None => (0, None, None),
    };
    db.put(&READS, (event.partition(), event.offset(), step), (found, n, note));
    Ok(())
}
