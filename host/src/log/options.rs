//! Settings of the log's client: the user's, passed through, over those that Lantern chooses.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use serde::de::{DeserializeSeed, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Client, Error, Producer, settings};

/// Settings of librdkafka by their names there, such as `bootstrap.servers` or `sasl.password`. In a
/// file they are a table of strings, numbers and booleans; a dot in a name needs no quotes.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Options(BTreeMap<String, String>);

/// Stands for a secret.
const HIDDEN: &str = "(not shown)";

/// What Lantern relies on, and why. The user may repeat these, not change them.
const CONSUMER_FIXED: [(&str, &str, &str); 5] = [
    ("isolation.level", "read_committed", "a read model must never hold what a transaction took back"),
    ("enable.auto.commit", "false", "checkpoints are in the read model; offsets in the log are advisory"),
    (
        "enable.auto.offset.store",
        "false",
        "checkpoints are in the read model; offsets in the log are advisory",
    ),
    (
        "auto.offset.reset",
        "error",
        "a gap in the log must be noticed; decide what happens then by the projection's policy",
    ),
    ("enable.partition.eof", "true", "it tells when a projection has caught up"),
];

/// What Lantern chooses for consumers unless the user does.
///
/// Memory: at most 16 MiB of fetched records wait for each consumer, and one response brings at most
/// half of that more. With the queue so bounded the backoff decides the speed: librdkafka's default of
/// a second between a full queue and the next fetch is 25 times slower. Latency: a broker that waits out
/// `fetch.wait.max.ms` answers within 10 ms. The first message: a new consumer asks for the leaders of
/// its partitions again every `topic.metadata.refresh.fast.interval.ms`. A topic that is missing is said to
/// be so after `topic.metadata.propagation.max.ms`, of which librdkafka's default is 30 s.
const CONSUMER_DEFAULTS: [(&str, &str); 10] = [
    ("fetch.wait.max.ms", "10"),
    ("fetch.queue.backoff.ms", "5"),
    ("fetch.error.backoff.ms", "100"),
    ("fetch.max.bytes", "8388608"),
    ("queued.max.messages.kbytes", "16384"),
    ("queued.min.messages", "100000"),
    ("reconnect.backoff.ms", "50"),
    ("reconnect.backoff.max.ms", "1000"),
    ("topic.metadata.refresh.fast.interval.ms", "50"),
    ("topic.metadata.propagation.max.ms", "3000"),
];

/// What Lantern chooses for producers unless the user does.
///
/// The partitioner is Java's default, so that a key goes where Kafka's own tools send it. Memory: at most
/// 32 MiB of records wait to be sent. A record that no broker took within 30 s has failed.
const PRODUCER_DEFAULTS: [(&str, &str); 9] = [
    ("enable.idempotence", "true"),
    ("partitioner", "murmur2_random"),
    ("linger.ms", "5"),
    ("message.timeout.ms", "30000"),
    ("queue.buffering.max.kbytes", "32768"),
    ("topic.metadata.refresh.fast.interval.ms", "50"),
    ("topic.metadata.propagation.max.ms", "3000"),
    ("reconnect.backoff.ms", "50"),
    ("reconnect.backoff.max.ms", "1000"),
];

impl Options {
    /// Settings that name brokers, as `host:port`, several separated by commas.
    pub fn new(servers: impl Into<String>) -> Self {
        Options(BTreeMap::from([("bootstrap.servers".to_owned(), servers.into())]))
    }

