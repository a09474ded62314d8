//! An account: it takes money, and gives away what it has.

use bank_events::{AccountCommand as Command, AccountEvent as Event, NotCredited};
use lantern_sdk::{Aggregate, Context, Manifest, Rejection};
use serde::{Deserialize, Serialize};

/// What has to be known to decide.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Account {
    is_open: bool,
    cents: i64,
}

impl Aggregate for Account {
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn manifest() -> Manifest {
        Manifest::new("account")
            .version(env!("CARGO_PKG_VERSION"))
            .description("Accounts: deposits, withdrawals, and no overdraft")
            .topic("accounts")
    }

    fn decide(&self, command: Command, _: &Context<'_>) -> Result<Vec<Event>, Rejection> {
        let event = match command {
            Command::Open { .. } if self.is_open => {
                return Err(Rejection::new("open-already", "the account is open already"));
            }
            Command::Open { owner } => Event::Opened { owner },
            Command::Credit { transfer, from, cents } if !self.is_open => {
                return Err(not_open().detail(&NotCredited { transfer, from, cents }));
            }
            _ if !self.is_open => return Err(not_open()),
            Command::Deposit { cents } => Event::Deposited { cents: amount(cents)? },
            Command::Withdraw { cents } => Event::Withdrawn { cents: self.covered(cents)? },
            Command::Debit { transfer, to, cents } => {
                Event::Debited { transfer, to, cents: self.covered(cents)? }
            }
            Command::Credit { transfer, from, cents } => {
                Event::Credited { transfer, from, cents: amount(cents)? }
            }
            Command::Refund { transfer, cents } => Event::Refunded { transfer, cents: amount(cents)? },
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::Opened { .. } => self.is_open = true,
            Event::Deposited { cents } | Event::Credited { cents, .. } | Event::Refunded { cents, .. } => {
                self.cents += cents;
            }
            Event::Withdrawn { cents } | Event::Debited { cents, .. } => self.cents -= cents,
        }
    }
}

impl Account {
    /// An amount that the account has.
    fn covered(&self, cents: i64) -> Result<i64, Rejection> {
        if amount(cents)? > self.cents {
            let message = format!("{cents} cents are more than the {} that the account has", self.cents);
            return Err(Rejection::new("overdrawn", message));
        }
        Ok(cents)
    }
}

fn amount(cents: i64) -> Result<i64, Rejection> {
    if cents > 0 {
        Ok(cents)
    } else {
        Err(Rejection::new("no-amount", format!("{cents} cents are no amount")))
    }
}

fn not_open() -> Rejection {
    Rejection::new("not-open", "there is no such account: open it first")
}

lantern_sdk::aggregate!(Account);

#[cfg(test)]
mod tests {
    use super::*;
    use lantern_sdk::given;

    fn account(cents: i64) -> [Event; 2] {
        [Event::Opened { owner: "Ada".into() }, Event::Deposited { cents }]
    }

    #[test]
    fn an_account_gives_away_what_it_has_and_no_more() {
        let debit = |cents| Command::Debit { transfer: "t-1".into(), to: "bob".into(), cents };
        let debited = Event::Debited { transfer: "t-1".into(), to: "bob".into(), cents: 500 };
        assert_eq!(given::<Account>(account(500)).when(debit(500)), Ok(vec![debited.clone()]));
        let check = |events: &[Event], command: Command, code: &str| {
            let rejected = given::<Account>(events.to_vec()).when(command).unwrap_err();
            assert_eq!(rejected.code(), code);
        };
        check(&account(499), debit(500), "overdrawn");
        check(&[&account(500)[..], &[debited]].concat(), debit(1), "overdrawn");
        check(&account(500), debit(-1), "no-amount");
        check(&[], debit(1), "not-open");
        check(&account(1), Command::Open { owner: "Eve".into() }, "open-already");
    }

    // The process manager reads from it where the money has to go.
    #[test]
    fn a_credit_that_is_refused_says_where_the_money_came_from() {
        let credit = Command::Credit { transfer: "t-1".into(), from: "ada".into(), cents: 5 };
        let expected = NotCredited { transfer: "t-1".into(), from: "ada".into(), cents: 5 };
        let rejected = given::<Account>([]).when(credit).unwrap_err();
        assert_eq!(rejected, not_open().detail(&expected));
    }
}
