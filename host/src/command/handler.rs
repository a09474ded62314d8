//! What commands are given to.

use super::domain::{Domain, PluginSource, Source};
use super::inlet::Origin;
use super::writer::{Request, Writer};
use super::{Answer, Command, Error, Options, State, Status};
use crate::aggregate_store::{self, Aggregate, Reader};
use crate::fault;
use crate::log;
use crate::plugin::Plugin;
use crate::upcast::{Chain, Upcasters};
use crate::wasm::{Engine, Limits};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// The longest id of an aggregate, name of a command, type of an event or key, in bytes: they become headers and keys.
pub(super) const NAME_BYTES_MAX: usize = 1_024;

/// What a handler needs.
#[derive(Clone)]
pub struct Setup {
    /// Its plugin. The manifest's name is the aggregate type.
    pub plugin: Arc<Plugin>,
    /// What its events come through before it sees them.
    pub upcasters: Upcasters,
    /// The file that its aggregates are kept in.
    pub store: PathBuf,
    /// The log.
    pub log: log::Options,
    /// Runs the plugin.
    pub engine: Engine,
    /// What the plugin may use.
    pub limits: Limits,
    /// The user's settings.
    pub options: Options,
}

/// The one way to the aggregates of a type, in this process. A clone is the same.
#[derive(Clone)]
pub struct Handler(Arc<Inner>);

struct Inner {
    name: String,
    topic: String,
    store: PathBuf,
    options: Options,
    /// What makes a plugin run here.
    run: Run,
    requests: mpsc::Sender<Request>,
    status: watch::Receiver<Status>,
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
    waiting: Arc<Waiting>,
}

/// Makes of a plugin what the writer calls.
type Run = Box<dyn Fn(Arc<Plugin>) -> Box<dyn Source> + Send + Sync>;

/// What a writer needs beside its domain.
pub(super) struct Parts {
    pub store: PathBuf,
    pub log: log::Options,
    pub options: Options,
    pub stack_bytes: usize,
}

/// Commands that wait or are being decided.
#[derive(Default)]
struct Waiting {
    commands: AtomicUsize,
    bytes: AtomicUsize,
}

/// A command on its way, and who asked.
pub(super) struct Queued {
    pub command: Command,
    asker: Asker,
}

enum Asker {
    /// Somebody who waits.
    Client { reply: oneshot::Sender<Result<Answer, Error>>, _place: Place },
    /// A record of the commands' topic.
    Record(Box<Origin>),
}

/// A place among the commands that wait, until it is dropped.
struct Place {
    waiting: Arc<Waiting>,
    bytes: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.commands.fetch_sub(1, Ordering::Relaxed);
        self.waiting.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Queued {
    /// A command that was read from the log.
    pub fn read(command: Command, origin: Origin) -> Self {
        Queued { command, asker: Asker::Record(Box::new(origin)) }
    }

    /// Where it was read, if it was.
    pub fn origin(&self) -> Option<&Origin> {
        match &self.asker {
            Asker::Client { .. } => None,
            Asker::Record(origin) => Some(origin),
        }
    }

    /// What is left to do for a command of which the log refuses a record when it is alone: who waits is told, and one that
    /// came by the log is passed over as any other that fails, or, where it is its answer that is refused, is not answered.
    pub fn refused(self, topic: &str, reason: &str) -> Option<Queued> {
        let error = Error::plugin(format!(
            "topic `{topic}` does not take a record that it decided: {reason}. Have it decide less, or raise the topic's \
             `max.message.bytes` and, in `[kafka]`, `message.max.bytes`"
        ));
        let Queued { command, asker } = self;
        match asker {
            Asker::Client { reply, _place } => {
                drop(reply.send(Err(error)));
                None
            }
            Asker::Record(mut origin) => {
                if origin.reply.take_if(|(reply, _)| reply == topic).is_some() {
                    tracing::warn!(
                        "the command at {} is not answered in topic `{topic}`: {reason}",
                        origin.place
                    );
                } else if origin.refused.replace(error).is_some() {
                    // Nothing of it is left to be refused.
                    return None;
                }
                Some(Queued { command, asker: Asker::Record(origin) })
            }
        }
    }

    pub fn answer(self, answer: Result<Answer, Error>) {
        match self.asker {
            // Who asked may have gone.
            Asker::Client { reply, _place } => drop(reply.send(answer)),
            // It has been answered in the log, or is read again.
            Asker::Record(_) => {}
        }
    }
}

impl Handler {
    /// Starts a handler on a thread of its own. Whoever wrote these aggregates before appends nothing more. Commands
    /// are taken when the status is [`State::Live`].
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn start(setup: Setup) -> std::io::Result<Handler> {
        let Setup { plugin, upcasters, store, log, engine, limits, options } = setup;
        let upcasters = Chain::new(&upcasters, &engine, &limits);
        let stack_bytes = limits.thread_stack_bytes();
        let run = move |plugin| -> Box<dyn Source> {
            Box::new(PluginSource { plugin, engine: engine.clone(), limits: limits.clone() })
        };
        let topic = plugin.manifest.topics.first().cloned().unwrap_or_default();
        let domain = Domain::new(plugin.name.clone(), topic, run(plugin), Some(upcasters));
        Handler::start_with(Parts { store, log, options, stack_bytes }, domain, Box::new(run))
    }

