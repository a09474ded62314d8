//! Read models in memory do what the host does with a projection, as far as they say.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use lantern_sdk::{Command, Db, Event, Fault, GivenEvent, Manifest, Projection, Result, given_event};
use lantern_testing::ReadModel;
use serde::Deserialize;

#[derive(Deserialize)]
enum Order {
    Placed { id: i64, cents: i64 },
    Corrected { id: i64, by: i64 },
    Broken { sql: bool },
}

#[derive(Default)]
struct Orders;

impl Projection for Orders {
    fn manifest() -> Manifest {
        Manifest::new("orders")
            .topic("orders")
            .types(["Placed", "Corrected", "Broken"])
            .headers(["trace"])
            .sends(["payment"])
            .schema("CREATE TABLE orders (id INTEGER PRIMARY KEY, cents INTEGER NOT NULL, topic TEXT, trace TEXT, span TEXT)")
    }

    fn apply(&mut self, event: &Event<'_>, db: &mut Db) -> Result<()> {
        match event.decode()? {
            Order::Placed { id, cents } => {
                let header = |name| event.header(name).and_then(|value| std::str::from_utf8(value).ok());
                let values = (id, cents, event.topic(), header("trace"), header("span"));
                db.execute("INSERT INTO orders VALUES (?1, ?2, ?3, ?4, ?5)", values)?;
                let to = if cents < 0 { "refund" } else { "payment" };
                db.send(
                    event,
                    &format!("{id}/pay"),
                    Command::new(to, id.to_string(), "Pay", &cents)?.due_ms(7),
                );
            }
            Order::Corrected { id, by } => {
                let cents: Option<i64> = db.query_value("SELECT cents FROM orders WHERE id = ?1", id)?;
                db.execute("UPDATE orders SET cents = ?2 WHERE id = ?1", (id, cents.unwrap_or(0) + by))?;
            }
            Order::Broken { sql: true } => db.execute("INSERT INTO orders (id) VALUES (1)", ())?,
            Order::Broken { sql: false } => return Err(lantern_sdk::Error::bad_input("it is broken")),
        }
        Ok(())
    }
}

fn placed(id: i64, cents: i64) -> GivenEvent<Orders> {
    given_event("Placed", format!(r#"{{"id":{id},"cents":{cents}}}"#))
}

// A test that a plugin passes here and not in the host would be worth nothing.
#[test]
fn events_are_applied_as_the_host_gives_them() {
    let mut orders = ReadModel::<Orders>::new().unwrap();
    orders
        .apply([
            placed(1, i64::MAX).header("trace", "t-1").header("span", "not read"),
            given_event("Shipped", "no type that it reads"),
            given_event("Corrected", r#"{"id":1,"by":-1}"#),
            placed(2, 5).topic("old-orders"),
        ])
        .unwrap();
    let rows = orders.rows("SELECT * FROM orders ORDER BY id").unwrap();
    assert_eq!(rows, ["1|9223372036854775806|orders|t-1|null", "2|5|old-orders|null|null"]);
    assert_eq!(orders.query_value("SELECT id FROM orders WHERE cents = ?1", 5_i64).unwrap(), Some(2_i64));
    assert_eq!(orders.query("SELECT 1 WHERE ?1", 0_i64).unwrap().len(), 0);
    let pay = |id: &str, cents: i64| {
        (format!("{id}/pay"), Command::new("payment", id, "Pay", &cents).unwrap().due_ms(7))
    };
    assert_eq!(orders.sent().unwrap(), [pay("1", i64::MAX), pay("2", 5)]);
}

// What fails must fail here too, at the same event, and leave nothing behind.
#[test]
fn a_batch_that_fails_names_its_event_and_leaves_nothing() {
    let check = |bad: GivenEvent<Orders>, fault: Fault, words: &str| {
        let mut orders = ReadModel::<Orders>::new().unwrap();
        orders.apply([placed(1, 1)]).unwrap();
        let error = orders.apply([given_event("Shipped", ""), placed(2, 2), bad]).unwrap_err();
        assert_eq!((error.fault(), error.event()), (fault, Some(2)), "{error}");
        assert!(error.message().contains(words), "{error}");
        assert_eq!(orders.rows("SELECT id FROM orders").unwrap(), ["1"]);
        orders.apply([placed(3, 3)]).unwrap();
        assert_eq!(orders.rows("SELECT id FROM orders").unwrap(), ["1", "3"]);
    };
    check(given_event("Placed", r#"{"id":"x"}"#), Fault::BadInput, "invalid type");
    check(given_event("Broken", r#"{"sql":false}"#), Fault::BadInput, "it is broken");
    check(given_event("Broken", r#"{"sql":true}"#), Fault::Sql, "NOT NULL");
    check(placed(1, 1), Fault::Sql, "UNIQUE");
    check(placed(4, -1), Fault::Sql, "`sends` does not name this aggregate");
}
