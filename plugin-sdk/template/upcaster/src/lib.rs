//! Deposits that were in whole units are read as deposits in cents.

use lantern_sdk::{Event, Manifest, Result, Upcaster};
use serde::{Deserialize, Serialize};

/// Events of the topic `accounts`, as they were written once.
#[derive(Deserialize)]
enum Old {
    DepositedV1 { account: String, amount: i64 },
}

/// The same events as they are today.
#[derive(Serialize)]
enum New {
    Deposited { account: String, cents: i64 },
}

struct {{Name}};

impl Upcaster for {{Name}} {
    type Old = Old;
    type New = New;

    fn manifest() -> Manifest {
        Manifest::new("{{name}}")
            .version(env!("CARGO_PKG_VERSION"))
            .topic("accounts")
            .types(["DepositedV1"])
    }

    fn upcast(old: Old, _: &Event<'_>) -> Result<New> {
        let Old::DepositedV1 { account, amount } = old;
        Ok(New::Deposited { account, cents: amount * 100 })
    }
}

lantern_sdk::upcaster!({{Name}});

#[cfg(test)]
mod tests {
    use super::*;
    use lantern_sdk::{Upcast, given_event};

    #[test]
    fn whole_units_become_cents() {
        let today = given_event::<{{Name}}>("DepositedV1", r#"{"account":"ada","amount":5}"#).upcast().unwrap();
        assert_eq!(today, Upcast::of(&New::Deposited { account: "ada".into(), cents: 500 }).unwrap());
    }
}
