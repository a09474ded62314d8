//! One installation of Lantern: its data folder, its configuration and its plugins, and the real
//! process that runs on them.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::api::Api;
use crate::guest::Plugin;
use crate::kafka::free_port;
use crate::log::Log;
use crate::read_model::ReadModel;
use crate::target;
use crate::wait::{self, DEAR_POLL_MS, POLL_MS};

/// What outlives the process: a kill takes nothing of it away.
#[derive(Debug)]
pub struct Site {
    dir: TempDir,
    data: PathBuf,
    address: String,
    http: String,
    embedded: bool,
    settings: String,
    plugins: Vec<PathBuf>,
}

impl Site {
    /// An installation with an empty data folder on a log.
    ///
    /// # Errors
    ///
    /// Where the file system or the loopback device refuses.
    pub fn new(log: &Log<'_>) -> Result<Self> {
        match log {
            Log::Kafka(kafka) => Self::on_kafka(&kafka.address()),
            Log::Embedded => {
                // The same address after each restart, so that producers find it again.
                let address = format!("127.0.0.1:{}", free_port()?);
                Self::create(address.clone(), true, &format!("[broker]\nlisten = \"{address}\"\n"))
            }
        }
    }

    /// An installation on a Kafka that need not be there yet.
    ///
    /// # Errors
    ///
    /// Where the file system refuses.
    pub fn on_kafka(address: &str) -> Result<Self> {
        // The client looks again soon for a broker that was killed.
        let settings =
            format!("[kafka]\n\"bootstrap.servers\" = \"{address}\"\n\"reconnect.backoff.max.ms\" = 200\n");
        Self::create(address.to_owned(), false, &settings)
    }

    fn create(address: String, embedded: bool, settings: &str) -> Result<Self> {
        let dir = TempDir::with_prefix("lantern-site-")?;
        let data = dir.path().join("data");
        fs::create_dir(&data)?;
        symlink(target::compiled_dir()?, data.join("cache"))?;
        // Of its own, so that hosts of several tests do not take each other's.
        let http = format!("127.0.0.1:{}", free_port()?);
        let listen = format!("{settings}\n[http]\nlisten = \"{http}\"\n");
        let site = Self { dir, data, address, http, embedded, settings: String::new(), plugins: Vec::new() };
        site.with_settings(&listen)
    }

    /// Adds to `lantern.toml`.
    ///
    /// # Errors
    ///
    /// Where the file system refuses.
    pub fn with_settings(mut self, toml: &str) -> Result<Self> {
        self.settings.push_str(toml);
        self.settings.push('\n');
        fs::write(self.dir.path().join("lantern.toml"), &self.settings)?;
        Ok(self)
    }

    /// Replaces some text of `lantern.toml`.
    ///
    /// # Errors
    ///
    /// Where the text is not there, or the file system refuses.
    pub fn with_replaced(mut self, old: &str, new: &str) -> Result<Self> {
        ensure!(self.settings.contains(old), "lantern.toml has no {old:?}");
        self.settings = self.settings.replace(old, new);
        self.with_settings("")
    }

    /// Moves the data folder, in which no host must have run yet.
    #[must_use]
    pub fn with_data(mut self, data: &Path) -> Self {
        data.clone_into(&mut self.data);
        self
    }

    /// Adds a plugin to those that `lantern run` is given. One of the same file name is replaced.
    ///
    /// # Errors
    ///
    /// Where the file system refuses.
    pub fn deploy(&mut self, plugin: &Plugin) -> Result<()> {
        let path = self.dir.path().join(format!("{}.wasm", plugin.name));
        fs::write(&path, &plugin.wasm)?;
        if !self.plugins.contains(&path) {
            self.plugins.push(path);
        }
        Ok(())
    }

    /// Takes a plugin away from those that `lantern run` is given.
    pub fn undeploy(&mut self, name: &str) {
        self.plugins.retain(|path| path.file_stem().is_none_or(|stem| stem != name));
    }

