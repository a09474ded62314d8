//! `lantern topics alter`

use super::setting;
use crate::cli::{Context, output};
use crate::config::closest;
use crate::log::{Admin, Client, Setting, Source};
use anyhow::{anyhow, bail};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// What is to be changed.
#[derive(Debug, clap::Args)]
pub struct Alter {
    /// The topic.
    topic: String,
    /// How many partitions it is to have; more than now.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    partitions: Option<u32>,
    /// A setting, such as `retention.ms=604800000`. May be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// A setting that is to be as the broker has it by default. May be given several times.
    #[arg(long, value_name = "KEY")]
    unset: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Alter {
    /// Changes the topic.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let Alter { topic, partitions, set, unset, json } = self;
        if partitions.is_none() && set.is_empty() && unset.is_empty() {
            bail!("there is nothing to change: give --partitions, --set or --unset");
        }
        context.with_log("lantern topics", |log| {
            let admin = Admin::new(log.options())?;
            let there = Client::new(log.options())?.partitions(&topic)?.len();
            let mut changes = Vec::new();
            // What can be wrong is found before anything is changed.
            let settings = match set.is_empty() && unset.is_empty() {
                true => None,
                false => Some(changed(&admin.settings(&topic)?, &set, &unset).map_err(|error| anyhow!("topic {topic}: {error}"))?),
            };
            if let Some(wanted) = partitions {
                let wanted = usize::try_from(wanted)?;
                if wanted <= there {
                    bail!("topic {topic} has {there} partitions, and they can only become more: give --partitions {} or more, or create another topic", there + 1);
                }
                admin.set_partitions(&topic, wanted)?;
                changes.push(format!("partitions {there} -> {wanted}"));
            }
            if let Some(settings) = &settings {
                admin.replace_settings(&topic, settings)?;
                changes.extend(set.iter().map(|(key, value)| format!("{key} = {value}")));
                changes.extend(unset.iter().map(|key| format!("{key} by default")));
            }
            if json {
                output::json(&serde_json::json!({ "topic": topic, "changed": changes }))?;
            } else {
                output::line(&format!("changed topic {topic}: {}", changes.join(", ")))?;
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

/// The settings of the topic after the change.
fn changed(
    now: &[Setting],
    set: &[(String, String)],
    unset: &[String],
) -> Result<BTreeMap<String, String>, String> {
    for key in set.iter().map(|(key, _)| key).chain(unset) {
        if !now.iter().any(|setting| setting.name == *key) {
            let meant = closest(key, now.iter().map(|setting| &*setting.name));
            let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
            return Err(format!("topics have no setting `{key}`{meant}"));
        }
    }
    let own = now.iter().filter(|setting| setting.source == Source::Topic);
    let mut settings: BTreeMap<String, String> =
        own.filter_map(|setting| Some((setting.name.clone(), setting.value.clone()?))).collect();
    settings.extend(set.iter().cloned());
    settings.retain(|key, _| !unset.contains(key));
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The protocol replaces all settings at once: what nobody named must stay.
    #[test]
    fn a_change_leaves_other_settings_as_they_are() {
        let setting = |name: &str, value: &str, source| Setting {
            name: name.into(),
            value: Some(value.into()),
            source,
            read_only: false,
        };
        let now = [
            setting("cleanup.policy", "compact", Source::Topic),
            setting("retention.ms", "5", Source::Topic),
            setting("segment.ms", "7", Source::Default),
        ];
        let set = [("segment.ms".to_owned(), "9".to_owned())];
        let after = changed(&now, &set, &["retention.ms".to_owned()]).unwrap();
        let expected = [("cleanup.policy", "compact"), ("segment.ms", "9")];
        assert_eq!(after, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        let refused = changed(&now, &[("retention.m".to_owned(), "1".to_owned())], &[]).unwrap_err();
        assert!(refused.contains("did you mean `retention.ms`?"), "{refused}");
    }
}
