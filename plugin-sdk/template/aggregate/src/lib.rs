//! An account: it takes money, and gives away what it has.

use lantern_sdk::{Aggregate, Context, Manifest, Rejection};
use serde::{Deserialize, Serialize};

/// What can be asked of an account.
#[derive(Deserialize)]
enum Command {
    Deposit { cents: i64 },
    Withdraw { cents: i64 },
}

/// What has happened to an account.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Event {
    Deposited { cents: i64 },
    Withdrawn { cents: i64 },
}

/// What has to be known to decide.
#[derive(Default, Serialize, Deserialize)]
struct {{Name}} {
    cents: i64,
}

impl Aggregate for {{Name}} {
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn manifest() -> Manifest {
        Manifest::new("{{name}}").version(env!("CARGO_PKG_VERSION")).topic("{{name}}-events")
    }

    fn decide(&self, command: Command, _: &Context<'_>) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Deposit { cents } | Command::Withdraw { cents } if cents <= 0 => {
                Err(Rejection::new("no-amount", format!("{cents} cents are no amount")))
            }
            Command::Deposit { cents } => Ok(vec![Event::Deposited { cents }]),
            Command::Withdraw { cents } if cents > self.cents => {
                let message = format!("{cents} cents are more than the {} that there are", self.cents);
                Err(Rejection::new("overdrawn", message))
            }
            Command::Withdraw { cents } => Ok(vec![Event::Withdrawn { cents }]),
        }
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::Deposited { cents } => self.cents += cents,
            Event::Withdrawn { cents } => self.cents -= cents,
        }
    }
}

lantern_sdk::aggregate!({{Name}});

#[cfg(test)]
mod tests {
    use super::*;
    use lantern_sdk::given;

    #[test]
    fn an_account_gives_away_what_it_has_and_no_more() {
        let account = || given::<{{Name}}>([Event::Deposited { cents: 500 }]);
        assert_eq!(account().when(Command::Withdraw { cents: 500 }), Ok(vec![Event::Withdrawn { cents: 500 }]));
        assert_eq!(account().when(Command::Withdraw { cents: 501 }).unwrap_err().code(), "overdrawn");
        assert_eq!(account().when(Command::Deposit { cents: 0 }).unwrap_err().code(), "no-amount");
    }

    #[test]
    fn the_manifest_is_one_that_a_host_takes() {
        assert_eq!({{Name}}::manifest().check().unwrap().name, "{{name}}");
    }
}