    /// Sets one setting, over what it was.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.insert(key.into(), value.into());
    }

    /// One setting, if it is set.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The brokers to connect to first, under either of librdkafka's names for them.
    pub fn servers(&self) -> Option<&str> {
        self.get("bootstrap.servers").or_else(|| self.get("metadata.broker.list"))
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All settings in order of their names. Some are secrets.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The names of all settings that there are.
    pub fn names() -> BTreeSet<String> {
        settings::names()
    }

    /// What the log's clients are given: these settings over those that Lantern chooses. Secrets are hidden.
    ///
    /// # Errors
    /// When one of those that Lantern relies on is set otherwise.
    pub fn in_force(&self) -> Result<BTreeMap<String, String>, Error> {
        let mut all = self.clone();
        if self.servers().is_none() {
            all.set("bootstrap.servers", "localhost");
        }
        let (consumer, producer) = (all.consumer(None)?, all.producer()?);
        let given = consumer.config_map().into_iter().chain(producer.config_map()).chain(self.iter());
        let shown = |key, value| if is_secret(key) { HIDDEN } else { value };
        let mut shown: BTreeMap<_, _> =
            given.map(|(key, value)| (key.to_owned(), shown(key, value).to_owned())).collect();
        if self.servers().is_none() {
            shown.remove("bootstrap.servers");
        }
        Ok(shown)
    }

    /// Whether clients can be made of these settings together; nothing is asked of a broker.
    ///
    /// # Errors
    /// When they cannot, such as for a file that is missing.
    pub fn check(&self) -> Result<(), Error> {
        Client::new(self)?;
        Producer::new(self)?;
        Ok(())
    }

    /// Settings for a client that reads; `group` names the group of its advisory commits, without which
    /// it can only look.
    pub(super) fn consumer(&self, group: Option<&str>) -> Result<ClientConfig, Error> {
        let mut config = self.base(&CONSUMER_DEFAULTS)?;
        // librdkafka wants this to be at least `message.max.bytes`, which the user may have raised.
        if let (None, Some(Ok(bytes))) =
            (self.get("fetch.max.bytes"), self.get("message.max.bytes").map(str::parse::<u32>))
        {
            config.set("fetch.max.bytes", bytes.max(8 << 20).to_string());
        }
        for (key, value, _) in CONSUMER_FIXED {
            self.get(key).map_or(Ok(()), |given| is_as_needed(key, given))?;
            config.set(key, value);
        }
        match group {
            Some(group) if self.get("group.id").is_none() => {
                config.set("group.id", format!("lantern-{group}"))
            }
            Some(_) => &mut config,
            None => config.remove("group.id"),
        };
        Ok(config)
    }

    /// Settings for a client that appends.
    pub(super) fn producer(&self) -> Result<ClientConfig, Error> {
        self.base(&PRODUCER_DEFAULTS)
    }

    /// Settings for a client that appends in transactions under this name.
    pub(super) fn transactional(&self, id: &str) -> Result<ClientConfig, Error> {
        let mut config = self.producer()?;
        match self.get("enable.idempotence") {
            None | Some("true") => {}
            Some(other) => {
                let reason = format!("is {other:?}, but transactions need \"true\"; remove it");
                return Err(Error::Setting { key: "enable.idempotence".to_owned(), reason });
            }
        }
        config.set("transactional.id", id);
        // Records gather while the transaction's partitions are made known: to wait longer gains nothing.
        config.set("linger.ms", self.get("linger.ms").unwrap_or("0"));
        Ok(config)
    }

    fn base(&self, defaults: &[(&str, &str)]) -> Result<ClientConfig, Error> {
        if self.servers().is_none_or(|servers| servers.trim().is_empty()) {
            let reason = "is not set; set it to the brokers, such as `localhost:9092`".to_owned();
            return Err(Error::Setting { key: "bootstrap.servers".to_owned(), reason });
        }
        let mut config = ClientConfig::new();
        // Who wants to see less or more sets the level of Lantern's own log.
        config.set_log_level(if self.get("debug").is_some() {
            RDKafkaLogLevel::Debug
        } else {
            RDKafkaLogLevel::Info
        });
        config.set("client.id", "lantern");
        for (key, value) in defaults.iter().copied().chain(self.iter()) {
            config.set(key, value);
        }
        Ok(config)
    }
}

/// Whether a setting is what Lantern needs, if it needs something.
fn is_as_needed(key: &str, given: &str) -> Result<(), Error> {
    match CONSUMER_FIXED.into_iter().find(|(fixed, value, _)| *fixed == key && *value != given) {
        None => Ok(()),
        Some((_, value, why)) => {
            let reason = format!("is {given:?}, but Lantern needs {value:?}, because {why}; remove it");
            Err(Error::Setting { key: key.to_owned(), reason })
        }
    }
}

/// Whether a setting can be what it is, whatever else is set.
fn check(key: &str, value: &str) -> Result<(), Error> {
    is_as_needed(key, value)?;
    settings::check(key, value)
}

