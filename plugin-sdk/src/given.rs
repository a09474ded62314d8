//! Given, when, then: what an aggregate decides, tested natively.

use crate::aggregate::{Aggregate, Context, Rejection};

/// An aggregate to which these events have happened.
///
/// ```
/// # use lantern_sdk::{Aggregate, Context, Manifest, Rejection, given};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Default, Serialize, Deserialize)]
/// # struct Light { on: bool }
/// # #[derive(Deserialize)]
/// # enum Command { Switch }
/// # #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// # enum Event { On, Off }
/// # impl Aggregate for Light {
/// #     type Command = Command;
/// #     type Event = Event;
/// #     type Rejection = Rejection;
/// #     fn manifest() -> Manifest { Manifest::new("light").topic("lights") }
/// #     fn decide(&self, _: Command, _: &Context<'_>) -> Result<Vec<Event>, Rejection> {
/// #         Ok(vec![if self.on { Event::Off } else { Event::On }])
/// #     }
/// #     fn evolve(&mut self, event: Event) { self.on = event == Event::On; }
/// # }
/// assert_eq!(given::<Light>([]).when(Command::Switch), Ok(vec![Event::On]));
/// assert_eq!(given::<Light>([Event::On]).when(Command::Switch), Ok(vec![Event::Off]));
/// ```
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let mut given = Given { state: A::default(), version: 0, id: "id".into(), time_ms: 0 };
    for event in events {
        given.state.evolve(event);
        given.version += 1;
    }
    given
}

/// An aggregate to which something has happened.
#[derive(Clone, Debug)]
pub struct Given<A> {
    state: A,
    version: u64,
    id: String,
    time_ms: i64,
}

impl<A: Aggregate> Given<A> {
    /// Which of them it is, where that matters.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// The time of the decision in Unix milliseconds; 0 if it is not said.
    pub fn at_ms(mut self, time_ms: i64) -> Self {
        self.time_ms = time_ms;
        self
    }

    /// The state that the events have led to.
    pub fn state(&self) -> &A {
        &self.state
    }

    /// What is decided about a command.
    ///
    /// # Errors
    /// When it is rejected.
    pub fn when(&self, command: A::Command) -> Result<Vec<A::Event>, Rejection> {
        let manifest = A::manifest();
        let context = Context {
            aggregate: manifest.name(),
            id: &self.id,
            version: self.version,
            time_ms: self.time_ms,
            correlation: None,
        };
        self.state.decide(command, &context).map_err(Into::into)
    }
}