    /// The plugins folder, which is watched by a running host.
    #[must_use]
    pub fn plugins_dir(&self) -> PathBuf {
        self.dir.path().join("plugins")
    }

    /// Where the running host answers HTTP.
    ///
    /// # Errors
    ///
    /// Where it does not.
    pub fn http(&self) -> Result<String> {
        let address = self.json(["status"])?["host"]["http"].as_str().map(str::to_owned);
        address.context("no host answers HTTP")
    }

    /// Where a host of this installation answers HTTP, once it runs.
    #[must_use]
    pub fn http_address(&self) -> &str {
        &self.http
    }

    /// What clients of the log are given as `bootstrap.servers`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A client of the host's HTTP side.
    #[must_use]
    pub fn api(&self) -> Api {
        Api::new(&self.http)
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The command line tool with this installation's configuration.
    ///
    /// # Errors
    ///
    /// Where it cannot be built.
    pub fn lantern<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<Command> {
        let mut command = Command::new(binary()?);
        command
            .arg("--config")
            .arg(self.dir.path().join("lantern.toml"))
            .arg("--data-dir")
            .arg(&self.data)
            .args(arguments)
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        Ok(command)
    }

    /// What a command prints with `--json`; it must end well.
    ///
    /// # Errors
    ///
    /// Where it does not, with what it printed.
    pub fn json<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<Value> {
        let output = self.lantern(arguments)?.arg("--json").output()?;
        ensure!(output.status.success(), "{}", transcript(&output));
        serde_json::from_slice(&output.stdout).with_context(|| transcript(&output))
    }

    /// Starts `lantern run` with the plugins deployed.
    ///
    /// # Errors
    ///
    /// Where it cannot be started.
    pub fn start(&self) -> Result<Host<'_>> {
        self.start_command(self.lantern(["run"])?)
    }

    /// Starts `lantern run` by a command of the caller's, such as one with limits set.
    ///
    /// # Errors
    ///
    /// Where it cannot be started.
    pub fn start_command(&self, mut command: Command) -> Result<Host<'_>> {
        let said = File::options().create(true).append(true).open(self.said_path())?;
        let process = command
            .args(&self.plugins)
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Host { site: self, process })
    }

    /// Runs `lantern run --once` to its end.
    ///
    /// # Errors
    ///
    /// Where it cannot be started.
    pub fn run_once(&self) -> Result<Output> {
        Ok(self.lantern(["run", "--once"])?.args(&self.plugins).output()?)
    }

    /// What `lantern status` says of a projection; `None` while there is no answer.
    ///
    /// # Errors
    ///
    /// Where the answer is not of its documented form.
    pub fn projection(&self, name: &str) -> Result<Option<Value>> {
        let output = self.lantern(["status", "--json"])?.output()?;
        if !output.status.success() {
            return Ok(None);
        }
        let status: Value = serde_json::from_slice(&output.stdout).with_context(|| transcript(&output))?;
        let projections = status["projections"].as_array().with_context(|| transcript(&output))?;
        Ok(projections.iter().find(|projection| projection["name"] == name).cloned())
    }

    /// Opens a read model as anybody would.
    ///
    /// # Errors
    ///
    /// Where there is none yet.
    pub fn read_model(&self, name: &str) -> Result<ReadModel> {
        ReadModel::open(&self.data.join("read-models").join(format!("{name}.db")))
    }

    /// Everything that the processes of this installation have said so far.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read(self.said_path())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    fn said_path(&self) -> PathBuf {
        self.dir.path().join("said.log")
    }
}

/// A running `lantern run`. Dropping it kills it.
#[derive(Debug)]
pub struct Host<'s> {
    site: &'s Site,
    process: Child,
}

