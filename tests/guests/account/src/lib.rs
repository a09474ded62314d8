//! An account: deposits, withdrawals, and no overdraft.
//!
//! Its state notes which state version made it, and every event which handler decided it, so that a mixture of two
//! handlers shows.

mod fault;

use fault::Fault;
use lantern_sdk::{Aggregate, Context, Manifest, Rejection};
use serde::{Deserialize, Serialize};

/// Name, topic, and what is odd about this one: `faulty` if commands may order a fault. A word with a colon is a label:
/// `state:2` is the state version, `by:new` stands in the events that it decides, `fold:by-half` counts half of a deposit,
/// `fold:strictly` gives up at one of more than 1,000 cents. The tests write other words over these.
static WORDS: &str = concat!(
    "lantern-tests-guest:",
    "account accounts                                  ",
    "                                                  ",
    "                                                  ",
    "                                                  ",
);

/// One account.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Account {
    cents: i64,
    /// How many events it has seen.
    events: u64,
    /// The state version of the handler that made it; 0 before the first event.
    state_version: u32,
}

/// What can be asked of it.
#[derive(Debug, Deserialize)]
pub enum Command {
    /// Money comes.
    Deposit {
        /// How much.
        cents: i64,
    },
    /// Money goes, if there is enough.
    Withdraw {
        /// How much.
        cents: i64,
    },
    /// Nothing has to happen.
    Touch,
    /// Something of no importance happens, of so many bytes.
    Pad {
        /// How many.
        bytes: usize,
    },
    /// Something goes wrong, if the handler is faulty.
    Fault(Fault),
}

/// What happens to it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Money came.
    Deposited {
        /// How much.
        cents: i64,
        /// Which handler decided it.
        by: String,
    },
    /// Money went.
    Withdrawn {
        /// How much.
        cents: i64,
        /// Which handler decided it.
        by: String,
    },
    /// Of no importance.
    Padded {
        /// Anything.
        padding: String,
    },
}

impl Aggregate for Account {
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn manifest() -> Manifest {
        let mut words = words();
        let name = words.next().unwrap_or_default();
        words
            .filter(|word| *word != "faulty" && !word.contains(':'))
            .fold(Manifest::new(name), Manifest::topic)
            .state_version(state_version())
            .description("Deposits, withdrawals, and no overdraft")
    }

    fn decide(&self, command: Command, context: &Context<'_>) -> Result<Vec<Event>, Rejection> {
        self.check_origin();
        assert_eq!(self.events, context.version(), "the state is of another version than it is said to be");
        let by = || label("by:").unwrap_or_default().to_owned();
        match command {
            Command::Deposit { cents } | Command::Withdraw { cents } if cents <= 0 => {
                Err(Rejection::new("no-amount", format!("{cents} cents are no amount")))
            }
            Command::Deposit { cents } => Ok(vec![Event::Deposited { cents, by: by() }]),
            Command::Withdraw { cents } if cents > self.cents => {
                Err(Rejection::new("overdrawn", format!("the account has {} cents", self.cents))
                    .detail(&Overdrawn { missing: cents - self.cents }))
            }
            Command::Withdraw { cents } => Ok(vec![Event::Withdrawn { cents, by: by() }]),
            Command::Touch => Ok(Vec::new()),
            Command::Pad { bytes } => Ok(vec![fault::padded(&"x".repeat(bytes))]),
            Command::Fault(fault) if words().any(|word| word == "faulty") => fault.happen(),
            Command::Fault(_) => Err(Rejection::new("sound", "this handler does as it should")),
        }
    }

    fn evolve(&mut self, event: Event) {
        self.check_origin();
        match event {
            Event::Deposited { cents, .. } => self.cents += deposited(cents),
            Event::Withdrawn { cents, .. } => self.cents -= cents,
            Event::Padded { padding } => fault::evolving(&padding),
        }
        self.events += 1;
        self.state_version = state_version();
    }
}

impl Account {
    fn check_origin(&self) {
        assert!(
            [0, state_version()].contains(&self.state_version),
            "a state of version {} was given to a handler of state version {}",
            self.state_version,
            state_version()
        );
    }
}

#[derive(Serialize)]
struct Overdrawn {
    missing: i64,
}

lantern_sdk::aggregate!(Account);

fn words() -> impl Iterator<Item = &'static str> {
    // Unknown to the compiler, so that it keeps the literal in one piece.
    let words = std::hint::black_box(WORDS);
    words.split_once(':').map_or("", |(_, words)| words).split_whitespace()
}

/// What a deposit counts for.
fn deposited(cents: i64) -> i64 {
    match label("fold:") {
        Some("by-half") => cents / 2,
        Some("strictly") => {
            assert!(cents <= 1_000, "{cents} cents are more than this account can hold");
            cents
        }
        _ => cents,
    }
}

fn label(name: &str) -> Option<&'static str> {
    words().find_map(|word| word.strip_prefix(name))
}

fn state_version() -> u32 {
    label("state:").and_then(|version| version.parse().ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lantern_sdk::given;

    // The tests of conservation rest on it: money neither appears nor vanishes within one account.
    #[test]
    fn an_account_is_never_overdrawn() {
        let deposited = || Event::Deposited { cents: 5, by: String::new() };
        let withdrawn = |cents| Event::Withdrawn { cents, by: String::new() };
        assert_eq!(given::<Account>([]).when(Command::Deposit { cents: 5 }), Ok(vec![deposited()]));
        let account = given::<Account>([deposited(), withdrawn(2)]);
        assert_eq!(account.when(Command::Withdraw { cents: 3 }), Ok(vec![withdrawn(3)]));
        let check = |command, code: &str| {
            assert_eq!(account.when(command).unwrap_err().code(), code);
        };
        check(Command::Withdraw { cents: 4 }, "overdrawn");
        check(Command::Withdraw { cents: -1 }, "no-amount");
        check(Command::Deposit { cents: 0 }, "no-amount");
        check(Command::Fault(Fault::Trap), "sound");
        assert_eq!(account.when(Command::Touch), Ok(Vec::new()));
    }
}
