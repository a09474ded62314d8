//! `lantern.toml`, environment and flags. The options belong to the modules that use them; here they are
//! only put together: file, then `LANTERN_*` variables, then flags, the later winning.

mod environment;

pub use environment::variables;

use crate::{command, http, log, projection, wasm};
use environment::Place;
use lantern_ready_made::{Configuration, Settings};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file that is read when none is named and it is there.
pub const DEFAULT_FILE: &str = "lantern.toml";
/// How like a key has to be to one that exists for it to be suggested.
const LIKENESS_MIN: f64 = 0.7;
/// How `log::Error` begins where a setting of the log's client is wrong.
const OF_THE_LOG: &str = "the log's setting `";

/// Everything that can be set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// `lantern run` runs every `.wasm` file in this folder; `lantern build` writes there.
    pub plugins_dir: PathBuf,
    /// The log's client: any setting of librdkafka. With `bootstrap.servers` that broker is used, without
    /// it the embedded one.
    pub kafka: log::Options,
    /// The embedded broker.
    pub broker: lantern_broker::Options,
    /// Where programs ask for deployments and queries.
    pub http: http::Options,
    /// How many events become one transaction.
    pub batch: projection::BatchOptions,
    /// What a plugin may use.
    pub limits: wasm::Limits,
    /// Generations that are built beside the live ones.
    pub rebuild: projection::RebuildOptions,
    /// How commands are decided and appended.
    pub commands: command::Options,
    /// Settings of single projections, by name.
    pub projections: BTreeMap<String, projection::Options>,
    /// Ready-made plugins, by the names of their read models.
    pub plugins: BTreeMap<String, Settings>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            data_dir: "lantern-data".into(),
            plugins_dir: "plugins".into(),
            kafka: log::Options::default(),
            broker: lantern_broker::Options::default(),
            http: http::Options::default(),
            batch: projection::BatchOptions::default(),
            limits: wasm::Limits::default(),
            rebuild: projection::RebuildOptions::default(),
            commands: command::Options::default(),
            projections: BTreeMap::new(),
            plugins: BTreeMap::new(),
        }
    }
}

/// Why the configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file says something that cannot be.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What and where, with a suggestion.
        reason: String,
    },
    /// A variable of the environment says something that cannot be.
    #[error("environment variable {name}: {reason}")]
    Environment {
        /// The variable.
        name: String,
        /// What is wrong, with a suggestion.
        reason: String,
    },
}

impl Config {
    /// Reads a file, or `lantern.toml` in the current folder if there is one, and the environment.
    ///
    /// # Errors
    /// When something in it is unknown or cannot be; the error says where, and what may have been meant.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, Error> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(Error::Read { path: path.into(), source }),
        };
        // Read once as it stands, since errors then show line and column.
        let in_file =
            |error: toml::de::Error| Error::File { path: path.into(), reason: explain(&error, &text) };
        toml::from_str::<Config>(&text).map_err(in_file)?;
        let mut table: toml::Table = toml::from_str(&text).map_err(in_file)?;
        for (name, value) in environment {
            let wrong = |reason| Error::Environment { name: name.clone(), reason };
            let Some(place) = environment::place(&name).map_err(wrong)? else { continue };
            let mut own = toml::Table::new();
            set(&mut own, &place, &value);
            // Alone first, so that an error is of this variable.
            own.try_into::<Config>().map_err(|error| wrong(explain(&error, "")))?;
            set(&mut table, &place, &value);
        }
        let is_set =
            |section: &str, key: &str| table.get(section).is_some_and(|keys| keys.get(key).is_some());
        if is_set("broker", "dir") {
            let reason = "the embedded broker's folder is always `log` in the data folder: leave `dir` of [broker] out, \
                          and set data_dir"
                .into();
            return Err(Error::File { path: path.into(), reason });
        }
        let config: Config = table.try_into().map_err(in_file)?;
        for name in config.plugins.keys() {
            let Some(Err(reason)) = config.ready_made(name).map(|it| it.manifest().map(drop)) else {
                continue;
            };
            return Err(Error::File { path: path.into(), reason: format!("[plugins.{name}]: {reason}") });
        }
        Ok(config)
    }

    /// What a section `[plugins.<name>]` sets up, if there is one.
    pub fn ready_made(&self, name: &str) -> Option<Configuration> {
        let settings = self.plugins.get(name)?.clone();
        Some(Configuration { name: name.to_owned(), settings })
    }
}