impl Host<'_> {
    /// SIGKILL at this moment.
    ///
    /// # Errors
    ///
    /// Where it had ended by itself, which no test that kills expects.
    pub fn kill(mut self) -> Result<()> {
        self.check_running()?;
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// SIGTERM, and the wait until it has drained.
    ///
    /// # Errors
    ///
    /// Where it had ended by itself, or does not end.
    pub fn terminate(mut self) -> Result<ExitStatus> {
        self.check_running()?;
        kill_process(Pid::from_child(&self.process), Signal::TERM)?;
        self.await_end()
    }

    /// Sends a signal, such as to stand still and to go on.
    ///
    /// # Errors
    ///
    /// Where it had ended by itself.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.check_running()?;
        Ok(kill_process(Pid::from_child(&self.process), signal)?)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    ///
    /// Where it does not.
    pub fn await_end(&mut self) -> Result<ExitStatus> {
        let process = &mut self.process;
        wait::until("lantern ends", || Ok(process.try_wait()?))
            .map_err(|error| error.context(self.site.said_end()))
    }

    /// Waits for an answer as long as the process runs.
    ///
    /// # Errors
    ///
    /// Where there is none in time or the process ends, with the end of what it said.
    pub fn until<T>(&mut self, what: &str, ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        self.until_every(POLL_MS, what, ask)
    }

    /// The same, with so much time between two questions.
    ///
    /// # Errors
    ///
    /// Where there is none in time or the process ends, with the end of what it said.
    pub fn until_every<T>(
        &mut self,
        poll_ms: u64,
        what: &str,
        mut ask: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        wait::until_every(poll_ms, what, || {
            let answer = ask()?;
            if answer.is_none() {
                self.check_running()?;
            }
            Ok(answer)
        })
        .map_err(|error| error.context(self.site.said_end()))
    }

    /// Waits until the embedded broker answers; Apache Kafka is there already.
    ///
    /// # Errors
    ///
    /// Where the process ends before.
    pub fn await_broker(&mut self) -> Result<()> {
        let site = self.site;
        self.until("the embedded broker listens", || {
            let there = !site.embedded || std::net::TcpStream::connect(&site.address).is_ok();
            Ok(there.then_some(()))
        })
    }

    /// Waits until the HTTP side answers.
    ///
    /// # Errors
    ///
    /// Where the process ends before.
    pub fn await_http(&mut self) -> Result<Api> {
        let site = self.site;
        self.until("HTTP is served", || {
            Ok(std::net::TcpStream::connect(&site.http).is_ok().then(|| site.api()))
        })
    }

    /// Waits until the host says something of a plugin; answers that.
    ///
    /// # Errors
    ///
    /// Where it does not in time, with what it said last.
    pub fn await_plugin(&mut self, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        let api = self.await_http()?;
        let mut last = Value::Null;
        self.until(&format!("{name} {what}"), || {
            last = api.plugin(name)?.body;
            Ok(is(&last).then(|| last.clone()))
        })
        .with_context(|| format!("{name} was last {last:#}"))
    }

    /// Waits until a projection has applied what is in the log before these offsets.
    ///
    /// # Errors
    ///
    /// Where it does not get there, with the end of what it said.
    pub fn await_checkpoint(&mut self, name: &str, topic: &str, ends: &[(i32, i64)]) -> Result<()> {
        let site = self.site;
        self.until(&format!("{name} has applied {topic} up to {ends:?}"), || {
            let Ok(model) = site.read_model(name) else { return Ok(None) };
            let there = model.checkpoints(topic)?;
            let reached = |(partition, end): &(i32, i64)| there.get(partition).copied().unwrap_or(0) >= *end;
            Ok(ends.iter().all(reached).then_some(()))
        })
    }

    /// Waits until a projection has moved on from where it is.
    ///
    /// # Errors
    ///
    /// Where it does not, with the end of what it said.
    pub fn await_progress(&mut self, name: &str, topic: &str) -> Result<()> {
        let site = self.site;
        let applied = || -> Result<i64> {
            let Ok(model) = site.read_model(name) else { return Ok(0) };
            Ok(model.checkpoints(topic)?.values().sum())
        };
        let before = applied()?;
        self.until(&format!("{name} goes on from {before}"), || Ok((applied()? > before).then_some(())))
    }

    /// Waits until `lantern status` gives an error for a projection that has all these words;
    /// answers it.
    ///
    /// # Errors
    ///
    /// Where there is none in time, with what was there instead.
    pub fn await_error(&mut self, name: &str, words: &[&str]) -> Result<String> {
        let site = self.site;
        let mut last = None;
        self.until_every(DEAR_POLL_MS, &format!("an error of {name} with the words {words:?}"), || {
            last = site.projection(name)?;
            let error = last.as_ref().and_then(|projection| projection["error"].as_str());
            Ok(error.filter(|error| words.iter().all(|word| error.contains(word))).map(str::to_owned))
        })
        .with_context(|| format!("the status of {name} was {last:?}"))
    }

    /// Waits until the process has said something.
    ///
    /// # Errors
    ///
    /// Where it ends before, or does not in time.
    pub fn await_said(&mut self, words: &str) -> Result<()> {
        let site = self.site;
        self.until(&format!("lantern says {words:?}"), || Ok(site.said().contains(words).then_some(())))
    }

    fn check_running(&mut self) -> Result<()> {
        if let Some(status) = self.process.try_wait()? {
            bail!("lantern ended by itself: {status}; {}", self.site.said_end());
        }
        Ok(())
    }
}

