//! The manifest: what a plugin says of itself, as JSON, when the host asks it to describe itself.
//!
//! It evolves by adding: every field that was not there from the start has a default. A field that a host
//! does not know is an error, since to pass over what a plugin asks for would be to promise it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The longest name of a plugin, in bytes: it names files.
pub const NAME_BYTES_MAX: usize = 64;

/// What a plugin is and what it reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Names the read model: lower-case letters, digits, `-` and `_`, starting with a letter.
    pub name: String,
    /// The plugin's own version, for people.
    #[serde(default)]
    pub version: String,
    /// What it does, in a sentence, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The topics that it reads.
    pub topics: Vec<String>,
    /// The event types that it reads; empty means all. Others are passed over in the host.
    #[serde(default)]
    pub types: Vec<String>,
    /// The headers that it reads: `None` means all, an empty list none, which is fastest.
    #[serde(default)]
    pub headers: Option<Vec<String>>,
    /// Where an event's type stands.
    #[serde(default)]
    pub envelope: Envelope,
    /// The tables, as SQL statements that are run in order on an empty database.
    #[serde(default)]
    pub schema: Vec<String>,
    /// Raised by its author when the rows that the same events give have changed.
    #[serde(default = "first_state_version")]
    pub state_version: u32,
    /// Queries that are offered by name.
    #[serde(default)]
    pub queries: BTreeMap<String, Query>,
    /// The aggregates that it sends commands to, by type: with any, it is a process manager.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sends: Vec<String>,
}

/// Ends the name of the topic that rejections are written to, beside the aggregate's own.
pub const DECISIONS_SUFFIX: &str = ".decisions";
/// The longest name of a topic.
const TOPIC_BYTES_MAX: usize = 249;

fn first_state_version() -> u32 {
    1
}

/// Where an event's type stands in its record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Envelope {
    /// CloudEvents, in Kafka's binary or structured content mode.
    #[default]
    CloudEvents,
    /// In a header of the record.
    Header {
        /// The header's name.
        name: String,
    },
    /// In a field of the JSON payload.
    JsonField {
        /// The field's name; dots lead into objects.
        field: String,
    },
    /// Every event of a topic is of one type.
    Topic {
        /// The type; without it, the topic's name.
        #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
        event_type: Option<String>,
    },
}

/// A query that a plugin offers by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// One statement that reads; its parameters are named `:name`.
    pub sql: String,
    /// What it answers, in a sentence.
    #[serde(default)]
    pub description: String,
}

/// Why a manifest is refused.
#[derive(Debug)]
pub enum Error {
    /// It is not JSON, or not of the manifest's form.
    Json(serde_json::Error),
    /// A field has a value that it may not have.
    Field {
        /// The field's name.
        field: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Json(error) => write!(f, "the manifest is not as expected: {error}"),
            Error::Field { field, reason } => write!(f, "the manifest's `{field}` {reason}"),
        }
    }
}

impl Manifest {
    /// Reads and checks what `describe` answered.
    ///
    /// # Errors
    /// When it is not a manifest, or says something that cannot be.
    pub fn parse(json: &str) -> Result<Self, Error> {
        let manifest: Manifest = serde_json::from_str(json).map_err(Error::Json)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The manifest as `describe` answers it.
    pub fn to_json(&self) -> String {
        // Strings, numbers and maps of strings always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |field, reason: String| Err(Error::Field { field, reason });
        check_name(&self.name)?;
        if self.topics.is_empty() {
            return wrong("topics", "is empty: name at least one topic to read".into());
        }
        let mut seen = Vec::new();
        for topic in &self.topics {
            if topic.is_empty() || seen.contains(&topic) {
                return wrong("topics", format!("has {topic:?} twice or empty: name each topic once"));
            }
            seen.push(topic);
        }
        if self.state_version == 0 {
            return wrong("state_version", "is 0: versions start at 1".into());
        }
        let empty = match &self.envelope {
            Envelope::Header { name } => name.is_empty(),
            Envelope::JsonField { field } => field.split('.').any(str::is_empty),
            Envelope::CloudEvents | Envelope::Topic { .. } => false,
        };
        if empty {
            return wrong("envelope", "names an empty header or field: say where the type stands".into());
        }
        let mut seen = Vec::new();
        for aggregate in &self.sends {
            if check_name(aggregate).is_err() || seen.contains(&aggregate) {
                return wrong("sends", format!("has {aggregate:?}: name each type of aggregate once"));
            }
            seen.push(aggregate);
        }
        Ok(())
    }

    /// Checks that it is a command handler's: it names one topic, where its events go, and nothing that only a
    /// projection has.
    ///
    /// # Errors
    /// When it is not, in words that name the field.
    pub fn check_handler(&self) -> Result<(), Error> {
        let wrong = |field, reason: &str| Err(Error::Field { field, reason: reason.into() });
        let [topic] = self.topics.as_slice() else {
            return wrong("topics", "has several: a command handler appends its events to one");
        };
        if topic.ends_with(DECISIONS_SUFFIX) {
            return wrong(
                "topics",
                "ends with \".decisions\", where rejections are written: name another topic",
            );
        }
        if topic.len() + DECISIONS_SUFFIX.len() > TOPIC_BYTES_MAX {
            return wrong("topics", "is too long: a command handler's topic has at most 239 bytes");
        }
        let types = ("types", !self.types.is_empty());
        if let Some(field) = self.of_projections().into_iter().chain([types]).find_map(given) {
            return wrong(field, "is a projection's, and this is a command handler: leave it out");
        }
        if self.envelope != Envelope::CloudEvents {
            return wrong("envelope", "is a projection's: a command handler's events are CloudEvents");
        }
        Ok(())
    }

    /// Checks that it is an upcaster's: it names the types that it upgrades, and nothing that only a projection has.
    ///
    /// # Errors
    /// When it is not, in words that name the field.
    pub fn check_upcaster(&self) -> Result<(), Error> {
        let wrong = |field, reason: String| Err(Error::Field { field, reason });
        if self.types.is_empty() {
            return wrong("types", "is empty: name the old types that the upcaster upgrades".into());
        }
        let mut seen = Vec::new();
        for old in &self.types {
            if old.is_empty() || seen.contains(&old) {
                return wrong("types", format!("has {old:?} twice or empty: name each old type once"));
            }
            seen.push(old);
        }
        match self.of_projections().into_iter().find_map(given) {
            Some(field) => wrong(field, "is a projection's, and this is an upcaster: leave it out".into()),
            None => Ok(()),
        }
    }

    /// The fields that only a projection has, and whether they say something.
    fn of_projections(&self) -> [(&'static str, bool); 4] {
        [
            ("schema", !self.schema.is_empty()),
            ("queries", !self.queries.is_empty()),
            ("headers", self.headers.as_ref().is_some_and(|headers| !headers.is_empty())),
            ("sends", !self.sends.is_empty()),
        ]
    }
}

/// The name of a field that says something.
fn given((field, is_there): (&'static str, bool)) -> Option<&'static str> {
    is_there.then_some(field)
}

/// Checks that a plugin's name can name a file, a URL's segment and a consumer group.
///
/// # Errors
/// When it cannot, with what may stand in a name.
pub fn check_name(name: &str) -> Result<(), Error> {
    let fits = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.len() <= NAME_BYTES_MAX
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte));
    if fits {
        return Ok(());
    }
    Err(Error::Field {
        field: "name",
        reason: format!(
            "is {name:?}: use lower-case letters, digits, '-' and '_', starting with a letter, at most {NAME_BYTES_MAX}"
        ),
    })
}