fn set(table: &mut toml::Table, Place { section, key }: &Place, text: &str) {
    let value = match section {
        // Paths, and librdkafka's settings, are texts whatever they look like.
        None | Some("kafka") => toml::Value::String(text.to_owned()),
        Some(_) => typed(text),
    };
    match section {
        None => table.insert(key.clone(), value),
        Some(section) => table
            .entry(*section)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()))
            .as_table_mut()
            .and_then(|section| section.insert(key.clone(), value)),
    };
}

fn typed(text: &str) -> toml::Value {
    if let Ok(integer) = text.parse::<i64>() {
        return toml::Value::Integer(integer);
    }
    match text {
        "true" => toml::Value::Boolean(true),
        "false" => toml::Value::Boolean(false),
        _ => toml::Value::String(text.to_owned()),
    }
}

/// What a deserialiser says of a text, with the key that may have been meant.
fn explain(error: &toml::de::Error, text: &str) -> String {
    let shown = match error.message() {
        // Without the line itself, which may have a secret: a misspelled `sasl.password` is unknown as well.
        message if message.starts_with(OF_THE_LOG) => match error.span() {
            Some(span) => format!("line {}: {message}", line(text, span.start)),
            None => message.to_owned(),
        },
        _ => error.to_string().trim_end().to_owned(),
    };
    match suggestion(error.message()) {
        Some(meant) => format!("{shown}\nDid you mean `{meant}`?"),
        None => shown,
    }
}

/// The number of the line in which a byte of a text is.
fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// serde lists what it expected; the most similar is what was meant. librdkafka's list is asked for.
fn suggestion(message: &str) -> Option<String> {
    if let Some((key, reason)) = message.strip_prefix(OF_THE_LOG).and_then(|rest| rest.split_once('`')) {
        let names = if reason.contains("is unknown") { log::Options::names() } else { Default::default() };
        return closest(key, names.iter().map(String::as_str)).map(str::to_owned);
    }
    let (unknown, expected) = message.split_once(", expected ")?;
    let unknown = unknown.strip_prefix("unknown field ")?.trim_matches('`');
    closest(unknown, expected.split('`').skip(1).step_by(2)).map(str::to_owned)
}

