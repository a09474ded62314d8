//! The commands, one file each. A command's doc comments are its help.

mod aggregate;
mod backup;
mod broker;
mod broker_user;
mod build;
mod command;
mod config;
mod consume;
mod context;
mod demo;
mod deploy;
mod dev;
mod discard;
mod groups;
mod history;
mod language;
mod log;
mod new;
mod output;
mod pause;
mod produce;
mod progress;
mod promote;
mod query;
mod rebuild;
mod remove;
mod replay;
mod reset;
mod resume;
mod rollback;
mod run;
mod running;
mod sdk;
mod signals;
mod status;
mod test;
mod token;
mod topics;
mod verify;

pub use build::build;
pub use context::Context;

use clap::{Args, Parser, Subcommand};
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The variable that sets what is logged, as tracing's filters are written.
const LOG_VARIABLE: &str = "LANTERN_LOG";

/// Turn event streams into SQLite read models, with logic that is WebAssembly.
#[derive(Debug, Parser)]
#[command(
    name = "lantern",
    version,
    propagate_version = true,
    after_help = "Start here:\n  lantern demo              a shop's events become tables, with nothing else installed\n  lantern run my.wasm       run a projection of your own"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Debug, Args)]
struct Global {
    /// Read this configuration instead of ./lantern.toml.
    #[arg(long, global = true, value_name = "FILE", env = "LANTERN_CONFIG")]
    config: Option<PathBuf>,
    /// Keep everything in this folder [default: lantern-data].
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Log more; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Log errors only, and show no progress.
    #[arg(short, long, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    New(new::New),
    Run(run::Run),
    Dev(dev::Dev),
    Build(build::Build),
    Test(test::Test),
    Deploy(deploy::Deploy),
    Promote(promote::Promote),
    Discard(discard::Discard),
    Rollback(rollback::Rollback),
    Rebuild(rebuild::Rebuild),
    Reset(reset::Reset),
    Pause(pause::Pause),
    Resume(resume::Resume),
    Remove(remove::Remove),
    History(history::History),
    Command(command::Command),
    Aggregate(aggregate::Aggregate),
    Broker(broker::Broker),
    Produce(produce::Produce),
    Consume(consume::Consume),
    Topics(topics::Topics),
    Groups(groups::Groups),
    Log(log::Log),
    Query(query::Query),
    Token(token::Token),
    Status(status::Status),
    Verify(verify::Verify),
    Replay(replay::Replay),
    Backup(backup::Backup),
    Restore(backup::Restore),
    Config(config::Config),
}

/// Runs the command line. 0 is success, 1 a failure that was explained on stderr, 2 wrong usage.
pub fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    start_logging(&global, &command);
    let done =
        Context::new(global.config.as_deref(), global.data_dir, global.quiet).and_then(
            |context| match command {
                Command::Demo(demo) => demo.run(context),
                Command::New(new) => new.run(),
                Command::Run(run) => run.run(context),
                Command::Dev(dev) => dev.run(context),
                Command::Build(build) => build.run(&context),
                Command::Test(test) => test.run(&context),
                Command::Deploy(deploy) => deploy.run(&context),
                Command::Promote(promote) => promote.run(&context),
                Command::Discard(discard) => discard.run(&context),
                Command::Rollback(rollback) => rollback.run(&context),
                Command::Rebuild(rebuild) => rebuild.run(&context),
                Command::Reset(reset) => reset.run(&context),
                Command::Pause(pause) => pause.run(&context),
                Command::Resume(resume) => resume.run(&context),
                Command::Remove(remove) => remove.run(&context),
                Command::History(history) => history.run(&context),
                Command::Command(command) => command.run(&context),
                Command::Aggregate(aggregate) => aggregate.run(&context),
                Command::Produce(produce) => produce.run(&context),
                Command::Broker(broker) => broker.run(context),
                Command::Consume(consume) => consume.run(&context),
                Command::Topics(topics) => topics.run(&context),
                Command::Groups(groups) => groups.run(&context),
                Command::Log(log) => log.run(&context),
                Command::Query(query) => query.run(&context),
                Command::Token(token) => token.run(&context),
                Command::Status(status) => status.run(&context),
                Command::Verify(verify) => verify.run(&context),
                Command::Replay(replay) => replay.run(&context),
                Command::Backup(backup) => backup.run(&context),
                Command::Restore(restore) => restore.run(&context),
                Command::Config(config) => config.run(&context),
            },
        );
    match done {
        Ok(code) => code,
        // Whoever reads our output has seen enough, as `head` does: nothing is wrong.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn start_logging(global: &Global, command: &Command) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) if matches!(command, Command::Run(_) | Command::Broker(_)) => LevelFilter::INFO,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    let usual = Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_targets([("lantern", level), ("lantern_broker", level)]);
    let wanted = std::env::var(LOG_VARIABLE).ok().filter(|text| !text.is_empty());
    let wanted = wanted.map(|text| text.parse::<Targets>()).transpose();
    let wrong = wanted.as_ref().err().map(ToString::to_string);
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(color).with_target(false);
    tracing_subscriber::registry().with(log).with(wanted.ok().flatten().unwrap_or(usual)).init();
    if let Some(reason) = wrong {
        tracing::warn!(
            "{LOG_VARIABLE} is not followed ({reason}): write it as in `debug` or `warn,lantern=trace`"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    /// clap checks its declarations only when they are used; this uses all of them.
    #[test]
    fn every_command_is_declared_well_and_has_an_example() {
        let mut cli = Cli::command();
        cli.build();
        cli.clone().debug_assert();
        for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            assert!(command.get_after_help().is_some(), "{} has no example", command.get_name());
        }
    }
}
