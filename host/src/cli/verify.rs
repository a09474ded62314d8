//! `lantern verify`

use super::{Context, output};
use crate::projection::replay::Setup;
use crate::projection::verify;
use crate::read_model::Snapshot;
use crate::wasm::Engine;
use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::process::ExitCode;

/// Check a read model against its log.
///
/// Replays the log into a scratch database, in the order in which the events were applied, and compares all
/// rows. Leaves with 1 when they differ. The read model may be in use meanwhile.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  lantern verify orders")]
pub struct Verify {
    /// The read model's name.
    read_model: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    equal: bool,
    hash: String,
    replayed_hash: String,
    /// Tables whose rows differ.
    differing_tables: Vec<String>,
}

impl Verify {
    /// Replays, compares and prints.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let path = context.data.read_model(&self.read_model);
        if !path.exists() {
            bail!("there is no read model {:?} in {}", self.read_model, context.data.root().display());
        }
        let plugins = verify::recorded(&Snapshot::of(&path)?, &context.data.artifacts())?;
        let verified = context
            .with_log("lantern verify", |log| {
                let cache = context.data.cache();
                context.data.create(&cache)?;
                let engine = Engine::with_limits(Some(cache), &context.config.limits)?;
                let scratch = tempfile::tempdir_in(context.data.root())
                    .with_context(|| format!("no scratch folder in {}", context.data.root().display()))?;
                let setup = Setup {
                    plugins,
                    options: context.config.projections.get(&self.read_model).cloned().unwrap_or_default(),
                    batch: context.config.batch.clone(),
                    limits: context.config.limits.clone(),
                    log: log.options().clone(),
                    engine,
                };
                let bar = progress(context.quiet || self.json);
                // On a thread of its own: plugins need a stack that the main thread may not have.
                let verified = std::thread::scope(|scope| {
                    std::thread::Builder::new()
                        .stack_size(context.config.limits.thread_stack_bytes())
                        .spawn_scoped(scope, || {
                            verify::verify(&setup, &path, scratch.path(), 5, &mut |at| {
                                bar.set_length(at.total);
                                bar.set_position(at.done);
                                std::ops::ControlFlow::Continue(())
                            })
                        })
                        .map(|thread| thread.join())
                })?;
                bar.finish_and_clear();
                verified
                    .map_err(|_| anyhow::anyhow!("the replay panicked: this is a fault of Lantern"))?
                    .map_err(Into::into)
            })?
            .context("stopped")?;
        let report = Report {
            equal: verified.difference.is_none(),
            differing_tables: verified
                .difference
                .map(|difference| difference.diff.tables.keys().cloned().collect())
                .unwrap_or_default(),
            hash: verified.hash,
            replayed_hash: verified.replayed_hash,
        };
        self.show(&report)?;
        Ok(if report.equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn show(&self, report: &Report) -> anyhow::Result<()> {
        if self.json {
            return output::json(report);
        }
        if report.equal {
            return output::line(&format!("{} equals its log ({})", self.read_model, short(&report.hash)));
        }
        output::line(&format!(
            "{} differs from its log in {}: a replay gives {}, the read model is {}. \
             Was it edited by hand, or is the plugin not deterministic?",
            self.read_model,
            report.differing_tables.join(", "),
            short(&report.replayed_hash),
            short(&report.hash),
        ))
    }
}

fn short(hash: &str) -> &str {
    hash.get(..16).unwrap_or(hash)
}

fn progress(hidden: bool) -> ProgressBar {
    if hidden {
        return ProgressBar::hidden();
    }
    // indicatif draws on a terminal only.
    let style = ProgressStyle::with_template(
        "replaying {bar:30} {percent}%  {pos}/{len} events  {per_sec}  ETA {eta}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}
