//! The balance of every account.

use lantern_sdk::{Db, Event, Manifest, Projection, Result, Table};
use serde::Deserialize;

/// What happens in the topic `accounts`.
#[derive(Deserialize)]
enum Account {
    Deposited { account: String, cents: i64 },
    Withdrawn { account: String, cents: i64 },
}

static BALANCES: Table = Table::new("balances", &["account"], &["cents"]);

#[derive(Default)]
struct {{Name}};

impl Projection for {{Name}} {
    fn manifest() -> Manifest {
        Manifest::new("{{name}}")
            .version(env!("CARGO_PKG_VERSION"))
            .topic("accounts")
            .types(["Deposited", "Withdrawn"])
            .schema("CREATE TABLE balances (account TEXT PRIMARY KEY, cents INTEGER NOT NULL)")
    }

    fn apply(&mut self, event: &Event<'_>, db: &mut Db) -> Result<()> {
        match event.decode()? {
            Account::Deposited { account, cents } => db.upsert(&BALANCES, account).add("cents", cents),
            Account::Withdrawn { account, cents } => db.upsert(&BALANCES, account).add("cents", -cents),
        };
        Ok(())
    }
}

lantern_sdk::projection!({{Name}});

#[cfg(test)]
mod tests {
    use super::*;
    use lantern_sdk::guest::decode;

    #[test]
    fn events_are_read_as_they_are_written() {
        let event = decode("Deposited", br#"{"account":"ada","cents":500}"#).unwrap();
        assert!(matches!(event, Account::Deposited { account, cents: 500 } if account == "ada"));
    }

    #[test]
    fn the_manifest_is_one_that_a_host_takes() {
        assert_eq!({{Name}}::manifest().check().unwrap().name, "{{name}}");
    }
}
