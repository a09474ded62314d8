//! Welcomes who signs up with some money, and reminds them a day later unless they are verified by then.

use lantern_sdk::{Command, Db, Event, Manifest, Projection, Result, Table};
use serde::{Deserialize, Serialize};

const WELCOME_CENTS: i64 = 500;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What happens in the topic `signups`.
#[derive(Deserialize)]
enum Signup {
    SignedUp { account: String },
    Verified { account: String },
}

/// What is asked of an account.
#[derive(Serialize)]
enum AccountCommand {
    Deposit { cents: i64 },
    Remind {},
}

static SIGNUPS: Table = Table::new("signups", &["account"], &["state"]);

#[derive(Default)]
struct {{Name}};

impl Projection for {{Name}} {
    fn manifest() -> Manifest {
        Manifest::new("{{name}}")
            .version(env!("CARGO_PKG_VERSION"))
            .topic("signups")
            .types(["SignedUp", "Verified"])
            .sends(["account"])
            .schema("CREATE TABLE signups (account TEXT PRIMARY KEY, state TEXT NOT NULL)")
    }

    fn apply(&mut self, event: &Event<'_>, db: &mut Db) -> Result<()> {
        match event.decode()? {
            Signup::SignedUp { account } => {
                let welcome = AccountCommand::Deposit { cents: WELCOME_CENTS };
                db.send(event, &format!("welcome/{account}"), Command::of("account", &account, &welcome)?);
                let remind = Command::of("account", &account, &AccountCommand::Remind {})?;
                db.send(event, &format!("remind/{account}"), remind.due_ms(event.timestamp_ms() + DAY_MS));
                db.put(&SIGNUPS, account, "waiting");
            }
            Signup::Verified { account } => {
                db.cancel(&format!("remind/{account}"));
                db.put(&SIGNUPS, account, "verified");
            }
        }
        Ok(())
    }
}

lantern_sdk::projection!({{Name}});

#[cfg(test)]
mod tests {
    use super::*;
    use lantern_sdk::{GivenEvent, given_event};
    use lantern_testing::ReadModel;

    fn event(kind: &str) -> GivenEvent<{{Name}}> {
        given_event(kind, r#"{"account":"ada"}"#).at_ms(1_000)
    }

    #[test]
    fn who_signs_up_is_welcomed_and_reminded_unless_verified() {
        let mut signups = ReadModel::<{{Name}}>::new().unwrap();
        signups.apply([event("SignedUp")]).unwrap();
        let deposit = AccountCommand::Deposit { cents: WELCOME_CENTS };
        let welcome = ("welcome/ada".to_owned(), Command::of("account", "ada", &deposit).unwrap());
        let remind = Command::of("account", "ada", &AccountCommand::Remind {}).unwrap();
        let remind = ("remind/ada".to_owned(), remind.due_ms(1_000 + DAY_MS));
        assert_eq!(signups.sent().unwrap(), [welcome.clone(), remind]);

        signups.apply([event("Verified")]).unwrap();
        assert_eq!(signups.sent().unwrap(), [welcome]);
        assert_eq!(signups.rows("SELECT * FROM signups").unwrap(), ["ada|verified"]);
    }
}
