//! `event-archive`: every event is kept, and can be searched by words.

use crate::time::instant;
use lantern_sdk::{Db, Envelope, Event, Manifest, Result, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// What can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The topics that it reads.
    pub topics: Vec<String>,
    /// The types of events that are kept; empty is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// The headers that are kept, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// How texts are cut into words.
    #[serde(default)]
    pub words: Words,
    /// Where an event's type stands; without it, as CloudEvents have it.
    #[serde(default)]
    pub envelope: Envelope,
}

/// How texts are cut into words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Words {
    /// Letters and digits, without accents and case.
    #[default]
    Unicode,
    /// The same, and English endings are taken off.
    English,
    /// Any three characters: finds parts of words, and takes more room.
    Parts,
}

impl Words {
    fn tokenizer(self) -> &'static str {
        match self {
            Words::Unicode => "unicode61",
            Words::English => "porter unicode61",
            Words::Parts => "trigram",
        }
    }
}

const INSERT: &str = r#"INSERT INTO events (topic, "partition", "offset", time, type, "key", data, headers)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)"#;

impl Settings {
    /// The manifest of the plugin that this makes.
    ///
    /// # Errors
    /// Never: these settings fit each other.
    pub fn manifest(&self, name: &str) -> std::result::Result<Manifest, String> {
        let mut manifest = Manifest::new(name)
            .description(format!("Every event of {}, to be searched", self.topics.join(", ")))
            .envelope(self.envelope.clone())
            .types(&self.types)
            .headers(&self.headers)
            .schema(
                r#"CREATE TABLE events (
  id INTEGER PRIMARY KEY, topic TEXT NOT NULL, "partition" INTEGER NOT NULL, "offset" INTEGER NOT NULL,
  time TEXT NOT NULL, type TEXT NOT NULL, "key", data, headers TEXT,
  UNIQUE (topic, "partition", "offset")
)"#,
            )
            .schema(r#"CREATE INDEX events_by_key ON events ("key", id)"#)
            .schema("CREATE INDEX events_by_type ON events (type, id)")
            .schema(format!(
                r#"CREATE VIRTUAL TABLE words USING fts5(type, "key", data, content='events', content_rowid='id', tokenize='{}')"#,
                self.words.tokenizer()
            ))
            .schema(
                r#"CREATE TRIGGER events_words AFTER INSERT ON events BEGIN
  INSERT INTO words (rowid, type, "key", data) VALUES (new.id, new.type, new."key", new.data);
END"#,
            )
            .query(
                "search",
                r#"SELECT events.* FROM words JOIN events ON events.id = words.rowid
WHERE words MATCH :words ORDER BY words.rank, events.id DESC LIMIT 100"#,
                "The events that say these words, the best first; as FTS5 is asked: paid AND (tea OR coffee), data: gre*",
            )
            .query("latest", "SELECT * FROM events ORDER BY id DESC LIMIT 100", "The newest events")
            .query(
                "of-key",
                r#"SELECT * FROM events WHERE "key" = :key ORDER BY id LIMIT 1000"#,
                "What happened to one thing, in order",
            );
        for topic in &self.topics {
            manifest = manifest.topic(topic);
        }
        Ok(manifest)
    }
}

/// Applies events.
pub struct Plugin {
    settings: Settings,
}

impl Plugin {
    /// The plugin of these settings.
    pub(crate) fn new(settings: Settings) -> Self {
        Plugin { settings }
    }

    pub(crate) fn apply(&self, event: &Event<'_>, db: &mut Db) -> Result<()> {
        let headers = self.headers(event);
        let params = (
            event.topic(),
            event.partition(),
            event.offset(),
            instant(event.timestamp_ms()),
            event.kind(),
            text_or_blob(event.key()),
            text_or_blob(event.payload()),
            headers,
        );
        db.execute(INSERT, params)
    }

    /// The headers that are kept, as a JSON object; `None` when there is none of them.
    fn headers(&self, event: &Event<'_>) -> Option<String> {
        let kept = |name: &String| {
            let value = String::from_utf8_lossy(event.header(name)?).into_owned();
            Some((name.clone(), Json::from(value)))
        };
        let found: Map<String, Json> = self.settings.headers.iter().filter_map(kept).collect();
        (!found.is_empty()).then(|| Json::from(found).to_string())
    }
}

/// Bytes as text where they are text.
fn text_or_blob(bytes: Option<&[u8]>) -> Value<'_> {
    match bytes {
        None => Value::Null,
        Some(bytes) => std::str::from_utf8(bytes).map_or(Value::Blob(bytes), Value::Text),
    }
}
