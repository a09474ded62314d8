//! The writer on the embedded broker, with a domain in Rust: what is tested is everything but the plugin's call.

mod appending;
mod failing;
mod inlet;
mod keys;
mod swapping;

use super::domain::{Domain, Logic, Source};
use super::handler::Parts;
use super::status::Status;
use super::{Accepted, Answer, Command, Error, Handler, Options, Rejected, State};
use crate::log;
use crate::wasm::{CallError, Decision, Failure, Fault, Rejection, Trap};
use lantern_broker::Broker;
use lantern_contract::frame::commands::{NewEvent, Request, Writer};
use lantern_contract::frame::events::Events;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Nothing here takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Accounts: `Deposit` and `Withdraw` with a number as data; the others misbehave, each in its way.
struct Accounts {
    state_version: u32,
}

impl Logic for Accounts {
    fn decide(&mut self, request: &[u8]) -> Result<Decision, CallError> {
        let request = Request::read(request).unwrap();
        let cents: i64 = request.state.map_or(0, balance);
        let amount = || -> Result<i64, CallError> {
            let amount = std::str::from_utf8(request.payload).ok().and_then(|text| text.parse().ok());
            amount.ok_or_else(|| failure(Fault::BadInput, "the amount is no number"))
        };
        let mut events = Writer::new();
        match request.command {
            "Deposit" => {
                let amount = amount()?.to_string();
                events.push(NewEvent { kind: "Deposited", payload: amount.as_bytes() });
            }
            "Withdraw" => {
                let amount = amount()?;
                if cents < amount {
                    return Ok(Decision::Rejected(Rejection {
                        code: "overdraft".into(),
                        message: format!("{cents} is less than {amount}"),
                        detail: Some(format!("{{\"cents\":{cents}}}")),
                    }));
                }
                let amount = format!("-{amount}");
                events.push(NewEvent { kind: "Withdrawn", payload: amount.as_bytes() });
            }
            "Look" => {}
            "Split" => (0..3).for_each(|_| events.push(NewEvent { kind: "Deposited", payload: b"1" })),
            "Trap" => return Err(trap()),
            "Fail" => return Err(failure(Fault::Other, "it does not know how")),
            "Garbage" => return Ok(Decision::Events(b"no frame".to_vec())),
            "Large" => events.push(NewEvent { kind: "Deposited", payload: &[b'1'; 2 << 20] }),
            // A deposit of nothing, of so many bytes.
            "Pad" => {
                let payload = vec![b'0'; usize::try_from(amount()?).unwrap()];
                events.push(NewEvent { kind: "Deposited", payload: &payload });
            }
            "Kind" => events.push(NewEvent { kind: &"k".repeat(2 << 20), payload: b"1" }),
            "Code" => return Ok(Decision::Rejected(rejection(2 << 20, 0, 0))),
            "Message" => return Ok(Decision::Rejected(rejection(0, 2 << 20, 0))),
            "Detail" => return Ok(Decision::Rejected(rejection(0, 0, 2 << 20))),
            "Long" => return Ok(Decision::Rejected(rejection(1_000, 16_000, 250_000))),
            "Panic" => panic!("slot {} is empty", 7),
            "Poison" => events.push(NewEvent { kind: "Poison", payload: b"0" }),
            _ => return Err(failure(Fault::BadInput, "there is no such command")),
        }
        Ok(Decision::Events(events.finish()))
    }

    fn evolve(&mut self, state: Option<&[u8]>, events: &[u8], _: usize) -> Result<Vec<u8>, CallError> {
        let mut cents = state.map_or(0, balance);
        // No more than it has memory for.
        let mut room: usize = 2_000_000;
        for event in Events::parse(events).unwrap().iter() {
            let event = event.unwrap();
            room = room.checked_sub(event.payload.map_or(0, <[u8]>::len)).ok_or_else(trap)?;
            if event.kind == "Poison" {
                return Err(trap());
            }
            let text = std::str::from_utf8(event.payload.unwrap_or_default()).unwrap();
            cents += text.parse::<i64>().unwrap();
        }
        Ok(format!("{{\"v{}\":{cents}}}", self.state_version).into_bytes())
    }
}

/// A rejection with so many bytes of each.
fn rejection(code: usize, message: usize, detail: usize) -> Rejection {
    Rejection { code: "c".repeat(code), message: "\u{1}".repeat(message), detail: Some("1".repeat(detail)) }
}

/// A state's number, whatever its version.
fn balance(state: &[u8]) -> i64 {
    let text = std::str::from_utf8(state).unwrap();
    text.trim_end_matches('}').rsplit(':').next().unwrap().parse().unwrap()
}

fn failure(fault: Fault, message: &str) -> CallError {
    CallError::Failure(Failure { fault, message: message.into(), index: None })
}

fn trap() -> CallError {
    CallError::Trap { kind: Trap::Unreachable, message: "it gave up".into(), backtrace: Vec::new() }
}

struct InRust {
    state_version: u32,
    /// Instances that were made.
    made: Arc<AtomicUsize>,
    starts: bool,
}

impl Source for InRust {
    fn instance(&self) -> Result<Box<dyn Logic>, String> {
        self.made.fetch_add(1, Ordering::Relaxed);
        if self.starts {
            Ok(Box::new(Accounts { state_version: self.state_version }))
        } else {
            Err("it does not start".into())
        }
    }

