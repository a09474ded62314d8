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
    use lantern_sdk::given_event;
    use lantern_testing::ReadModel;

    #[test]
    fn a_balance_is_what_came_in_without_what_went_out() {
        let mut balances = ReadModel::<{{Name}}>::new().unwrap();
        balances
            .apply([
                given_event("Deposited", r#"{"account":"ada","cents":500}"#),
                given_event("Deposited", r#"{"account":"grace","cents":70}"#),
                given_event("Withdrawn", r#"{"account":"ada","cents":200}"#),
            ])
            .unwrap();
        let rows = balances.rows("SELECT account, cents FROM balances ORDER BY account").unwrap();
        assert_eq!(rows, ["ada|300", "grace|70"]);
    }
}