/// The known name that is most like this one, if it is like it.
pub fn closest<'k>(unknown: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(unknown, known), known))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lantern.toml");
        std::fs::write(&path, text).unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(Some(&path), environment)
    }

    /// A setting with a typing error that is passed over is a setting that people believe to be in force.
    #[test]
    fn an_unknown_key_is_an_error_that_suggests_the_right_one() {
        let check = |text: &str, environment: &[(&str, &str)], parts: &[&str]| {
            let error = load(text, environment).expect_err(text).to_string();
            for part in parts {
                assert!(error.contains(part), "{error}\nlacks {part}");
            }
        };
        check("data_dri = \"x\"", &[], &["line 1", "`data_dri`", "Did you mean `data_dir`?"]);
        check("[batch]\nevent_max = 5", &[], &["line 2", "Did you mean `events_max`?"]);
        check("[limits]\nmemory_max = 5", &[], &["line 2", "memory_max"]);
        check("[projections.a]\non_truncate = 'halt'", &[], &["Did you mean `on_truncated`?"]);
        check("[projections.a]\non_truncated = 'stop'", &[], &["line 2", "`stop`", "`earliest`"]);
        check("[batch]\nevents_max = 'many'", &[], &["line 2", "invalid type"]);
        check("data_dir = ", &[], &["line 1"]);
        let table = "[plugins.customers]\nuse = \"json-table\"\ntopics = [\"c\"]\nkey = \"id\"\n";
        let with = |more: &str| format!("{table}{more}");
        check(&with("colums.id = 'text'"), &[], &["`colums`", "Did you mean `columns`?"]);
        check(&with("columns.id = 'txt'"), &[], &["unknown variant `txt`", "`text`"]);
        check(&with("columns.id = { typ = 'text' }"), &[], &["Did you mean `type`?"]);
        check(&with("columns.name = 'text'"), &[], &["[plugins.customers]", "`id` is no column"]);
        check(&with("columns.id = 'text'\nindexes = ['nmae']"), &[], &["`nmae` is no column"]);
        check("[plugins.a]\nuse = 'json-tabel'", &[], &["json-tabel", "`json-table`"]);
        check("[plugins.Bad]\nuse = 'counters'\ntopics = ['a']", &[], &["[plugins.Bad]", "lower-case"]);
        check("[plugins.a]\nuse = 'counters'\ntopics = ['a']\nby = []", &[], &["nothing to count by"]);
        // Taken, it would be passed over in silence.
        check("[broker]\ndir = 'x'", &[], &["always `log`", "data_dir"]);
        check("", &[("LANTERN_BROKER_DIR", "x")], &["always `log`"]);
        // What only librdkafka knows is asked of it, before anything runs.
        let kafka = |more: &str| format!("data_dir = 'x'\n[kafka]\n{more}");
        check(&kafka("securty.protocol = 'ssl'"), &[], &["line 3", "Did you mean `security.protocol`?"]);
        check(&kafka("boostrap.servers = 'a:1'"), &[], &["line 3", "Did you mean `bootstrap.servers`?"]);
        check(&kafka("security.protocol = 'tls'"), &[], &["line 3", "`security.protocol`", "\"tls\""]);
        check(&kafka("\"linger.ms\" = -7"), &[], &["line 3", "`linger.ms`"]);
        check(&kafka("ssl.ca = ['a']"), &[], &["line 3", "a string, a number or a boolean"]);
        check(
            &kafka("isolation.level = 'read_uncommitted'"),
            &[],
            &["line 3", "read_committed", "remove it"],
        );
        check("", &[("LANTERN_KAFKA_SASL_PASSWRD", "x")], &["SASL_PASSWRD", "Did you mean `sasl.password`?"]);
        check("kafka = 'a:1'", &[], &["line 1", "a table of settings"]);
        check("", &[("LANTERN_DATADIR", "x")], &["variable LANTERN_DATADIR", "`LANTERN_DATA_DIR`"]);
        check("[http]\nlisten = '0.0.0.0'", &[], &["line 2", "127.0.0.1:7070"]);
        check("", &[("LANTERN_HTTP_LISTEN", "nowhere")], &["LANTERN_HTTP_LISTEN", "no address"]);
        check(
            "",
            &[("LANTERN_BATCH_EVENT_MAX", "5")],
            &["LANTERN_BATCH_EVENT_MAX", "Did you mean `events_max`?"],
        );
        check("", &[("LANTERN_BATCH_EVENTS_MAX", "many")], &["LANTERN_BATCH_EVENTS_MAX", "invalid type"]);
    }

    /// Later sources win, so that a file can be shared and a container can differ.
    #[test]
    fn the_environment_goes_before_the_file() {
        let config = load(
            "data_dir = \"a\"\n[batch]\nevents_max = 5\n[kafka]\n\"client.id\" = \"file\"\n",
            &[
                ("LANTERN_DATA_DIR", "b"),
                ("LANTERN_BATCH_EVENTS_MAX", "7"),
                ("LANTERN_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092"),
                ("LANTERN_LOG", "debug"),
                ("HOME", "/"),
            ],
        )
        .unwrap();
        assert_eq!(config.data_dir, Path::new("b"));
        assert_eq!(config.batch.events_max, 7);
        assert_eq!(config.kafka.get("bootstrap.servers"), Some("127.0.0.1:9092"));
        assert_eq!(config.kafka.get("client.id"), Some("file"));
    }

    // What is wrong is shown on terminals and kept in logs.
    #[test]
    fn an_error_of_a_line_with_a_secret_does_not_show_it() {
        let error = load("[kafka]\nsasl.passwrd = 'hunter2'", &[]).unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let error = Config::load(Some(Path::new("/nowhere/lantern.toml")), []).unwrap_err().to_string();
        assert!(error.contains("/nowhere/lantern.toml"), "{error}");
    }
}