    pub(super) fn start_with(parts: Parts, domain: Domain, run: Run) -> std::io::Result<Handler> {
        let Parts { store, log, options, stack_bytes } = parts;
        let (name, topic) = (domain.name.clone(), domain.topic.clone());
        let status = Status {
            topic: topic.clone(),
            state_version: domain.state_version(),
            ..Status::starting(&name, &domain.digest())
        };
        let (sender, status) = watch::channel(status);
        let (requests, inbox) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let shown = sender.clone();
        let writer =
            Writer::new(domain, store.clone(), log, options.clone(), inbox, sender, Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name(name.clone())
            .stack_size(stack_bytes)
            .spawn(move || halt_on_panic(&shown, || writer.supervise()))?;
        Ok(Handler(Arc::new(Inner {
            name,
            topic,
            store,
            options,
            run,
            requests,
            status,
            stop,
            thread: Mutex::new(Some(thread)),
            waiting: Arc::default(),
        })))
    }

    /// Has a command decided, and answers when what it appended is in the log and kept.
    ///
    /// # Errors
    /// When the domain was not asked, or its answer is not known.
    pub async fn submit(&self, command: Command) -> Result<Answer, Error> {
        check(&command)?;
        self.is_ready()?;
        let bytes = command.bytes();
        let waiting = Arc::clone(&self.0.waiting);
        let commands_before = waiting.commands.fetch_add(1, Ordering::Relaxed);
        let bytes_before = waiting.bytes.fetch_add(bytes, Ordering::Relaxed);
        let (reply, answered) = oneshot::channel();
        let place = Place { waiting, bytes };
        let queued = Queued { command, asker: Asker::Client { reply, _place: place } };
        let options = &self.0.options;
        if commands_before >= options.queue_max || bytes_before + bytes > options.queue_bytes_max {
            return Err(Error::TooMany);
        }
        self.ask(Request::Command(queued), answered).await?
    }

    /// Goes on with another plugin, between two commands. Answers how long no command was decided. States of another
    /// state version are made anew when they are touched.
    ///
    /// # Errors
    /// When the plugin is for other aggregates or does not start: then the one before goes on.
    pub async fn swap(&self, plugin: Arc<Plugin>) -> Result<Duration, Error> {
        if plugin.name != self.0.name || plugin.manifest.topics.first() != Some(&self.0.topic) {
            return Err(Error::plugin(format!(
                "it is for `{}` in topic `{}`, not for `{}` in topic `{}`",
                plugin.name,
                plugin.manifest.topics.first().map_or("", String::as_str),
                self.0.name,
                self.0.topic
            )));
        }
        self.swap_with((self.0.run)(plugin)).await
    }

    pub(super) async fn swap_with(&self, source: Box<dyn Source>) -> Result<Duration, Error> {
        let (reply, swapped) = oneshot::channel();
        self.ask(Request::Swap(source, reply), swapped).await?
    }

    /// Has events come through other upcasters, from between two commands on. States that were made of other events are
    /// made anew when they are touched.
    ///
    /// # Errors
    /// When the handler is over.
    pub async fn upcast_by(&self, upcasters: Chain) -> Result<(), Error> {
        let (reply, done) = oneshot::channel();
        self.ask(Request::Upcast(Box::new(upcasters), reply), done).await?
    }

    /// Makes every state anew that is not of the plugin's state version, and answers how many that were.
    ///
    /// # Errors
    /// When the plugin fails at one of them; those before it are kept.
    pub async fn refold(&self) -> Result<u64, Error> {
        self.is_ready()?;
        let mut all = 0;
        let mut after = String::new();
        loop {
            // Page by page, so that commands are decided in between.
            let (reply, folded) = oneshot::channel();
            let (count, last) = self.ask(Request::Refold(after, reply), folded).await??;
            all += count;
            match last {
                Some(last) => after = last,
                None => return Ok(all),
            }
        }
    }

    /// An aggregate with its newest state, by the plugin's state version.
    ///
    /// # Errors
    /// When the handler is not live, or the plugin fails.
    pub async fn show(&self, id: &str) -> Result<Option<Aggregate>, Error> {
        self.is_ready()?;
        let (reply, shown) = oneshot::channel();
        self.ask(Request::Show(id.to_owned(), reply), shown).await?
    }

    /// What it shows of itself.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.0.status.clone()
    }

