//! Settings of topics and of the broker, as tools read and change them.

use std::collections::{BTreeMap, HashSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, alter_configs_response,
    incremental_alter_configs_response,
};

use super::topics::{Failure, SOURCE_BROKER, SOURCE_DEFAULT, SOURCE_TOPIC};
use super::{NODE_ID, Session, once, text};
use crate::options::Fsync;
use crate::topics::{CONFIGS, ConfigError, Known};

/// Kinds of things that have settings.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Operations of an incremental change.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;
/// The first version that tells types.
const TYPE_FROM: i16 = 3;
/// A string, as types are numbered.
const TYPE_STRING: i8 = 2;

/// One setting with where its value comes from.
struct Setting {
    name: &'static str,
    value: String,
    source: i8,
    read_only: bool,
    wire_type: i8,
}

pub(crate) async fn describe(
    session: &Session,
    version: i16,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let synonyms = request.include_synonyms;
    let results = request
        .resources
        .into_iter()
        .filter(once(|resource: &DescribeConfigsResource| {
            (resource.resource_type, resource.resource_name.clone())
        }))
        .map(|resource| {
            let outcome = match resource.resource_type {
                TOPIC => topic_settings(session, &resource.resource_name),
                BROKER => broker_settings(session, &resource.resource_name),
                _ => Err(Failure::new(
                    ResponseError::InvalidRequest,
                    "topics and the broker have settings here",
                )),
            };
            result(version, synonyms, resource, outcome)
        })
        .collect();
    DescribeConfigsResponse::default().with_results(results)
}

fn result(
    version: i16,
    synonyms: bool,
    resource: DescribeConfigsResource,
    outcome: Result<Vec<Setting>, Failure>,
) -> DescribeConfigsResult {
    let response = DescribeConfigsResult::default()
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name);
    let settings = match outcome {
        Ok(settings) => settings,
        Err(failure) => {
            return response
                .with_error_code(failure.error.code())
                .with_error_message(Some(text(failure.message)));
        }
    };
    let wanted = resource.configuration_keys;
    let configs = settings
        .into_iter()
        .filter(|setting| wanted.as_ref().is_none_or(|keys| keys.iter().any(|key| **key == *setting.name)))
        .map(|setting| described(version, synonyms, setting))
        .collect();
    response.with_configs(configs)
}

fn described(version: i16, synonyms: bool, setting: Setting) -> DescribeConfigsResourceResult {
    let response = DescribeConfigsResourceResult::default()
        .with_name(text(setting.name))
        .with_value(Some(text(setting.value.as_str())))
        .with_read_only(setting.read_only)
        .with_config_source(setting.source);
    let response = match synonyms {
        false => response,
        true => response.with_synonyms(vec![
            DescribeConfigsSynonym::default()
                .with_name(text(setting.name))
                .with_value(Some(text(setting.value)))
                .with_source(setting.source),
        ]),
    };
    match version {
        ..TYPE_FROM => response,
        _ => response.with_config_type(setting.wire_type),
    }
}

fn topic_settings(session: &Session, name: &str) -> Result<Vec<Setting>, Failure> {
    let topic =
        session.core.topics.get(name).ok_or_else(|| crate::topics::Error::Unknown(name.to_owned()))?;
    let options = &session.core.options;
    let setting = |known: &'static Known| {
        let set = topic.config.overrides().get(known.name);
        // Some defaults are the broker's own options.
        let (value, source) = match (set, known.name) {
            (Some(value), _) => (value.clone(), SOURCE_TOPIC),
            (None, "segment.bytes") => (options.segment_bytes_max.to_string(), SOURCE_BROKER),
            (None, "max.message.bytes") => (options.message_bytes_max.to_string(), SOURCE_BROKER),
            (None, _) => (known.default.to_owned(), SOURCE_DEFAULT),
        };
        Setting { name: known.name, value, source, read_only: false, wire_type: known.wire_type() }
    };
    Ok(CONFIGS.iter().map(setting).collect())
}

