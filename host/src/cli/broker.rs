//! `lantern broker`: the embedded broker alone.

use super::Context;
use super::broker_user::User;
use super::signals::Signals;
use crate::host::Log;
use anyhow::bail;
use std::net::SocketAddr;
use std::process::ExitCode;

/// Run the embedded broker alone on the data folder, until told to stop.
///
/// Any client of Kafka's protocol can use it, and so do Lantern's other commands on the same data folder. `lantern run` brings
/// its own: stop this one first. SIGTERM and ctrl-c let what is under way be answered, and end it.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  lantern broker --listen 127.0.0.1:9092\n  lantern broker user alice"
)]
pub struct Broker {
    #[command(subcommand)]
    action: Option<Action>,
    /// Where clients connect [default: `listen` under [broker], else a free port on loopback].
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<SocketAddr>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    User(User),
}

impl Broker {
    /// Runs until a signal.
    pub fn run(self, mut context: Context) -> anyhow::Result<ExitCode> {
        if let Some(Action::User(user)) = self.action {
            return user.run();
        }
        if let Some(servers) = context.config.kafka.servers() {
            bail!(
                "the configuration names the broker {servers}, and this would start another: \
                 leave `bootstrap.servers` (LANTERN_KAFKA_BOOTSTRAP_SERVERS) out, or use that one"
            );
        }
        if let Some(listen) = self.listen {
            context.config.broker.listen = listen;
        }
        context.wait(serve(&context))
    }
}

async fn serve(context: &Context) -> anyhow::Result<ExitCode> {
    // Taken before anything starts, so that no signal finds us half-way.
    let mut signals = Signals::watch()?;
    let log = Log::own(&context.config, &context.data, "lantern broker").await?;
    tracing::info!("broker at {}, data in {}", log.address(), context.data.root().display());
    let told = signals.next().await;
    tracing::info!("{told}: stopping");
    log.close().await?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}
