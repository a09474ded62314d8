//! The settings of a topic, under Kafka's names.

use std::collections::BTreeMap;

use crate::log::{Compaction, Rules};
use crate::options::Options;

/// A setting's name or value is not acceptable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No such setting exists.
    #[error("there is no topic setting {0:?}")]
    Unknown(String),
    /// The value is not valid for it.
    #[error("{value:?} is not valid for {name}: {expected}")]
    Value {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

/// Which values a setting takes.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A number in this range.
    Number(i64, i64),
    /// A number from 0 to 1.
    Ratio,
    Switch,
    /// One of these words, or a comma-separated list of them.
    Words(&'static [&'static str]),
    Text,
}

/// A setting that topics have.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    kind: Kind,
}

const fn known(name: &'static str, default: &'static str, kind: Kind) -> Known {
    Known { name, default, kind }
}

const ANY: i64 = i64::MAX;
const INT: i64 = i32::MAX as i64;

/// Every setting that is accepted, with Kafka's default except for `retention.ms`: an event store that
/// forgets after a week would be none. What is about replicas, indexes and flushing has no effect.
pub(crate) const CONFIGS: &[Known] = &[
    known("cleanup.policy", "delete", Kind::Words(&["delete", "compact"])),
    known(
        "compression.type",
        "producer",
        Kind::Words(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]),
    ),
    known("delete.retention.ms", "86400000", Kind::Number(0, ANY)),
    known("file.delete.delay.ms", "60000", Kind::Number(0, ANY)),
    known("flush.messages", "1", Kind::Number(1, ANY)),
    known("flush.ms", "0", Kind::Number(0, ANY)),
    known("follower.replication.throttled.replicas", "", Kind::Text),
    known("index.interval.bytes", "4096", Kind::Number(0, INT)),
    known("leader.replication.throttled.replicas", "", Kind::Text),
    known("max.compaction.lag.ms", "9223372036854775807", Kind::Number(1, ANY)),
    known("max.message.bytes", "1048588", Kind::Number(0, INT)),
    known("message.timestamp.after.max.ms", "9223372036854775807", Kind::Number(0, ANY)),
    known("message.timestamp.before.max.ms", "9223372036854775807", Kind::Number(0, ANY)),
    known("message.timestamp.type", "CreateTime", Kind::Words(&["CreateTime"])),
    known("min.cleanable.dirty.ratio", "0.5", Kind::Ratio),
    known("min.compaction.lag.ms", "0", Kind::Number(0, ANY)),
    known("min.insync.replicas", "1", Kind::Number(1, 1)),
    known("preallocate", "false", Kind::Switch),
    known("retention.bytes", "-1", Kind::Number(-1, ANY)),
    known("retention.ms", "-1", Kind::Number(-1, ANY)),
    known("segment.bytes", "1073741824", Kind::Number(1024, INT)),
    known("segment.index.bytes", "10485760", Kind::Number(4, INT)),
    known("segment.jitter.ms", "0", Kind::Number(0, ANY)),
    known("segment.ms", "604800000", Kind::Number(1, ANY)),
    known("unclean.leader.election.enable", "false", Kind::Switch),
];

