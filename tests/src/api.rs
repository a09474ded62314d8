//! What a running host is asked for by HTTP, and what it answers.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::guest::Plugin;
use crate::http::{self, Reply};

/// Asks one host.
#[derive(Clone, Debug)]
pub struct Api {
    address: String,
}

/// What the host has answered; a refusal is an answer too.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP's status.
    pub status: u16,
    /// The JSON of the body.
    pub body: Value,
}

/// Rows, and the generation that they are of.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The generation's number.
    pub generation: i64,
    /// The cells of each row.
    pub rows: Vec<Vec<Value>>,
}

impl Api {
    /// Asks the host that listens there.
    #[must_use]
    pub fn new(address: &str) -> Self {
        Api { address: address.to_owned() }
    }

    /// `PUT` of a plugin under its name.
    ///
    /// # Errors
    ///
    /// Where no answer comes, as from a host that was killed meanwhile.
    pub fn deploy(&self, plugin: &Plugin) -> Result<Answer> {
        self.put(&format!("plugins/{}", plugin.name), plugin)
    }

    /// The same, with a preview.
    ///
    /// # Errors
    ///
    /// Where no answer comes.
    pub fn preview(&self, plugin: &Plugin) -> Result<Answer> {
        self.put(&format!("plugins/{}?preview=true", plugin.name), plugin)
    }

    fn put(&self, path: &str, plugin: &Plugin) -> Result<Answer> {
        self.ask("PUT", path, &plugin.wasm)
    }

    /// `POST` of an action, such as `rollback`, to a plugin.
    ///
    /// # Errors
    ///
    /// Where no answer comes.
    pub fn act(&self, name: &str, action: &str) -> Result<Answer> {
        self.ask("POST", &format!("plugins/{name}/{action}"), &[])
    }

    /// `DELETE` of a plugin.
    ///
    /// # Errors
    ///
    /// Where no answer comes.
    pub fn remove(&self, name: &str, purge: bool) -> Result<Answer> {
        self.ask("DELETE", &format!("plugins/{name}?purge={purge}"), &[])
    }

    /// What the host says of a plugin.
    ///
    /// # Errors
    ///
    /// Where no answer comes.
    pub fn plugin(&self, name: &str) -> Result<Answer> {
        self.ask("GET", &format!("plugins/{name}"), &[])
    }

    /// A plugin's history, oldest first.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub fn history(&self, name: &str) -> Result<Vec<Value>> {
        let entries = self.ask("GET", &format!("plugins/{name}/history"), &[])?.ok()?["history"].take();
        entries.as_array().cloned().with_context(|| format!("a history is {entries}"))
    }

    /// Asks a read model.
    ///
    /// # Errors
    ///
    /// Where no rows are answered.
    pub fn query(&self, name: &str, sql: &str) -> Result<Rows> {
        let question = json!({ "sql": sql }).to_string();
        let answer = self.ask("POST", &format!("read-models/{name}/query"), question.as_bytes())?;
        let mut body = answer.ok()?;
        let generation = body["generation"].as_i64().context("an answer without its generation")?;
        Ok(Rows { generation, rows: serde_json::from_value(body["rows"].take())? })
    }

    /// A command, with headers such as `Idempotency-Key`; what is not an answer is not one yet.
    ///
    /// # Errors
    ///
    /// Where no answer comes, as from a host that was killed meanwhile.
    pub fn command(
        &self,
        (aggregate, id): (&str, &str),
        (name, data): (&str, Value),
        headers: &[(&str, &str)],
    ) -> Result<Reply> {
        let body = json!({ "type": name, "data": data }).to_string();
        let target = format!("/v1/aggregates/{aggregate}/{id}/commands");
        http::exchange(&self.address, "POST", &target, headers, body.as_bytes())
    }

    /// `GET` of what is below `/v1/aggregates`.
    ///
    /// # Errors
    ///
    /// Where no answer comes.
    pub fn aggregates(&self, path: &str) -> Result<Reply> {
        http::exchange(&self.address, "GET", &format!("/v1/aggregates{path}"), &[], &[])
    }

    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Result<Answer> {
        let (status, body) = http::ask(&self.address, method, &format!("/v1/{path}"), body)?;
        Ok(Answer { status, body })
    }
}

impl Answer {
    /// The body, of what was done.
    ///
    /// # Errors
    ///
    /// Where it was refused, with the reason.
    pub fn ok(self) -> Result<Value> {
        ensure!((200..300).contains(&self.status), "refused with {}: {}", self.status, self.body);
        Ok(self.body)
    }

    /// The body, of a request with this result.
    ///
    /// # Errors
    ///
    /// Where it has another, or was refused.
    pub fn done(self, result: &str) -> Result<Value> {
        let body = self.ok()?;
        ensure!(body["result"] == result, "expected {result:?}, was {body}");
        Ok(body)
    }

    /// The reason, of a refusal.
    ///
    /// # Errors
    ///
    /// Where it was not refused.
    pub fn refused(self) -> Result<String> {
        ensure!(self.status >= 400, "not refused: {} {}", self.status, self.body);
        let detail = self.body["detail"].as_str();
        detail.map(str::to_owned).with_context(|| format!("a refusal without a reason: {}", self.body))
    }
}
