//! Every message is sent until it is answered, once in effect, whatever the handler says meanwhile.

use super::*;
use crate::read_model::outbox::tests::{Plugin, insert};
use std::sync::Mutex;

/// A read model whose plugin sends commands, and a handler that writes down what it is sent.
struct Site {
    plugin: Plugin,
    sent: Arc<Mutex<Vec<String>>>,
    status: watch::Sender<Status>,
}

impl Site {
    fn new() -> Self {
        let status = watch::channel(Status { state: State::Live, ..Status::starting("transfers", "d") }).0;
        Site { plugin: Plugin::sending(&["account"]), sent: Arc::default(), status }
    }

    /// A dispatcher whose handler answers by `reply`, given the key and how often it was sent.
    fn dispatch(
        &self,
        reply: impl Fn(&str, usize) -> Reply + std::marker::Send + Sync + 'static,
    ) -> tokio::task::JoinHandle<()> {
        let (sent, reply) = (Arc::clone(&self.sent), Arc::new(reply));
        let send: Send = Arc::new(move |message: Message, key: String| {
            let mut sent = sent.lock().unwrap();
            sent.push(format!("{key} {} {} {}", message.command, message.aggregate, message.id));
            let times = sent.iter().filter(|line| line.starts_with(&format!("{key} "))).count();
            let reply = reply(&message.key, times);
            Box::pin(async move { reply })
        });
        let dispatcher = Dispatcher {
            plugin: "transfers".into(),
            read_model: self.plugin.path(),
            status: self.status.subscribe(),
            send,
        };
        tokio::spawn(dispatcher.run())
    }

    /// The keys that are left, when they are these.
    async fn until_left(&self, expected: &[&str]) {
        let outbox = Outbox::open(&self.plugin.path()).unwrap().unwrap();
        loop {
            let mut left: Vec<String> = outbox
                .due(Some(i64::MAX), &[], 100)
                .unwrap()
                .into_iter()
                .map(|message| message.key)
                .collect();
            left.sort();
            if left == expected {
                return;
            }
            // Every round ends with a change of the file, which nothing else tells of.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn sent(&self) -> Vec<String> {
        self.sent.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn what_is_decided_or_refused_is_taken_out_and_everything_else_is_sent_again() {
    let site = Site::new();
    site.plugin.run(&[&insert("a", "1", None), &insert("b", "1", None), &insert("c", "2", None)]);
    let dispatcher = site.dispatch(|key, times| match (key, times) {
        ("a", 1 | 2) => Reply::NotYet("catching up".into()),
        ("c", _) => Reply::Refused("unknown variant".into()),
        _ => Reply::Decided,
    });
    site.until_left(&[]).await;
    dispatcher.abort();
    let of =
        |id: &str| -> Vec<String> { site.sent().into_iter().filter(|line| line.ends_with(id)).collect() };
    // What is for the same aggregate keeps its order.
    let [a, b] = ["transfers:a Withdraw account 1", "transfers:b Withdraw account 1"];
    assert_eq!(of(" 1"), [a, a, a, b]);
    assert_eq!(of(" 2"), ["transfers:c Withdraw account 2"]);
    assert_eq!(site.plugin.ask("SELECT key || ' ' || reason FROM _lantern_unsent"), ["c unknown variant"]);
}

// Killed between the answer and the moment at which the message is taken out: the key is the same, so that the handler
// knows it.
#[tokio::test]
async fn what_was_answered_and_not_taken_out_is_sent_again_with_the_same_key() {
    let site = Site::new();
    site.plugin.run(&[&insert("a", "1", None)]);
    let (answered, mut answers) = tokio::sync::mpsc::unbounded_channel();
    let dispatcher = site.dispatch(move |_, _| {
        answered.send(()).unwrap();
        Reply::NotYet("killed before the answer came".into())
    });
    answers.recv().await.unwrap();
    dispatcher.abort();
    let _ = dispatcher.await;
    site.sent.lock().unwrap().clear();
    let dispatcher = site.dispatch(|_, _| Reply::Decided);
    site.until_left(&[]).await;
    dispatcher.abort();
    assert_eq!(site.sent(), ["transfers:a Withdraw account 1"]);
}

// A timeout is taken back by an event that may be in the log already: as long as that is not applied, it must not fire.
#[tokio::test]
async fn a_timeout_waits_for_its_time_and_for_the_projection_to_be_live() {
    let site = Site::new();
    site.status.send_modify(|status| status.state = State::CatchingUp);
    let (past, soon, late) = (now_ms() - 1_000, now_ms() + 200, now_ms() + 3_600_000);
    site.plugin.run(&[
        &insert("past", "1", Some(past)),
        &insert("taken-back", "1", Some(past)),
        &insert("soon", "2", Some(soon)),
        &insert("late", "3", Some(late)),
        &insert("now", "4", None),
    ]);
    let dispatcher = site.dispatch(|_, _| Reply::Decided);
    site.until_left(&["late", "past", "soon", "taken-back"]).await;
    site.plugin.run(&["DELETE FROM _lantern_outbox WHERE key = 'taken-back'"]);
    site.status.send_modify(|status| status.state = State::Live);
    site.until_left(&["late"]).await;
    assert!(now_ms() >= soon);
    dispatcher.abort();
    assert!(!site.sent().iter().any(|line| line.contains("taken-back") || line.contains("late")));
}

#[tokio::test]
async fn a_generation_that_goes_live_sends_what_was_left_and_nothing_of_its_own_past() {
    let site = Site::new();
    site.plugin.run(&[&insert("left", "1", None)]);
    let next = Plugin::sending(&["account"]);
    next.run(&[&insert("long-sent", "1", None), &insert("left", "9", None)]);
    next.close();
    site.plugin.close();
    assert_eq!(read_model::outbox::take_over(&site.plugin.path(), &next.path()).unwrap(), 0);
    let site = Site { plugin: next, ..site };
    let dispatcher = site.dispatch(|_, _| Reply::Decided);
    site.until_left(&[]).await;
    dispatcher.abort();
    assert_eq!(site.sent(), ["transfers:left Withdraw account 1"]);
}

// Any projection may become a process manager by a swap, without a start of anything.
#[tokio::test]
async fn a_projection_that_sends_nothing_is_looked_at_again_when_something_changes() {
    let mut site = Site::new();
    site.plugin = Plugin::sending(&[]);
    site.plugin.run(&["INSERT INTO t VALUES (1, 2)"]);
    let dispatcher = site.dispatch(|_, _| Reply::Decided);
    tokio::task::yield_now().await;
    site.plugin = site.plugin.swapped(&["account"]);
    site.plugin.run(&[&insert("a", "1", None)]);
    site.status.send_modify(|status| status.digest = "e".into());
    site.until_left(&[]).await;
    dispatcher.abort();
    assert_eq!(site.sent(), ["transfers:a Withdraw account 1"]);
}
