//! A real Apache Kafka on loopback: one process that is broker and controller, on free ports, with
//! its own data.
//!
//! Needs Java 17 and Maven; see [`jars`] for how Kafka is fetched. Java starts in seconds, so the
//! tests of one binary share one Kafka by [`shared`] and give their topics names of their own. A
//! test that kills Kafka starts its own.

mod jars;
mod programs;

use std::fs::{self, File};
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::RngExt;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tempfile::TempDir;

use crate::report::skip;
use crate::wait::WAIT_MS_MAX;

/// After how much silence the controller takes a broker for dead. One that is killed comes back so soon.
const SESSION_MS: u32 = 1_000;
/// The same of a Kafka that nobody kills: on a busy machine it must not be taken for dead.
const SESSION_MS_UNKILLED: u32 = 30_000;
/// Ports that are given out: below those that the system hands to clients.
const PORTS: Range<u16> = 12_000..32_000;

/// Runs a program in the background, tells its end by ending with its status, and kills it when
/// standard input ends. So a test process leaves no Kafka behind however it ends itself, and to
/// kill Kafka is to close a pipe.
const WATCHDOG: &str = r#"
exec 3<&0
"$@" &
program=$!
(read -r _ <&3; kill -9 "$program") 2>/dev/null &
watch=$!
wait "$program" 2>/dev/null
status=$?
kill "$watch" 2>/dev/null
exit "$status"
"#;

/// A running Apache Kafka. Dropping it kills it and removes its data.
#[derive(Debug)]
pub struct Kafka {
    dir: TempDir,
    jars: PathBuf,
    port: u16,
    watchdog: Mutex<Option<Child>>,
}

impl Kafka {
    /// Formats a data folder, starts Kafka on free ports and waits until it answers. `None` where
    /// Java, Maven or the jars are missing: then it was said that the test is skipped.
    ///
    /// # Errors
    ///
    /// Where Kafka is there and does not start.
    pub fn start() -> Result<Option<Self>> {
        Self::start_with(SESSION_MS)
    }

    fn start_with(session_ms: u32) -> Result<Option<Self>> {
        let Some(jars) = jars_or_skip() else {
            return Ok(None);
        };
        let dir = TempDir::with_prefix("lantern-kafka-")?;
        let (port, controller_port) = (free_port()?, free_port()?);
        fs::write(
            dir.path().join("server.properties"),
            server_properties(dir.path(), port, controller_port, session_ms),
        )?;
        let kafka = Self { dir, jars, port, watchdog: Mutex::new(None) };
        kafka.format()?;
        kafka.restart()?;
        Ok(Some(kafka))
    }

    /// What a client is given as `bootstrap.servers`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// SIGKILL: nothing is flushed, nobody is told.
    pub fn kill(&self) {
        Self::end(&mut self.lock());
    }

