//! Variables of the environment that set something: `LANTERN_<SECTION>_<KEY>`.

use super::{Config, Error, closest};
use crate::log;

/// What their names start with.
const PREFIX: &str = "LANTERN_";
/// The sections whose keys can be set from the environment.
const SECTIONS: [&str; 7] = ["kafka", "broker", "http", "batch", "limits", "rebuild", "commands"];
/// The keys outside of sections.
const FOLDERS: [&str; 2] = ["data_dir", "plugins_dir"];
/// Read by the command line itself.
const OF_THE_COMMAND_LINE: [&str; 3] = ["config", "log", "token"];
/// Lantern's own tests are told by these what to do, and the processes that they start inherit them.
const OF_TESTS: &str = "tests_";

/// Where a variable belongs in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Nothing for what is in no section.
    pub section: Option<&'static str>,
    pub key: String,
}

/// All variables of the process's environment that may be meant for Lantern.
///
/// # Errors
/// When one of them is no text.
pub fn variables() -> Result<Vec<(String, String)>, Error> {
    let all = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let own = all.filter(|(name, _)| name.starts_with(PREFIX));
    own.map(|(name, value)| match value.into_string() {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(Error::Environment { name, reason: "its value is no text in UTF-8".into() }),
    })
    .collect()
}

/// Where a variable belongs; nowhere if it is not one of the configuration's. One that is unknown is answered with what is wrong.
pub(super) fn place(name: &str) -> Result<Option<Place>, String> {
    let Some(rest) = name.strip_prefix(PREFIX) else { return Ok(None) };
    let rest = rest.to_ascii_lowercase();
    if FOLDERS.contains(&&*rest) {
        return Ok(Some(Place { section: None, key: rest }));
    }
    if OF_THE_COMMAND_LINE.contains(&&*rest) || rest.starts_with(OF_TESTS) || is_of_kubernetes(&rest) {
        return Ok(None);
    }
    let (section, key) = rest.split_once('_').unwrap_or((&rest, ""));
    if matches!(section, "projections" | "plugins") {
        return Err(format!("settings under [{section}] are only in the file"));
    }
    match SECTIONS.into_iter().find(|known| *known == section) {
        // librdkafka's names have dots, which variables cannot have.
        Some("kafka") => Ok(Some(Place { section: Some("kafka"), key: key.replace('_', ".") })),
        Some(section) => Ok(Some(Place { section: Some(section), key: key.to_owned() })),
        None => Err(unknown(&rest)),
    }
}

/// In a pod, services whose names begin with "lantern" are announced by variables: `LANTERN_SERVICE_HOST`,
/// `LANTERN_PORT_7070_TCP`, `LANTERN_KAFKA_SERVICE_PORT`. No setting is named like them.
fn is_of_kubernetes(rest: &str) -> bool {
    let name = format!("_{rest}");
    name.ends_with("_service_host")
        || name.contains("_service_port")
        || name.ends_with("_port")
        || name.contains("_port_")
}

fn unknown(rest: &str) -> String {
    let known = names();
    match closest(rest, known.iter().map(String::as_str)) {
        Some(meant) => format!(
            "there is no such setting\nDid you mean `{PREFIX}{}`?",
            meant.replace('.', "_").to_ascii_uppercase()
        ),
        None => "there is no such setting; `lantern config check` shows all that there are".to_owned(),
    }
}

/// What can follow the prefix, in lower case.
fn names() -> Vec<String> {
    let mut names: Vec<String> =
        FOLDERS.iter().chain(&OF_THE_COMMAND_LINE).map(ToString::to_string).collect();
    names.extend(log::Options::names().into_iter().map(|key| format!("kafka_{}", key.replace('.', "_"))));
    // With the keys that have no default, which a table of TOML would leave out.
    let all = serde_json::to_value(Config::default()).unwrap_or_default();
    for section in SECTIONS {
        let keys = all[section].as_object().into_iter().flat_map(|keys| keys.keys());
        names.extend(keys.map(|key| format!("{section}_{key}")));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    // A variable that is passed over is a setting that people believe to be in force; one that is of others is not theirs
    // to remove.
    #[test]
    fn every_variable_is_a_setting_or_of_others_or_an_error() {
        let check = |name: &str, section, key: &str| {
            assert_eq!(place(name), Ok(Some(Place { section, key: key.into() })), "{name}");
        };
        check("LANTERN_DATA_DIR", None, "data_dir");
        check("LANTERN_LIMITS_EVENT_MS_MAX", Some("limits"), "event_ms_max");
        check("LANTERN_KAFKA_SASL_PASSWORD", Some("kafka"), "sasl.password");
        for name in [
            "HOME",
            "LANTERN_CONFIG",
            "LANTERN_LOG",
            "LANTERN_TOKEN",
            "LANTERN_TESTS_SEED",
            "LANTERN_TESTS_ALLOW_SKIP",
            "LANTERN_SERVICE_HOST",
            "LANTERN_SERVICE_PORT_HTTP",
            "LANTERN_PORT",
            "LANTERN_PORT_7070_TCP_ADDR",
            "LANTERN_KAFKA_PORT_9092_TCP",
            "LANTERN_KAFKA_SERVICE_HOST",
        ] {
            assert_eq!(place(name), Ok(None), "{name}");
        }
        let check = |name: &str, part: &str| {
            let error = place(name).expect_err(name);
            assert!(error.contains(part), "{name}: {error}");
        };
        check("LANTERN_LIMIT_EVENT_MS_MAX", "Did you mean `LANTERN_LIMITS_EVENT_MS_MAX`?");
        check("LANTERN_DATADIR", "Did you mean `LANTERN_DATA_DIR`?");
        check("LANTERN_KAFAK_BOOTSTRAP_SERVERS", "Did you mean `LANTERN_KAFKA_BOOTSTRAP_SERVERS`?");
        check("LANTERN_BROKERS_TLS_KEY", "Did you mean `LANTERN_BROKER_TLS_KEY`?");
        check("LANTERN_XYZ", "`lantern config check`");
        check("LANTERN_PROJECTIONS_ORDERS_TOPICS", "[projections] are only in the file");
        // None of the exceptions may hide a setting.
        for name in names() {
            let name = format!("{PREFIX}{}", name.to_ascii_uppercase());
            let of_the_command_line = ["LANTERN_CONFIG", "LANTERN_LOG", "LANTERN_TOKEN"].contains(&&*name);
            assert_eq!(place(&name).unwrap().is_none(), of_the_command_line, "{name}");
        }
    }
}
