//! Changing topics, their settings, and groups.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::{self, Poll, Wake};
use std::thread::{self, Thread};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::client::METADATA_TIMEOUT;
use super::context::Context;
use super::{Error, Options};

/// A client that changes what the brokers have. Calls block for at most about five seconds.
pub struct Admin {
    client: AdminClient<Context>,
    timeouts: AdminOptions,
}

/// A setting of a topic.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Setting {
    /// Its name, such as `retention.ms`.
    pub name: String,
    /// Its value; `None` where the broker does not show it.
    pub value: Option<String>,
    /// Who has set it.
    pub source: Source,
    /// Whether it cannot be changed.
    pub read_only: bool,
}

/// Who has set a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// It was set for this topic.
    Topic,
    /// The broker's own configuration.
    Broker,
    /// Nobody.
    Default,
}

impl Admin {
    /// Makes a client. It connects when it is first asked something.
    ///
    /// # Errors
    /// When a setting is wrong, or there are no `bootstrap.servers`.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let context = Context::new(options.servers().unwrap_or_default());
        let client = AdminClient::from_config_and_context(&options.producer()?, context);
        let timeouts = AdminOptions::new()
            .request_timeout(Some(METADATA_TIMEOUT))
            .operation_timeout(Some(METADATA_TIMEOUT));
        Ok(Admin { client: client.map_err(|error| Error::creation(&error))?, timeouts })
    }

    /// Creates a topic with as many partitions, replicated as the broker has it by default, and with settings such as
    /// `retention.ms`. Answers whether it was missing: a topic that exists stays as it is.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> Result<bool, Error> {
        let what = format!("creating topic `{name}`");
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(-1));
        let topic = settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let results = self.answer(self.client.create_topics([&topic], &self.timeouts), &what)?;
        match results.into_iter().next() {
            Some(Ok(_)) => Ok(true),
            Some(Err((_, Code::TopicAlreadyExists))) => Ok(false),
            Some(Err((_, code))) => Err(self.explain(code, what, None)),
            None => Err(silent(what)),
        }
    }

    /// Deletes a topic with everything in it.
    ///
    /// # Errors
    /// [`Error::TopicMissing`], or that the broker refuses or does not answer.
    pub fn delete_topic(&self, name: &str) -> Result<(), Error> {
        let what = format!("deleting topic `{name}`");
        let results = self.answer(self.client.delete_topics(&[name], &self.timeouts), &what)?;
        match results.into_iter().next() {
            Some(Ok(_)) => Ok(()),
            Some(Err((_, code))) => Err(self.explain(code, what, Some(name))),
            None => Err(silent(what)),
        }
    }

    /// Gives a topic more partitions: `total` together.
    ///
    /// # Errors
    /// [`Error::TopicMissing`], or that the broker refuses or does not answer.
    pub fn set_partitions(&self, name: &str, total: usize) -> Result<(), Error> {
        let what = format!("giving topic `{name}` {total} partitions");
        let more = NewPartitions::new(name, total);
        let results = self.answer(self.client.create_partitions([&more], &self.timeouts), &what)?;
        match results.into_iter().next() {
            Some(Ok(_)) => Ok(()),
            Some(Err((_, code))) => Err(self.explain(code, what, Some(name))),
            None => Err(silent(what)),
        }
    }

    /// All settings of a topic, in order of their names.
    ///
    /// # Errors
    /// [`Error::TopicMissing`], or that the broker refuses or does not answer.
    pub fn settings(&self, topic: &str) -> Result<Vec<Setting>, Error> {
        let what = format!("asking for the settings of topic `{topic}`");
        let asked = [ResourceSpecifier::Topic(topic)];
        let missing = |error| match error {
            // librdkafka tells a resource's own error as that of the whole question.
            Error::Other { reason, .. } if reason.contains("Unknown topic") => {
                Error::TopicMissing { topic: topic.to_owned() }
            }
            other => other,
        };
        let answer = self.answer(self.client.describe_configs(&asked, &self.timeouts), &what);
        let entries = match answer.map_err(missing)?.into_iter().next() {
            Some(Ok(found)) => found.entries,
            Some(Err(code)) => return Err(self.explain(code, what, Some(topic))),
            None => return Err(silent(what)),
        };
        let mut settings: Vec<Setting> = entries
            .into_iter()
            .map(|entry| Setting {
                name: entry.name,
                value: entry.value.filter(|_| !entry.is_sensitive),
                source: match entry.source {
                    ConfigSource::DynamicTopic => Source::Topic,
                    ConfigSource::Default | ConfigSource::Unknown => Source::Default,
                    _ => Source::Broker,
                },
                read_only: entry.is_read_only,
            })
            .collect();
        settings.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(settings)
    }

    /// Makes these the settings of a topic: all others are as the broker has them by default.
    ///
    /// # Errors
    /// [`Error::TopicMissing`], or that the broker refuses or does not answer.
    pub fn replace_settings(&self, topic: &str, settings: &BTreeMap<String, String>) -> Result<(), Error> {
        let what = format!("changing the settings of topic `{topic}`");
        let change = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let change = settings.iter().fold(change, |change, (key, value)| change.set(key, value));
        let results = self.answer(self.client.alter_configs([&change], &self.timeouts), &what)?;
        match results.into_iter().next() {
            Some(Ok(_)) => Ok(()),
            Some(Err((_, code))) => Err(self.explain(code, what, Some(topic))),
            None => Err(silent(what)),
        }
    }

    /// Forgets a group that has no members, and how far it was.
    ///
    /// # Errors
    /// When there is none, it has members, or the broker does not answer.
    pub fn delete_group(&self, name: &str) -> Result<(), Error> {
        let what = format!("deleting group `{name}`");
        let results = self.answer(self.client.delete_groups(&[name], &self.timeouts), &what)?;
        match results.into_iter().next() {
            Some(Ok(_)) => Ok(()),
            Some(Err((_, Code::NonEmptyGroup))) => {
                let reason = "it has members; stop them first: `lantern groups describe` shows who they are";
                Err(Error::Other { what, reason: reason.into() })
            }
            Some(Err((_, code))) => Err(self.explain(code, what, None)),
            None => Err(silent(what)),
        }
    }

    fn answer<T>(&self, asked: impl Future<Output = Result<T, KafkaError>>, what: &str) -> Result<T, Error> {
        let context = self.client.inner().context();
        context.forget();
        block_on(asked).map_err(|error| context.explain_error(&error, what, None))
    }

    fn explain(&self, code: Code, what: String, topic: Option<&str>) -> Error {
        match code {
            Code::InvalidConfig => {
                let reason = "the broker does not take a setting or its value; `lantern topics describe <TOPIC> --all` \
                              shows which settings topics have";
                Error::Other { what, reason: reason.into() }
            }
            Code::InvalidTopic => {
                let reason = "the broker does not take the name: letters, digits, `.`, `_` and `-`, at most 249 of them";
                Error::Other { what, reason: reason.into() }
            }
            _ => self.client.inner().context().explain(code, &what, topic),
        }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

fn silent(what: String) -> Error {
    Error::Other { what, reason: "the broker did not say what became of it".into() }
}

/// Waits for one answer of librdkafka's admin functions, which come by way of a channel from a thread of
/// its own, on a thread that need not be, and may be, one of a runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = task::Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
