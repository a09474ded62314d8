//! The aggregate of `tests/conformance/README.md`, which says what each command and event does.

use lantern_sdk::{Aggregate, Context, Manifest, Rejection};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Default, Serialize, Deserialize)]
struct Counter {
    count: i64,
    sum: i64,
    note: Option<String>,
}

#[derive(Deserialize)]
enum Command {
    Add { n: i64 },
    AddMany { n: Vec<i64> },
    Note { text: String },
    Crash {},
}

#[derive(Serialize, Deserialize)]
enum Event {
    Added { n: i64 },
    Noted(Noted),
    Crashed {},
}

#[derive(Serialize, Deserialize)]
struct Noted {
    text: String,
    aggregate: String,
    id: String,
    version: u64,
    time_ms: i64,
    correlation: Option<String>,
}

impl Aggregate for Counter {
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn manifest() -> Manifest {
        Manifest::new("counter-rust").topic("counter-rust")
    }

    fn decide(&self, command: Command, context: &Context<'_>) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Add { n } if n < 0 => {
                Err(Rejection::new("negative", format!("n is {n}")).detail(&json!({ "n": n })))
            }
            Command::Add { n: 0 } => Ok(vec![]),
            Command::Add { n } if self.sum.checked_add(n).is_none() => {
                Err(Rejection::new("overflow", format!("the sum is {}", self.sum)))
            }
            Command::Add { n } => Ok(vec![Event::Added { n }]),
            Command::AddMany { n } => Ok(n.into_iter().map(|n| Event::Added { n }).collect()),
            Command::Note { text } => Ok(vec![Event::Noted(Noted {
                text,
                aggregate: context.aggregate().to_owned(),
                id: context.id().to_owned(),
                version: context.version(),
                time_ms: context.time_ms(),
                correlation: context.correlation().map(str::to_owned),
            })]),
            Command::Crash {} => crash(),
        }
    }

    fn evolve(&mut self, event: Event) {
        self.count += 1;
        match event {
            Event::Added { n } => self.sum += n,
            Event::Noted(noted) => self.note = Some(noted.text),
            Event::Crashed {} => crash(),
        }
    }
}

#[allow(clippy::panic, reason = "how a crash arrives is what it is for")]
fn crash<T>() -> T {
    panic!("boom")
}

lantern_sdk::aggregate!(Counter);
