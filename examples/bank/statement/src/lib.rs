//! The statements of accounts: every line with the balance after it.

use bank_events::AccountEvent;
use lantern_sdk::{Db, Event, Manifest, Projection, Result, Table};

static ACCOUNTS: Table = Table::new("accounts", &["account"], &["owner", "cents"]);
static LINES: Table =
    Table::new("lines", &["account", "line"], &["at_ms", "text", "cents", "balance_cents", "transfer"]);

/// The projection.
#[derive(Default)]
pub struct Statement;

impl Projection for Statement {
    fn manifest() -> Manifest {
        Manifest::new("bank-statement")
            .version(env!("CARGO_PKG_VERSION"))
            .description("Balances and statements of accounts")
            .topic("accounts")
            .headers(["ce_aggregateversion"])
            .schema("CREATE TABLE accounts (account TEXT PRIMARY KEY, owner TEXT, cents INTEGER NOT NULL DEFAULT 0)")
            .schema(
                "CREATE TABLE lines (
                    account       TEXT NOT NULL,
                    line          INTEGER NOT NULL,
                    at_ms         INTEGER NOT NULL,
                    text          TEXT NOT NULL,
                    cents         INTEGER NOT NULL,
                    balance_cents INTEGER NOT NULL,
                    transfer      TEXT,
                    PRIMARY KEY (account, line)
                )",
            )
            .query(
                "statement",
                "SELECT line, text, cents / 100.0 AS amount, balance_cents / 100.0 AS balance, transfer
                 FROM lines WHERE account = :account ORDER BY line DESC LIMIT 50",
                "The last lines of an account's statement",
            )
    }

    fn apply(&mut self, event: &Event<'_>, db: &mut Db) -> Result<()> {
        let account = event.key_str()?;
        let (text, cents, transfer) = match event.decode()? {
            AccountEvent::Opened { owner } => {
                db.upsert(&ACCOUNTS, account).set("owner", owner);
                return Ok(());
            }
            AccountEvent::Deposited { cents } => ("deposit".to_owned(), cents, None),
            AccountEvent::Withdrawn { cents } => ("withdrawal".to_owned(), -cents, None),
            AccountEvent::Debited { transfer, to, cents } => (format!("to {to}"), -cents, Some(transfer)),
            AccountEvent::Credited { transfer, from, cents } => {
                (format!("from {from}"), cents, Some(transfer))
            }
            AccountEvent::Refunded { transfer, cents } => ("refund".to_owned(), cents, Some(transfer)),
        };
        // An account's events are in one partition, so that what is stored is the balance before this one.
        let before = db.get(&ACCOUNTS, account)?.map(|row| row.get::<i64>("cents")).transpose()?;
        let balance = before.unwrap_or(0) + cents;
        db.upsert(&ACCOUNTS, account).set("cents", balance);
        db.put(&LINES, (account, version(event)?), (event.timestamp_ms(), text, cents, balance, transfer));
        Ok(())
    }
}

/// The account's version after the event: the number of its line.
fn version(event: &Event<'_>) -> Result<i64> {
    let header = event.header("ce_aggregateversion").and_then(|value| std::str::from_utf8(value).ok());
    header
        .and_then(|version| version.parse().ok())
        .ok_or_else(|| event.bad_input("it has no ce_aggregateversion: it is no event of an aggregate"))
}

lantern_sdk::projection!(Statement);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_one_that_a_host_takes() {
        Statement::manifest().check().unwrap();
    }
}