impl Known {
    /// The setting called `name`.
    pub(crate) fn find(name: &str) -> Result<&'static Known, ConfigError> {
        CONFIGS.iter().find(|known| known.name == name).ok_or_else(|| ConfigError::Unknown(name.to_owned()))
    }

    /// Whether the value is a comma-separated list, to which words can be added.
    pub(crate) fn is_list(&self) -> bool {
        self.name == "cleanup.policy" || self.name.ends_with(".replicas")
    }

    /// The type of the setting as `DescribeConfigs` numbers it.
    pub(crate) fn wire_type(&self) -> i8 {
        match self.kind {
            Kind::Switch => 1,
            Kind::Words(_) if !self.is_list() => 2,
            Kind::Number(_, INT) => 3,
            Kind::Number(..) => 5,
            Kind::Ratio => 6,
            Kind::Words(_) => 7,
            Kind::Text if self.is_list() => 7,
            Kind::Text => 2,
        }
    }

    fn check(&'static self, value: &str) -> Result<(), ConfigError> {
        let expected = match self.kind {
            Kind::Number(min, max) => match value.trim().parse::<i64>() {
                Ok(number) if (min..=max).contains(&number) => return Ok(()),
                _ => "a whole number within its range",
            },
            Kind::Ratio => match value.trim().parse::<f64>() {
                Ok(ratio) if (0.0..=1.0).contains(&ratio) => return Ok(()),
                _ => "a number from 0 to 1",
            },
            Kind::Switch => match value {
                "true" | "false" => return Ok(()),
                _ => "true or false",
            },
            Kind::Words(words) => {
                let all_known = value.split(',').all(|word| words.contains(&word.trim()));
                if all_known && (self.is_list() || !value.contains(',')) {
                    return Ok(());
                }
                "one of the words that Kafka documents and this broker has"
            }
            Kind::Text => return Ok(()),
        };
        Err(ConfigError::Value { name: self.name, value: value.to_owned(), expected })
    }
}

/// The settings of one topic.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    overrides: BTreeMap<String, String>,
    segment_bytes: Option<u64>,
    message_bytes_max: Option<usize>,
}

impl Config {
    /// Checks every setting.
    pub(crate) fn parse(overrides: BTreeMap<String, String>) -> Result<Config, ConfigError> {
        for (name, value) in &overrides {
            Known::find(name)?.check(value)?;
        }
        if overrides.get("cleanup.policy").is_some_and(|policy| policy.is_empty()) {
            return Err(ConfigError::Value {
                name: "cleanup.policy",
                value: String::new(),
                expected: "delete, compact, or both",
            });
        }
        let number = |name: &str| overrides.get(name)?.trim().parse::<u32>().ok();
        Ok(Config {
            segment_bytes: number("segment.bytes").map(u64::from),
            message_bytes_max: number("max.message.bytes").map(|bytes| bytes as usize),
            overrides,
        })
    }

    /// What was set, as it was given.
    pub(crate) fn overrides(&self) -> &BTreeMap<String, String> {
        &self.overrides
    }

    fn value(&self, name: &str) -> &str {
        let default = || CONFIGS.iter().find(|known| known.name == name).map_or("", |known| known.default);
        self.overrides.get(name).map_or_else(default, |value| value.trim())
    }

    /// A number; negative where it is switched off.
    fn number(&self, name: &str) -> i64 {
        self.value(name).parse().unwrap_or(-1)
    }

    fn cleans_by(&self, policy: &str) -> bool {
        self.value("cleanup.policy").split(',').any(|word| word.trim() == policy)
    }

    /// Whether only the newest record of every key is kept.
    pub(crate) fn is_compacted(&self) -> bool {
        self.cleans_by("compact")
    }

    /// What is to be done with segments, by and by.
    pub(crate) fn rules(&self, options: &Options) -> Rules {
        let deletes = self.cleans_by("delete");
        let limit = |name| Some(self.number(name)).filter(|limit| deletes && *limit >= 0);
        Rules {
            segment_bytes: self.segment_bytes.unwrap_or(options.segment_bytes_max),
            segment_ms: self.number("segment.ms"),
            retention_ms: limit("retention.ms"),
            retention_bytes: limit("retention.bytes").map(|bytes| bytes as u64),
            compaction: self.is_compacted().then(|| Compaction {
                dirty_ratio: self.value("min.cleanable.dirty.ratio").parse().unwrap_or(0.5),
                lag_ms_min: self.number("min.compaction.lag.ms"),
                lag_ms_max: self.number("max.compaction.lag.ms"),
                delete_retention_ms: self.number("delete.retention.ms"),
            }),
        }
    }

    pub(crate) fn segment_bytes(&self) -> Option<u64> {
        self.segment_bytes
    }

    pub(crate) fn message_bytes_max(&self) -> Option<usize> {
        self.message_bytes_max
    }
}
