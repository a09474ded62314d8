//! Waits for what a host has begun, and shows how far it is.

use super::{Error, Running, show};
use crate::cli::output;
use crate::command;
use crate::deployment::report::{Done, Outcome, Plugin, Rebuild, RebuildState};
use crate::projection::State;
use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// How often the host is asked.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// How long the first events after a swap are waited for: none may come for hours.
const TRIAL_MAX: Duration = Duration::from_secs(10);
/// How long a plugin on trial must have had nothing to apply for that not to be by chance.
const TRIAL_MIN: Duration = Duration::from_millis(300);

/// How long a rebuild that is ready may have an error, until it is left to the host to try again.
const ERROR_MAX: Duration = Duration::from_secs(3);

/// How a request ended.
pub enum Ended {
    /// What was asked for is done.
    Done(Outcome),
    /// A preview can be looked at.
    Ready(Box<Rebuild>),
}

/// Waits until a deployment is over: until the rebuild is promoted or ready to be looked at, and until a plugin that was
/// swapped in has applied its first events.
///
/// # Errors
/// When it failed or was put back, with the reason; the one before runs on then.
pub fn follow(running: &Running, outcome: Outcome, quiet: bool) -> anyhow::Result<Ended> {
    match outcome.result {
        Done::Rebuilding | Done::Previewing => rebuild(running, outcome, quiet),
        Done::Swapped | Done::Started if outcome.is_of_handler() => settle(running, outcome),
        Done::Swapped | Done::Started => trial(running, outcome),
        _ => Ok(Ended::Done(outcome)),
    }
}

fn rebuild(running: &Running, outcome: Outcome, quiet: bool) -> anyhow::Result<Ended> {
    let bar = progress(quiet);
    let mut well_at = Instant::now();
    loop {
        let plugin = running.plugin(&outcome.name)?;
        match plugin.rebuild {
            Some(rebuild) if rebuild.generation == outcome.generation => {
                let is_compared = rebuild.changes.is_some();
                if rebuild.state != RebuildState::Ready || rebuild.error.is_none() {
                    well_at = Instant::now();
                }
                match rebuild.state {
                    RebuildState::Ready if rebuild.preview && is_compared => {
                        bar.finish_and_clear();
                        return Ok(Ended::Ready(Box::new(rebuild)));
                    }
                    RebuildState::Ready if well_at.elapsed() > ERROR_MAX => {
                        let what = if rebuild.preview { "cannot be compared" } else { "cannot go live" };
                        bail!(
                            "generation {} of {} is built and {what}, and the one before runs on: {}. The host goes on trying; \
                             `lantern status` says how far it is",
                            rebuild.generation,
                            outcome.name,
                            rebuild.error.unwrap_or_default()
                        )
                    }
                    RebuildState::Failed => {
                        bail!(
                            "generation {} of {} failed, and the one before runs on: {}",
                            rebuild.generation,
                            outcome.name,
                            rebuild.error.unwrap_or_default()
                        )
                    }
                    _ => draw(&bar, &rebuild),
                }
            }
            _ if plugin.generation == outcome.generation => {
                bar.finish_and_clear();
                return Ok(Ended::Done(Outcome { result: Done::Promoted, ..outcome }));
            }
            _ => bail!("{}", given_up(running, &outcome)?),
        }
        std::thread::sleep(ASK_EVERY);
    }
}

/// Why a rebuild is gone and not live.
fn given_up(running: &Running, outcome: &Outcome) -> Result<String, Error> {
    let reason = running.history(Some(&outcome.name))?.into_iter().rev().find_map(|entry| {
        let is_it = entry.digest == outcome.digest && entry.generation == outcome.generation;
        entry.reason.filter(|_| is_it)
    });
    Ok(format!(
        "generation {} of {} was given up, and the one before runs on{}",
        outcome.generation,
        outcome.name,
        reason.map_or_else(
            || ": something else was deployed or asked for meanwhile; see `lantern history`".into(),
            |reason| format!(": {reason}")
        )
    ))
}

/// A plugin that was swapped in is put back when it cannot apply its first events; one that has none before it halts.
fn trial(running: &Running, outcome: Outcome) -> anyhow::Result<Ended> {
    let since = Instant::now();
    loop {
        let Plugin { status, .. } = running.plugin(&outcome.name)?;
        if let Some(put_back) = status.put_back.filter(|put_back| put_back.digest == outcome.digest) {
            bail!(
                "{} {} was put back, and the one before runs on: {}",
                outcome.name,
                show::short(&put_back.digest),
                put_back.reason
            );
        }
        if status.state == State::Halted && status.digest == outcome.digest {
            bail!("{} halted: {}", outcome.name, status.error.unwrap_or_default());
        }
        // Where there is nothing to apply, there is nothing to wait for.
        let is_early = status.on_trial && since.elapsed() < TRIAL_MIN;
        let has_nothing = status.state == State::Live && status.lag == 0 && !is_early;
        let has_begun = !status.on_trial && status.state != State::Starting && status.events > 0;
        let is_still = matches!(status.state, State::Paused | State::Stopped);
        if has_begun || has_nothing || is_still || since.elapsed() > TRIAL_MAX {
            if let (State::Paused, Some(error)) = (status.state, status.error) {
                output::remark(&format!("{} is paused: {error}", outcome.name));
            }
            return Ok(Ended::Done(outcome));
        }
        std::thread::sleep(ASK_EVERY);
    }
}

/// A command handler takes commands when it has read the log; one that was swapped in does at once.
fn settle(running: &Running, outcome: Outcome) -> anyhow::Result<Ended> {
    let since = Instant::now();
    loop {
        let status = running.handler(&outcome.name)?.status;
        if matches!(status.state, command::State::Halted | command::State::Fenced) {
            bail!("{} is {}: {}", outcome.name, status.state, status.error.unwrap_or_default());
        }
        let is_coming = matches!(status.state, command::State::Starting | command::State::CatchingUp);
        if !is_coming || since.elapsed() > TRIAL_MAX {
            if let (true, Some(error)) = (status.state == command::State::Paused, status.error) {
                output::remark(&format!("{} is paused: {error}", outcome.name));
            } else if is_coming {
                let remark = format!("{} is {}, {} records to go", outcome.name, status.state, status.lag);
                output::remark(&remark);
            }
            return Ok(Ended::Done(outcome));
        }
        std::thread::sleep(ASK_EVERY);
    }
}

fn draw(bar: &ProgressBar, rebuild: &Rebuild) {
    bar.set_length(rebuild.total);
    bar.set_position(rebuild.done.min(rebuild.total));
    let eta = rebuild.eta_s.map(|seconds| format!("{}/s  ETA {seconds} s", rebuild.per_second));
    bar.set_message(match rebuild.state {
        RebuildState::Waiting => "waiting for other rebuilds".into(),
        RebuildState::Throttled => format!("letting live projections go first  {}", eta.unwrap_or_default()),
        RebuildState::Ready => "comparing".into(),
        _ => eta.unwrap_or_default(),
    });
}

fn progress(quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    // indicatif draws on a terminal only.
    let style = ProgressStyle::with_template("rebuilding {bar:30} {percent}%  {pos}/{len} offsets  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}