impl Drop for Host<'_> {
    fn drop(&mut self) {
        // It may have ended already, and the test is over.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Site {
    fn said_end(&self) -> String {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        format!("lantern's log ends with:\n{}", lines[lines.len().saturating_sub(25)..].join("\n"))
    }
}

/// Runs a command that must leave with this code and say these words; answers its standard output.
///
/// # Errors
///
/// Where it does not, with what it printed.
pub fn check<'a>(
    site: &Site,
    arguments: impl IntoIterator<Item = &'a str>,
    code: i32,
    words: &[&str],
) -> Result<String> {
    let output = site.lantern(arguments)?.output()?;
    let said = transcript(&output);
    ensure!(output.status.code() == Some(code), "it should leave with {code}\n{said}");
    for word in words {
        ensure!(said.contains(word), "it should say {word:?}\n{said}");
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a command printed, for the message of a failed test.
#[must_use]
pub fn transcript(output: &Output) -> String {
    format!(
        "{}\nstdout: {}\nstderr: {}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The binary under test. Cargo builds binaries for the tests of their own package alone, so the
/// first test that asks has it built, as the tests themselves were.
///
/// # Errors
///
/// Where cargo cannot build it.
pub fn binary() -> Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf>> = OnceLock::new();
    match BINARY.get_or_init(build) {
        Ok(path) => Ok(path),
        Err(error) => bail!("{error:#}"),
    }
}

fn build() -> Result<PathBuf> {
    built("lantern")
}

/// Builds a binary of the workspace as the tests themselves were built.
///
/// # Errors
///
/// Where cargo cannot build it.
pub fn built(name: &str) -> Result<PathBuf> {
    let profile_dir = target::profile_dir()?;
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => bail!("{} has no name", profile_dir.display()),
    };
    let _lock = target::lock(&format!("{name}-binary"))?;
    let output = cargo()
        .args(["build", "--workspace", "--bin", name, "--profile", profile])
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "{}", transcript(&output));

    // Linked under a name of this test binary, so that a later build does not change what runs in
    // the middle of a test that starts it again and again.
    let test = std::env::current_exe()?;
    let mut own = std::ffi::OsString::from(format!("{name}-for-"));
    own.push(test.file_name().context("the running test has no name")?);
    let own = target::cache_dir()?.join(own);
    if own.exists() {
        fs::remove_file(&own)?;
    }
    fs::hard_link(profile_dir.join(name), &own).with_context(|| format!("cannot link {}", own.display()))?;
    Ok(own)
}

/// Cargo as it runs this test, in the workspace.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(target::tests_dir());
    // What cargo says of the running test: build scripts that look at it would be run again, and everything behind them compiled.
    for (name, _) in std::env::vars_os() {
        let is_of_the_test = |start: &str| name.to_str().is_some_and(|name| name.starts_with(start));
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].into_iter().any(is_of_the_test) {
            command.env_remove(name);
        }
    }
    command
}