fn broker_settings(session: &Session, name: &str) -> Result<Vec<Setting>, Failure> {
    if !name.is_empty() && name != NODE_ID.to_string() {
        return Err(Failure::new(
            ResponseError::InvalidRequest,
            format!("there is one broker, with id {NODE_ID}"),
        ));
    }
    let options = &session.core.options;
    let fsync = match options.fsync {
        Fsync::Always => "1",
        Fsync::EveryMs(_) | Fsync::Never => "9223372036854775807",
    };
    let settings = [
        ("auto.create.topics.enable", options.auto_create_topics.to_string()),
        ("broker.id", NODE_ID.to_string()),
        ("default.replication.factor", "1".to_owned()),
        ("group.max.session.timeout.ms", options.group_session_ms_max.to_string()),
        ("group.max.size", options.group_members_max.to_string()),
        ("group.min.session.timeout.ms", options.group_session_ms_min.to_string()),
        ("log.dirs", options.dir.to_string_lossy().into_owned()),
        ("log.flush.interval.messages", fsync.to_owned()),
        ("log.segment.bytes", options.segment_bytes_max.to_string()),
        ("max.connections", options.connections_max.to_string()),
        ("message.max.bytes", options.message_bytes_max.to_string()),
        ("min.insync.replicas", "1".to_owned()),
        ("node.id", NODE_ID.to_string()),
        ("num.partitions", options.default_partitions.to_string()),
        ("socket.request.max.bytes", options.request_bytes_max.to_string()),
        ("transaction.max.timeout.ms", options.transaction_ms_max.to_string()),
    ];
    Ok(settings
        .into_iter()
        .map(|(name, value)| Setting {
            name,
            value,
            source: SOURCE_BROKER,
            read_only: true,
            wire_type: TYPE_STRING,
        })
        .collect())
}

/// One change of one setting.
struct Change {
    name: String,
    operation: i8,
    value: Option<String>,
}

/// Changes a topic's settings; `replace` drops those that are not named.
async fn alter(
    session: &Session,
    kind: i8,
    name: String,
    changes: Vec<Change>,
    replace: bool,
    validate_only: bool,
) -> Result<(), Failure> {
    if kind != TOPIC {
        return Err(Failure::new(
            ResponseError::InvalidRequest,
            "only the settings of topics can be changed; the broker's are in its own configuration",
        ));
    }
    let mut seen = HashSet::new();
    if let Some(twice) = changes.iter().find(|change| !seen.insert(change.name.as_str())) {
        return Err(Failure::new(
            ResponseError::InvalidRequest,
            format!("{} is named more than once", twice.name),
        ));
    }
    if let Some(odd) = changes.iter().find(|change| !(SET..=SUBTRACT).contains(&change.operation)) {
        return Err(Failure::new(
            ResponseError::InvalidRequest,
            format!("{} is no operation", odd.operation),
        ));
    }
    let changed = move |mut config: BTreeMap<String, String>| {
        if replace {
            config.clear();
        }
        for change in changes {
            apply(&mut config, change)?;
        }
        Ok(config)
    };
    session.blocking(move |core| core.topics.configure(&name, changed, validate_only)).await??;
    Ok(())
}

fn apply(config: &mut BTreeMap<String, String>, change: Change) -> Result<(), ConfigError> {
    let known = Known::find(&change.name)?;
    let value = match (change.operation, change.value) {
        (DELETE, _) | (_, None) => {
            config.remove(known.name);
            return Ok(());
        }
        (SET, Some(value)) => value,
        (operation, Some(value)) => {
            if !known.is_list() {
                return Err(ConfigError::Value {
                    name: known.name,
                    value,
                    expected: "words are added to and taken from lists only",
                });
            }
            let current = config.get(known.name).map_or(known.default, String::as_str);
            let mut words: Vec<&str> = current.split(',').filter(|word| !word.is_empty()).collect();
            for word in value.split(',') {
                words.retain(|other| *other != word);
                if operation == APPEND {
                    words.push(word);
                }
            }
            words.join(",")
        }
    };
    config.insert(known.name.to_owned(), value);
    Ok(())
}

pub(crate) async fn alter_whole(session: &Session, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let changes = resource
            .configs
            .into_iter()
            .map(|config| Change {
                name: config.name.to_string(),
                operation: SET,
                value: config.value.map(|value| value.to_string()),
            })
            .collect();
        let name = resource.resource_name.to_string();
        let kind = resource.resource_type;
        let outcome = alter(session, kind, name, changes, true, request.validate_only).await;
        let response = alter_configs_response::AlterConfigsResourceResponse::default()
            .with_resource_type(kind)
            .with_resource_name(resource.resource_name);
        responses.push(match outcome {
            Ok(()) => response,
            Err(failure) => {
                response.with_error_code(failure.error.code()).with_error_message(Some(text(failure.message)))
            }
        });
    }
    AlterConfigsResponse::default().with_responses(responses)
}

pub(crate) async fn alter_some(
    session: &Session,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let changes = resource
            .configs
            .into_iter()
            .map(|config| Change {
                name: config.name.to_string(),
                operation: config.config_operation,
                value: config.value.map(|value| value.to_string()),
            })
            .collect();
        let name = resource.resource_name.to_string();
        let kind = resource.resource_type;
        let outcome = alter(session, kind, name, changes, false, request.validate_only).await;
        let response = incremental_alter_configs_response::AlterConfigsResourceResponse::default()
            .with_resource_type(kind)
            .with_resource_name(resource.resource_name);
        responses.push(match outcome {
            Ok(()) => response,
            Err(failure) => {
                response.with_error_code(failure.error.code()).with_error_message(Some(text(failure.message)))
            }
        });
    }
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}
