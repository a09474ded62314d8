//! Command handlers as they are deployed, and aggregates as they are asked for: by HTTP and by commands.

mod asked;
mod deployed;
mod tool;
mod under_load;

use anyhow::{Context, Result, ensure};
use lantern_tests::api::Api;
use lantern_tests::guest::{Plugin, plugin, unique_topic};
use lantern_tests::http::Reply;
use lantern_tests::site::Host;
use serde_json::{Value, json};

/// An aggregate type of a test's own: on a Kafka that tests share, its handler fences others of the same name.
struct Accounts {
    name: String,
    topic: String,
}

impl Accounts {
    fn new(label: &str) -> Self {
        let topic = unique_topic(label);
        Accounts { name: topic.clone(), topic }
    }

    /// The handler of `tests/guests/account`, with these labels.
    fn handler(&self, labels: &[&str]) -> Result<Plugin> {
        let words: Vec<&str> = [&[self.topic.as_str()], labels].concat();
        plugin("account", &self.name, &words)
    }

    /// Waits until commands are taken.
    fn await_live(&self, host: &mut Host<'_>) -> Result<Value> {
        host.await_plugin(&self.name, "takes commands", |it| it["state"] == "live")
    }

    fn command(&self, api: &Api, id: &str, name: &str, cents: i64) -> Result<Reply> {
        api.command((&self.name, id), (name, json!({ "cents": cents })), &[])
    }

    /// Deposits so much, which must be accepted; answers what was decided.
    fn deposit(&self, api: &Api, id: &str, cents: i64) -> Result<Value> {
        expect(self.command(api, id, "Deposit", cents)?, 200)
    }

    /// The state of an account.
    fn state(&self, api: &Api, id: &str) -> Result<Value> {
        Ok(expect(api.aggregates(&format!("/{}/{id}", self.name))?, 200)?["state"].take())
    }
}

/// The body of an answer with this status.
fn expect(reply: Reply, status: u16) -> Result<Value> {
    ensure!(reply.status == status, "expected {status}, was {} {}", reply.status, reply.body);
    Ok(reply.body)
}

/// Checks that an answer is a problem of this kind, whose detail has these words.
fn expect_problem(reply: Reply, status: u16, kind: &str, words: &[&str]) -> Result<Value> {
    ensure!(
        reply.headers.get("content-type").is_some_and(|it| it == "application/problem+json"),
        "{reply:?} is no problem"
    );
    let problem = expect(reply, status)?;
    ensure!(problem["type"] == format!("urn:lantern:{kind}"), "expected {kind}, was {problem}");
    let detail = problem["detail"].as_str().context("a problem has a detail")?;
    for word in words {
        ensure!(detail.contains(word), "{problem} lacks {word:?}");
    }
    Ok(problem)
}