/// Whether a setting's value must not be shown.
pub(super) fn is_secret(key: &str) -> bool {
    ["password", "secret", ".pem", "sasl.jaas", "oauthbearer.config"].iter().any(|part| key.contains(part))
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.iter().map(|(key, value)| (key, if is_secret(key) { HIDDEN } else { value }));
        f.debug_map().entries(shown).finish()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Options {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(settings: I) -> Self {
        Options(settings.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl<K: Into<String>, V: Into<String>> Extend<(K, V)> for Options {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, settings: I) {
        self.0.extend(settings.into_iter().map(|(key, value)| (key.into(), value.into())));
    }
}

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut options = Options::default();
        deserializer.deserialize_map(Value { key: String::new(), settings: &mut options.0 })?;
        Ok(options)
    }
}

/// A value as it stands in a file, or a table of them: TOML reads `ssl.ca.location` without quotes as three tables. Each is
/// looked at where it stands, so that the error has its line.
struct Value<'s> {
    /// Empty for the whole of it.
    key: String,
    settings: &'s mut BTreeMap<String, String>,
}

impl Value<'_> {
    fn is<E: serde::de::Error>(self, text: String) -> Result<(), E> {
        if self.key.is_empty() {
            return Err(E::invalid_type(Unexpected::Other("a single value"), &"a table of settings"));
        }
        check(&self.key, &text).map_err(E::custom)?;
        self.settings.insert(self.key, text);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a number or a boolean, as settings of librdkafka are")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.is(text.to_owned())
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<(), E> {
        self.is(flag.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, integer: i64) -> Result<(), E> {
        self.is(integer.to_string())
    }

    fn visit_u64<E: serde::de::Error>(self, integer: u64) -> Result<(), E> {
        self.is(integer.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        self.is(number.to_string())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<(), A::Error> {
        while let Some(name) = table.next_key::<String>()? {
            let key = if self.key.is_empty() { name } else { format!("{}.{name}", self.key) };
            table.next_value_seed(Value { key, settings: self.settings })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(toml: &str) -> Options {
        toml::from_str(toml).expect("the test's TOML is right")
    }

    // People copy settings from other clients' files; quotes or not must not matter.
    #[test]
    fn settings_are_read_with_and_without_quotes() {
        let quoted =
            options("\"bootstrap.servers\" = 'a:1'\n\"linger.ms\" = 7\n\"allow.auto.create.topics\" = true");
        let dotted = options("bootstrap.servers = 'a:1'\nlinger.ms = 7\nallow.auto.create.topics = true");
        assert_eq!(quoted, dotted);
        assert_eq!(dotted.get("linger.ms"), Some("7"));
        assert_eq!(dotted.servers(), Some("a:1"));
        assert!(toml::from_str::<Options>("debug = ['a']").is_err());
    }

    // The user's word counts over Lantern's choice, in every setting but those it relies on.
    #[test]
    fn what_the_user_sets_wins_over_what_lantern_chooses() {
        let chosen = Options::new("a:1").consumer(Some("orders")).expect("servers are set");
        assert_eq!(chosen.get("group.id"), Some("lantern-orders"));
        assert_eq!(chosen.get("fetch.queue.backoff.ms"), Some("5"));
        assert_eq!(chosen.get("isolation.level"), Some("read_committed"));

        let given = options(
            "bootstrap.servers = 'a:1'\ngroup.id = 'mine'\nfetch.wait.max.ms = 77\nmessage.max.bytes = 20000000",
        );
        let config = given.consumer(Some("orders")).expect("servers are set");
        assert_eq!(config.get("group.id"), Some("mine"));
        assert_eq!(config.get("fetch.wait.max.ms"), Some("77"));
        assert_eq!(config.get("fetch.max.bytes"), Some("20000000"));
        assert_eq!(given.producer().expect("servers are set").get("partitioner"), Some("murmur2_random"));
    }

    // Reading uncommitted records would break what Lantern promises, so it cannot be configured.
    #[test]
    fn what_lantern_relies_on_cannot_be_set_otherwise() {
        for (key, value, _) in CONSUMER_FIXED {
            let mut options = Options::new("a:1");
            options.set(key, value);
            assert!(options.consumer(Some("orders")).is_ok());
            options.set(key, "something");
            let error = options.consumer(Some("orders")).expect_err("it is relied on").to_string();
            assert!(error.contains(key) && error.contains("something") && error.contains(value), "{error}");
        }
        let error = Options::default().producer().expect_err("no servers").to_string();
        assert!(error.contains("bootstrap.servers"), "{error}");
    }

    // Settings are logged at start; passwords must not be.
    #[test]
    fn secrets_are_not_shown() {
        let mut options = Options::new("a:1");
        options.set("sasl.password", "hunter2");
        options.set("ssl.key.pem", "hunter2");
        assert!(!format!("{options:?}").contains("hunter2"));
        assert!(format!("{options:?}").contains("a:1"));
    }
}
