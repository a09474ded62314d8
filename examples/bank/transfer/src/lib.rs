//! A transfer: what was asked for, and what became of it. The money itself is moved by the process manager beside it.

use bank_events::{TransferCommand as Command, TransferEvent as Event};
use lantern_sdk::{Aggregate, Context, Manifest, Rejection};
use serde::{Deserialize, Serialize};

/// How far a transfer is.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transfer {
    /// Nobody has asked for it.
    #[default]
    Unknown,
    /// It waits for somebody to confirm it.
    Waiting {
        /// The account that the money comes from.
        from: String,
        /// The account that it goes to.
        to: String,
        /// How much.
        cents: i64,
    },
    /// The money is on its way.
    Moving,
    /// It is over, whatever became of it.
    Over,
}

impl Aggregate for Transfer {
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn manifest() -> Manifest {
        Manifest::new("transfer")
            .version(env!("CARGO_PKG_VERSION"))
            .description("Transfers between accounts, confirmed in time or at once")
            .topic("transfers")
    }

    fn decide(&self, command: Command, context: &Context<'_>) -> Result<Vec<Event>, Rejection> {
        let event = match (self, command) {
            (Transfer::Unknown, Command::Request { from, to, .. }) if from == to => {
                return Err(Rejection::new("same-account", "money moves between two accounts"));
            }
            (Transfer::Unknown, Command::Request { cents, .. }) if cents <= 0 => {
                return Err(Rejection::new("no-amount", format!("{cents} cents are no amount")));
            }
            (Transfer::Unknown, Command::Request { from, to, cents, confirm_within_ms }) => {
                let confirm_by_ms = confirm_within_ms.map(|within| context.time_ms().saturating_add(within));
                Event::Requested { from, to, cents, confirm_by_ms }
            }
            (Transfer::Waiting { from, to, cents }, Command::Confirm) => {
                Event::Confirmed { from: from.clone(), to: to.clone(), cents: *cents }
            }
            (Transfer::Waiting { .. }, Command::Expire) => Event::Expired,
            (Transfer::Moving, Command::Complete) => Event::Completed,
            (Transfer::Moving, Command::Fail { reason }) => Event::Failed { reason },
            (state, command) => {
                return Err(Rejection::new("not-now", format!("{command:?} does not fit: it is {state:?}")));
            }
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: Event) {
        *self = match event {
            Event::Requested { from, to, cents, confirm_by_ms: Some(_) } => {
                Transfer::Waiting { from, to, cents }
            }
            Event::Requested { confirm_by_ms: None, .. } | Event::Confirmed { .. } => Transfer::Moving,
            Event::Expired | Event::Completed | Event::Failed { .. } => Transfer::Over,
        };
    }
}

lantern_sdk::aggregate!(Transfer);

#[cfg(test)]
mod tests {
    use super::*;
    use lantern_sdk::given;

    fn requested(confirm_by_ms: Option<i64>) -> Event {
        Event::Requested { from: "ada".into(), to: "bob".into(), cents: 5, confirm_by_ms }
    }

    // Two of them decide at the same moment in real life: whoever comes first is right, and the other is told.
    #[test]
    fn a_transfer_is_confirmed_or_expires_and_not_both() {
        let confirmed = Event::Confirmed { from: "ada".into(), to: "bob".into(), cents: 5 };
        let waiting = given::<Transfer>([requested(Some(9))]);
        assert_eq!(waiting.when(Command::Confirm), Ok(vec![confirmed.clone()]));
        assert_eq!(waiting.when(Command::Expire), Ok(vec![Event::Expired]));
        let check = |events: Vec<Event>, command: Command| {
            assert_eq!(given::<Transfer>(events).when(command).unwrap_err().code(), "not-now");
        };
        check(vec![requested(Some(9)), confirmed], Command::Expire);
        check(vec![requested(Some(9)), Event::Expired], Command::Confirm);
        check(vec![requested(None)], Command::Confirm);
        check(vec![requested(None), Event::Completed], Command::Fail { reason: "late".into() });
        check(vec![], Command::Complete);
    }

    #[test]
    fn the_time_to_confirm_counts_from_the_decision() {
        let request =
            Command::Request { from: "ada".into(), to: "bob".into(), cents: 5, confirm_within_ms: Some(30) };
        let decided = given::<Transfer>([]).at_ms(1_000).when(request);
        assert_eq!(decided, Ok(vec![requested(Some(1_030))]));
    }
}