    /// A connection that reads what is kept.
    ///
    /// # Errors
    /// When the file cannot be opened, such as before the first start is over.
    pub fn reader(&self) -> Result<Reader, aggregate_store::Error> {
        Reader::open(&self.0.store)
    }

    /// Has it append and answer what it has taken up, and waits until it is over.
    pub async fn stop(&self) {
        self.0.stop.store(true, Ordering::Relaxed);
        // Wakes it up; one that is over needs no waking.
        let _ = self.0.requests.send(Request::Wake);
        let thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic is in the status.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    async fn ask<T>(&self, request: Request, answered: oneshot::Receiver<T>) -> Result<T, Error> {
        self.0.requests.send(request).map_err(|_| self.is_over())?;
        answered.await.map_err(|_| self.is_over())
    }

    /// Whether commands are taken; else why not.
    fn is_ready(&self) -> Result<(), Error> {
        let status = self.0.status.borrow();
        match status.state {
            State::Live => Ok(()),
            _ => Err(unready(&status)),
        }
    }

    /// Why the writer does not answer.
    fn is_over(&self) -> Error {
        let status = self.0.status.borrow();
        if status.is_over() { unready(&status) } else { Error::Stopping }
    }
}

/// Runs the writer. A panic ends it as any other fault that somebody has to look at.
fn halt_on_panic(status: &watch::Sender<Status>, body: impl FnOnce()) {
    let Err(panicked) = fault::caught("writer's", body) else { return };
    let error = format!("{panicked}; to go on from there, restart the host");
    tracing::error!(aggregate = status.borrow().name, "halted: {error}");
    status.send_modify(|status| {
        status.state = State::Halted;
        status.error = Some(error);
    });
}

/// Why a handler in this state takes no commands.
pub(super) fn unready(status: &Status) -> Error {
    let reason = status.error.clone().unwrap_or_default();
    match status.state {
        State::Starting | State::CatchingUp | State::Live => Error::CatchingUp { behind: status.lag },
        State::Paused => Error::Unavailable { reason },
        State::Halted => Error::Halted { reason },
        State::Fenced => Error::Fenced { reason },
        State::Stopped => Error::Stopping,
    }
}

/// Refuses what could not be written into a record.
pub(super) fn check(command: &Command) -> Result<(), Error> {
    let named = [("an aggregate's id", &command.id), ("a command's name", &command.name)];
    let optional = [
        ("an idempotency key", &command.key),
        ("a correlation id", &command.correlation),
        ("a causation id", &command.causation),
    ];
    let optional = optional.into_iter().filter_map(|(what, text)| text.as_ref().map(|text| (what, text)));
    for (what, text) in named.into_iter().chain(optional) {
        if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
            let reason = format!("{what} has 1 to {NAME_BYTES_MAX} bytes and no control characters");
            return Err(Error::BadCommand { reason });
        }
    }
    Ok(())
}
