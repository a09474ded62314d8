//! What a plugin says of itself.

use lantern_contract::manifest as contract;
pub use lantern_contract::manifest::Envelope;
use std::collections::BTreeMap;

/// What a plugin is called, what it reads, and its tables.
///
/// It reads CloudEvents of every type, and no headers, unless it says otherwise.
#[derive(Clone, Debug)]
pub struct Manifest {
    inner: contract::Manifest,
}

impl Manifest {
    /// A manifest of this name, which is also the read model's: lower-case letters, digits, `-` and `_`.
    pub fn new(name: impl Into<String>) -> Self {
        Manifest {
            inner: contract::Manifest {
                name: name.into(),
                version: String::new(),
                description: String::new(),
                topics: Vec::new(),
                types: Vec::new(),
                headers: Some(Vec::new()),
                envelope: Envelope::default(),
                schema: Vec::new(),
                state_version: 1,
                queries: BTreeMap::new(),
                sends: Vec::new(),
            },
        }
    }

    /// The plugin's own version, for people: `env!("CARGO_PKG_VERSION")`.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.inner.version = version.into();
        self
    }

    /// What it does, in a sentence, for people.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.inner.description = description.into();
        self
    }

    /// Reads this topic, beside those named before.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.inner.topics.push(topic.into());
        self
    }

    /// Reads only events of these types; others are passed over in the host, which is fastest.
    pub fn types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.inner.types.extend(types.into_iter().map(Into::into));
        self
    }

    /// Reads these headers of its events.
    pub fn headers<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.inner.headers.get_or_insert_default().extend(names.into_iter().map(Into::into));
        self
    }

    /// Reads all headers of its events.
    pub fn all_headers(mut self) -> Self {
        self.inner.headers = None;
        self
    }

    /// Says where an event's type stands, where that is not CloudEvents.
    pub fn envelope(mut self, envelope: Envelope) -> Self {
        self.inner.envelope = envelope;
        self
    }

    /// One statement of the schema: a table, an index, a view. They run in order on an empty database.
    pub fn schema(mut self, sql: impl Into<String>) -> Self {
        self.inner.schema.push(sql.into());
        self
    }

    /// To be raised when the rows that the same events give have changed: the read model is then rebuilt. 1 at first.
    pub fn state_version(mut self, version: u32) -> Self {
        self.inner.state_version = version;
        self
    }

    /// Offers a query by name. Its parameters are named `:name`.
    pub fn query(
        mut self,
        name: impl Into<String>,
        sql: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        let query = contract::Query { sql: sql.into(), description: description.into() };
        self.inner.queries.insert(name.into(), query);
        self
    }

    /// Sends commands to aggregates of these types, by [`Db::send`](crate::Db::send): the projection is a process
    /// manager.
    pub fn sends<T: Into<String>>(mut self, aggregates: impl IntoIterator<Item = T>) -> Self {
        self.inner.sends.extend(aggregates.into_iter().map(Into::into));
        // What it sends says by these what it was caused by. Who reads all headers reads them already.
        if self.inner.headers.is_none() { self } else { self.headers(["ce_id", "ce_correlationid"]) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.inner.name
    }

    /// The manifest as the host reads it.
    ///
    /// # Errors
    /// When it says something that cannot be, in words that name the field.
    pub fn check(&self) -> Result<contract::Manifest, contract::Error> {
        contract::Manifest::parse(&self.to_json())
    }

    /// The manifest as JSON.
    pub fn to_json(&self) -> String {
        self.inner.to_json()
    }
}
