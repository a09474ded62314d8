//! Processes that the benchmark starts.

use crate::contender::{Contender, Job};
use crate::meter::Usage;
use anyhow::{Context as _, Result, ensure};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Where everybody works.
pub struct Site {
    /// The folder of all.
    pub folder: PathBuf,
    /// The built plugin.
    pub plugin: PathBuf,
    /// The plugin's name.
    pub name: String,
}

impl Site {
    /// A contender's own folder.
    pub fn folder_of(&self, contender: Contender) -> PathBuf {
        self.folder.join(contender.name())
    }

    /// A job with an empty database; everything else of the folder stays.
    ///
    /// # Errors
    /// When the last run's database cannot be removed.
    pub fn job(&self, contender: Contender, servers: &str, topic: &str, events: Option<u64>) -> Result<Job> {
        let folder = self.folder_of(contender);
        std::fs::create_dir_all(&folder)?;
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_string_lossy().starts_with("native.db") {
                std::fs::remove_file(entry.path())?;
            } else if name == "read-models" {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(Job {
            contender,
            servers: servers.into(),
            topic: topic.into(),
            events,
            folder,
            plugin: self.plugin.clone(),
            name: self.name.clone(),
        })
    }
}

/// A process of this program, which ends when its standard input does.
pub struct Part {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Part {
    /// Starts it with these arguments.
    ///
    /// # Errors
    /// When the system does not start it.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a part of the benchmark")?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Part { child, stdin, stdout })
    }

    /// Starts a contender.
    ///
    /// # Errors
    /// When the system does not start it.
    pub fn contend(job: &Job) -> Result<Self> {
        let events = job.events.map(|events| events.to_string());
        let (folder, plugin) = (job.folder.to_string_lossy(), job.plugin.to_string_lossy());
        let mut arguments = vec!["contend", "--contender", job.contender.name(), "--servers", &job.servers];
        arguments.extend(["--topic", &job.topic, "--folder", &folder]);
        arguments.extend(["--plugin", &plugin, "--name", &job.name]);
        if let Some(events) = &events {
            arguments.extend(["--events", events]);
        }
        Part::start(&arguments)
    }

    /// The first line that it prints.
    ///
    /// # Errors
    /// When it ends before.
    pub fn first_line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        ensure!(!line.is_empty(), "a part of the benchmark ended early");
        Ok(line.trim().to_owned())
    }

    /// Its process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to end.
    pub fn stop(&mut self) {
        self.stdin = None;
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// What a contender tells when it is done.
    ///
    /// # Errors
    /// When it failed; it has said why on the standard error.
    pub fn usage(mut self) -> Result<Usage> {
        let mut text = String::new();
        self.stdout.read_to_string(&mut text)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "a contender failed: {status}");
        serde_json::from_str(&text).context("a contender told something else than its usage")
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.stop();
        // It has ended, or ends by itself.
        let _ = self.child.wait();
    }
}
