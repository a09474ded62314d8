//! The broker as a process of its own, for tests that kill it and for trying it by hand.
//!
//! ```text
//! lantern-broker --dir DIR [--listen ADDRESS] [--fsync always|never] [--segment-bytes N] [--maintain-every-ms N]
//! ```
//!
//! It prints the address it listens on as its first line, and runs until SIGTERM or Ctrl-C.

use std::process::ExitCode;

use lantern_broker::{Broker, Fsync, Options};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::ERROR).init();
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => return fail(&message),
    };
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

#[allow(clippy::print_stderr, reason = "a command tells its user why it fails")]
fn fail(message: &str) -> ExitCode {
    eprintln!("lantern-broker: {message}");
    ExitCode::FAILURE
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(name) = args.next() {
        let value = args.next().ok_or(format!("{name} needs a value"))?;
        match name.as_str() {
            "--dir" => options.dir = value.into(),
            "--listen" => {
                options.listen = value
                    .parse()
                    .map_err(|_| format!("{value:?} is not an address such as 127.0.0.1:9092"))?;
            }
            "--fsync" => {
                options.fsync = match value.as_str() {
                    "always" => Fsync::Always,
                    "never" => Fsync::Never,
                    _ => return Err(format!("--fsync is always or never, not {value:?}")),
                }
            }
            "--segment-bytes" => {
                options.segment_bytes_max =
                    value.parse().map_err(|_| format!("{value:?} is not a number of bytes"))?;
            }
            "--maintain-every-ms" => {
                options.maintain_every_ms =
                    value.parse().map_err(|_| format!("{value:?} is not a number of milliseconds"))?;
            }
            _ => return Err(format!("there is no option {name:?}")),
        }
    }
    Ok(options)
}

#[allow(clippy::print_stdout, reason = "whoever starts it reads the address there")]
async fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let broker = Broker::start(options).await?;
    println!("{}", broker.address());
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    broker.shutdown().await?;
    Ok(())
}
