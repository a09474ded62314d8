//! Deposits were once written in whole units, and are in cents today.

use lantern_sdk::{Event, Manifest, Result, Upcaster};
use serde::{Deserialize, Serialize};

/// What was written.
#[derive(Deserialize)]
enum Old {
    DepositedV1 { account: String, amount: i64 },
}

/// What it is today.
#[derive(Debug, PartialEq, Serialize)]
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

    fn upcast(Old::DepositedV1 { account, amount }: Old, event: &Event<'_>) -> Result<New> {
        match amount.checked_mul(100) {
            Some(cents) => Ok(New::Deposited { account, cents }),
            None => Err(event.bad_input(format_args!("{amount} is too much to be cents"))),
        }
    }
}

lantern_sdk::upcaster!({{Name}});

#[cfg(test)]
mod tests {
    use super::*;
    use lantern_sdk::{Upcast, given_event};

    #[test]
    fn what_was_in_whole_units_is_in_cents() {
        let old = given_event::<{{Name}}>("DepositedV1", r#"{"account":"ada","amount":5}"#);
        let new = New::Deposited { account: "ada".into(), cents: 500 };
        assert_eq!(old.upcast().unwrap(), Upcast::of(&new).unwrap());
    }

    #[test]
    fn an_amount_that_is_too_much_is_refused() {
        let old = given_event::<{{Name}}>("DepositedV1", r#"{"account":"ada","amount":9223372036854775807}"#);
        assert!(old.upcast().unwrap_err().to_string().contains("too much"));
    }

    #[test]
    fn the_manifest_is_one_that_a_host_takes() {
        assert_eq!({{Name}}::manifest().check().unwrap().name, "{{name}}");
    }
}