    fn digest(&self) -> String {
        format!("digest of {}", self.state_version)
    }

    fn state_version(&self) -> u32 {
        self.state_version
    }
}

/// A broker and a folder; handlers come and go.
struct Site {
    runtime: Runtime,
    broker: Option<Broker>,
    servers: String,
    folder: TempDir,
    made: Arc<AtomicUsize>,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let options = lantern_broker::Options { dir: folder.path().join("log"), ..Default::default() };
        let broker = runtime.block_on(Broker::start(options)).unwrap();
        let servers = broker.address().to_string();
        Site { runtime, broker: Some(broker), servers, folder, made: Arc::default() }
    }

    fn store(&self, host: &str) -> PathBuf {
        self.folder.path().join(format!("{host}.db"))
    }

    /// A handler as a process with this store would have it; it need not be live yet.
    fn spawn(&self, host: &str, state_version: u32, options: Options) -> Handler {
        let source = InRust { state_version, made: Arc::clone(&self.made), starts: true };
        let domain = Domain::new("account".into(), "accounts".into(), Box::new(source), None);
        let mut log = log::Options::new(&self.servers);
        log.set("topic.metadata.propagation.max.ms", "200");
        let parts = Parts { store: self.store(host), log, options, stack_bytes: 1 << 20 };
        Handler::start_with(parts, domain, Box::new(|_| unreachable!("only Rust is run here"))).unwrap()
    }

    fn start(&self, host: &str) -> Account<'_> {
        self.start_as(host, 1, Options::default())
    }

    fn start_as(&self, host: &str, state_version: u32, options: Options) -> Account<'_> {
        let handler = self.spawn(host, state_version, options);
        let account = Account { site: self, handler };
        account.wait(State::Live);
        account
    }

    /// Everything that is committed in a topic: its headers by name, and its payload.
    fn read(&self, topic: &str) -> Vec<(Vec<(String, String)>, String)> {
        let client = log::Client::new(&log::Options::new(&self.servers)).unwrap();
        let ends = client.end_offsets(&[topic]).unwrap();
        let start: Vec<_> = ends.into_iter().map(|end| log::Assignment { next_offset: 0, ..end }).collect();
        let mut consumer = client.consumer("test", &start).unwrap();
        let mut records = Vec::new();
        while !consumer.is_at_end() {
            let fetched = consumer.fetch(1_000, 1 << 20, Duration::from_millis(100), |record| {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let headers =
                    record.headers.iter().map(|(name, value)| (name.into(), text(value.unwrap_or_default())));
                records.push((headers.collect(), text(record.payload.unwrap_or_default())));
                std::ops::ControlFlow::Continue(())
            });
            fetched.unwrap();
        }
        records
    }
}

/// A handler, asked from a test's own thread.
struct Account<'s> {
    site: &'s Site,
    handler: Handler,
}

impl Account<'_> {
    fn wait(&self, state: State) {
        self.wait_until(&state.to_string(), |status| status.state == state);
    }

    /// Commands are answered before they are counted.
    fn wait_until(&self, what: &str, is_so: impl FnMut(&Status) -> bool) {
        let mut status = self.handler.status();
        let waited = self.site.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, status.wait_for(is_so)).await.map(|seen| seen.map(drop))
        });
        assert!(matches!(waited, Ok(Ok(()))), "not {what}: {:?}", self.handler.status().borrow());
    }

    fn submit(&self, command: Command) -> Result<Answer, Error> {
        let answered = async { tokio::time::timeout(PATIENCE, self.handler.submit(command)).await };
        self.site.runtime.block_on(answered).expect("it answers")
    }

    fn accepted(&self, command: Command) -> Accepted {
        match self.submit(command) {
            Ok(Answer::Accepted(accepted)) => accepted,
            other => panic!("{other:?}"),
        }
    }

    fn rejected(&self, command: Command) -> Rejected {
        match self.submit(command) {
            Ok(Answer::Rejected(rejected)) => rejected,
            other => panic!("{other:?}"),
        }
    }

    /// Sends all at once, so that they come into few rounds, and waits for all.
    fn submit_all(&self, commands: Vec<Command>) -> Vec<Result<Answer, Error>> {
        let tasks: Vec<_> = commands
            .into_iter()
            .map(|command| {
                let handler = self.handler.clone();
                self.site.runtime.spawn(async move { handler.submit(command).await })
            })
            .collect();
        let all = async {
            let mut answers = Vec::new();
            for task in tasks {
                answers.push(task.await.unwrap());
            }
            answers
        };
        let all = async { tokio::time::timeout(PATIENCE, all).await };
        self.site.runtime.block_on(all).expect("all are answered")
    }

    fn state(&self, id: &str) -> Option<String> {
        let shown = self.site.runtime.block_on(self.handler.show(id)).unwrap()?;
        Some(String::from_utf8(shown.state.unwrap()).unwrap())
    }

    fn stop(self) {
        self.site.runtime.block_on(self.handler.stop());
        assert_eq!(self.handler.status().borrow().state, State::Stopped);
    }
}

fn command(id: &str, name: &str, payload: &str) -> Command {
    Command { id: id.into(), name: name.into(), payload: payload.into(), ..Command::default() }
}

fn keyed(id: &str, name: &str, payload: &str, key: &str) -> Command {
    Command { key: Some(key.into()), ..command(id, name, payload) }
}