    /// Starts Kafka on the same ports and data, having killed it where it runs, and waits until it
    /// answers.
    ///
    /// # Errors
    ///
    /// Where it ends or does not answer in time; the error has the end of Kafka's own log.
    pub fn restart(&self) -> Result<()> {
        let mut watchdog = self.lock();
        Self::end(&mut watchdog);
        let started = watchdog.insert(self.spawn()?);
        self.await_ready(started).map_err(|error| error.context(self.log_end()))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        // A test that panicked with it held left a process behind that can still be ended.
        self.watchdog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(watchdog: &mut Option<Child>) {
        if let Some(mut watchdog) = watchdog.take() {
            drop(watchdog.stdin.take());
            // It has been told to end, and an error would mean that it is gone already.
            let _ = watchdog.wait();
        }
    }

    fn format(&self) -> Result<()> {
        let output = java(&self.jars.join("*"), "128m", "kafka.tools.StorageTool")
            .args(["format", "--cluster-id", "bGFudGVybi10ZXN0cy0wMQ", "--config"])
            .arg(self.dir.path().join("server.properties"))
            .output()?;
        ensure!(
            output.status.success(),
            "kafka.tools.StorageTool cannot format {}: {}",
            self.dir.path().display(),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    fn spawn(&self) -> Result<Child> {
        let kafka = java(&self.jars.join("*"), "384m", "kafka.Kafka");
        let log = File::options().create(true).append(true).open(self.log_path())?;
        Command::new("sh")
            .args(["-c", WATCHDOG, "sh"])
            .arg(kafka.get_program())
            .args(kafka.get_args())
            .arg(self.dir.path().join("server.properties"))
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start sh")
    }

    /// Waits until a client is told of a broker that takes requests: Kafka leaves itself out of the
    /// metadata until its controller has let it in.
    fn await_ready(&self, watchdog: &mut Child) -> Result<()> {
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.address())
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "100")
            .create()?;
        let deadline = Instant::now() + Duration::from_millis(WAIT_MS_MAX);
        loop {
            if let Some(status) = watchdog.try_wait()? {
                bail!("Kafka ended while it was starting: {status}");
            }
            let answer = client.fetch_metadata(None, Duration::from_millis(500));
            if answer.is_ok_and(|metadata| !metadata.brokers().is_empty()) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "Kafka did not answer within {WAIT_MS_MAX} ms");
            // An answer without brokers comes at once.
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("kafka.log")
    }

    fn log_end(&self) -> String {
        let log = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!("Kafka's log ends with:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The Kafka that the tests of one binary share, started by the first of them. `None` where it
/// cannot run here; then each test that asks says that it is skipped.
///
/// # Panics
///
/// Where Kafka is there and does not start.
#[allow(clippy::panic, reason = "a Kafka that does not start fails the test")]
pub fn shared() -> Option<&'static Kafka> {
    static SHARED: OnceLock<Option<Kafka>> = OnceLock::new();
    let start = || Kafka::start_with(SESSION_MS_UNKILLED).unwrap_or_else(|error| panic!("{error:?}"));
    SHARED.get_or_init(start).as_ref()
}

/// Whether Kafka can run here. Where not, it was said that the test is skipped.
#[must_use]
pub fn available() -> bool {
    jars_or_skip().is_some()
}

/// One of Kafka's own tools by its class, such as `org.apache.kafka.tools.ConsoleProducer`, as its
/// script in `bin/` would start it.
///
/// # Errors
///
/// Where Java, Maven or the jars are missing: [`available`] tells.
pub fn tool(class: &str) -> Result<Command> {
    Ok(java(&jars::fetch()?.join("*"), "128m", class))
}

/// A program of `tests/clients/java`. `None` where it cannot be compiled: then it was said that the test is skipped.
///
/// # Errors
///
/// Where its sources are wrong.
pub fn program(class: &str) -> Result<Option<Command>> {
    let Some(jars) = jars_or_skip() else {
        return Ok(None);
    };
    if Command::new("javac").arg("-version").output().is_err() {
        skip("javac: apt-get install openjdk-17-jdk-headless");
        return Ok(None);
    }
    let mut paths = programs::compile(&jars)?.into_os_string();
    paths.push(":");
    paths.push(jars.join("*"));
    Ok(Some(java(Path::new(&paths), "128m", class)))
}

fn jars_or_skip() -> Option<PathBuf> {
    match jars::fetch() {
        Ok(jars) => Some(jars),
        Err(error) => {
            skip(&format!("Java 17 and Maven: apt-get install openjdk-17-jre-headless maven ({error:#})"));
            None
        }
    }
}

/// A port on loopback that nobody listens on. It is below the range that the system hands to clients, so that it is
/// still free when a broker comes back after a kill; and this process gives it out once, as it may be bound much later.
///
/// # Errors
///
/// Where a hundred ports were taken.
pub fn free_port() -> Result<u16> {
    static DRAWN: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(rand::rng().random_range(PORTS)));
    let count = PORTS.end - PORTS.start;
    (0..100)
        .map(|_| PORTS.start + DRAWN.fetch_add(1, Ordering::Relaxed) % count)
        .find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        .context("no free port below 32000 on loopback")
}

/// A Java virtual machine that starts quickly and stays small, with these classes.
fn java(classes: &Path, heap_max: &str, class: &str) -> Command {
    let mut command = Command::new("java");
    command
        .arg(format!("-Xmx{heap_max}"))
        .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg(format!(
            "-Dlog4j2.configurationFile={}",
            crate::target::tests_dir().join("kafka/log4j2.properties").display()
        ))
        .arg("-cp")
        .arg(classes)
        .arg(class);
    command
}

/// One node that is everything, for tests: internal topics have one partition, groups form at
/// once, and after SIGKILL the controller takes the broker back when its session is over.
fn server_properties(dir: &Path, port: u16, controller_port: u16, session_ms: u32) -> String {
    let data = dir.join("data");
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
broker.session.timeout.ms={session_ms}
broker.heartbeat.interval.ms=200
controller.quorum.election.timeout.ms=200
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.index.size.max.bytes=1048576
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
",
        data = data.display()
    )
}

#[cfg(test)]
mod tests;
