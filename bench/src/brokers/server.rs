//! A broker as a process.

use super::Contender;
use crate::child::Part;
use anyhow::{Context as _, Result, ensure};
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a broker may take to start or to end.
const START_MAX: Duration = Duration::from_secs(120);
const ANSWER_MAX: Duration = Duration::from_secs(5);
const ASK_AGAIN: Duration = Duration::from_micros(500);

/// Kafka's classes.
pub struct Jars(PathBuf);

impl Jars {
    /// In this folder, or where the tests have fetched them.
    ///
    /// # Errors
    /// When they are not there.
    pub fn find(given: Option<&Path>) -> Result<Self> {
        let folder = match (given, std::env::var_os("CARGO_TARGET_DIR")) {
            (Some(folder), _) => folder.to_owned(),
            (None, Some(target)) => Path::new(&target).join("lantern-tests/kafka-jars"),
            (None, None) => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/lantern-tests/kafka-jars"),
        };
        ensure!(
            folder.is_dir(),
            "Kafka's jars are not in {}: run a test that uses Kafka (cargo test --workspace --test log_client), or pass --kafka-jars",
            folder.display()
        );
        Ok(Jars(folder))
    }

    /// A class as Kafka's own scripts start it.
    fn java(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        command
            .args(["-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"])
            .args(["-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"])
            .args(["-Djava.awt.headless=true", "-cp"])
            .arg(self.0.join("*"))
            .arg(class);
        command
    }
}

/// A running broker.
pub struct Server {
    process: Process,
    address: String,
}

enum Process {
    Embedded(Part),
    Kafka(Java),
}

/// A Java process, killed when it is dropped.
struct Java(Child);

impl Server {
    /// Starts one in a folder, which may hold what an earlier one of the same kind has left, and tells how long it took
    /// until it answered.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(contender: Contender, jars: &Jars, folder: &Path) -> Result<(Self, Duration)> {
        let fsync = match contender {
            Contender::Embedded => "always",
            Contender::EmbeddedEverySecond => "1000",
            Contender::EmbeddedUnsynced => "never",
            Contender::Kafka => return Server::start_kafka(jars, folder),
        };
        let started = Instant::now();
        let mut part = Part::start(&["broker", "--folder", &folder.to_string_lossy(), "--fsync", fsync])?;
        let address = part.first_line()?;
        let server = Server { process: Process::Embedded(part), address };
        server.await_answer(started)?;
        Ok((server, started.elapsed()))
    }

    fn start_kafka(jars: &Jars, folder: &Path) -> Result<(Self, Duration)> {
        let settings = folder.join("server.properties");
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let controller = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        fs::write(&settings, properties(folder, port, controller))?;
        if !folder.join("data").exists() {
            let output = jars
                .java("kafka.tools.StorageTool")
                .args(["format", "--cluster-id", "bGFudGVybi1iZW5jaC0wMQ", "--config"])
                .arg(&settings)
                .output()
                .context("cannot run java")?;
            ensure!(output.status.success(), "Kafka's folder: {}", String::from_utf8_lossy(&output.stderr));
        }
        let log = File::options().create(true).append(true).open(folder.join("kafka.log"))?;
        let started = Instant::now();
        let child = jars
            .java("kafka.Kafka")
            .arg(&settings)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot run java")?;
        let server = Server { process: Process::Kafka(Java(child)), address: format!("127.0.0.1:{port}") };
        server.await_answer(started)?;
        Ok((server, started.elapsed()))
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process's number.
    pub fn process(&self) -> u32 {
        match &self.process {
            Process::Embedded(part) => part.id(),
            Process::Kafka(java) => java.0.id(),
        }
    }

    /// Ends it as an operator would.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(self) -> Result<()> {
        match self.process {
            Process::Embedded(part) => drop(part),
            Process::Kafka(mut java) => {
                rustix::process::kill_process(
                    rustix::process::Pid::from_child(&java.0),
                    rustix::process::Signal::TERM,
                )?;
                java.0.wait()?;
            }
        }
        Ok(())
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn kill(self) -> Result<()> {
        match self.process {
            Process::Embedded(mut part) => part.kill(),
            Process::Kafka(java) => {
                drop(java);
                Ok(())
            }
        }
    }

    fn await_answer(&self, started: Instant) -> Result<()> {
        while !knows_itself(&self.address)? {
            ensure!(started.elapsed() < START_MAX, "it does not answer");
            std::thread::sleep(ASK_AGAIN);
        }
        Ok(())
    }
}

impl Drop for Java {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a broker answers a request for metadata with a broker. Bytes are sent by hand, since a client that is
/// refused waits longer than the embedded broker takes to start.
fn knows_itself(address: &str) -> Result<bool> {
    /// Size, `Metadata` in version 1, a number, no client's name, no topics.
    const REQUEST: [u8; 18] = [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0];
    let mut stream = match TcpStream::connect(address) {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.write_all(&REQUEST)?;
    // Size, the number, how many brokers follow.
    let mut answer = [0; 12];
    if stream.read_exact(&mut answer).is_err() {
        return Ok(false);
    }
    Ok(answer[8..12] != [0; 4])
}

/// One node that is everything; the rest is as in Kafka's own `config/server.properties`.
fn properties(folder: &Path, port: u16, controller: u16) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs={data}
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.segment.bytes=1073741824
",
        data = folder.join("data").display()
    )
}
