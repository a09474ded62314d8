//! `lantern test`

mod junit;
mod report;

use super::{Context, build, output};
use crate::data_dir::user_cache;
use crate::given::{Bench, Case, Error, Problem, Stopped, read};
use crate::host::ready_made;
use crate::plugin::{self, Plugin};
use crate::wasm::Engine;
use anyhow::{Context as _, anyhow, bail};
use report::{Report, Tested};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// Where tests lie beside a plugin's source.
const FOLDER: &str = "tests";
/// What names a test's file.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];
/// A larger plugin takes seconds to compile: its compiled code is kept for the next time.
const CACHED_BYTES_MIN: usize = 1 << 20;

/// Run given-when-then tests of a plugin.
///
/// Builds the plugin, unless a .wasm file or a ready-made plugin of lantern.toml is named, and runs the cases of tests/*.yaml beside it: given events, when a command
/// or more events, then rows, events, or a rejection. No log and no host are needed. Leaves with 1 when a case fails. Each case
/// is run twice, and has to come to the same.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  lantern test examples/bank/account\n  lantern test orders.wasm --tests tests --junit report.xml"
)]
pub struct Test {
    /// The folder of the plugin's source, a .wasm file, or the name of a ready-made plugin.
    #[arg(default_value = ".", value_name = "DIR|FILE.wasm|NAME")]
    plugin: PathBuf,
    /// Files of tests, or folders of such files [default: the folder `tests` beside the source; of a ready-made one, tests/NAME.yaml].
    #[arg(long, value_name = "PATH", num_args = 1..)]
    tests: Vec<PathBuf>,
    /// Run only cases whose name contains this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Write a report for continuous integration, as JUnit does.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print JSON: {"plugin": ..., "passed": ..., "failed": ..., "cases": [{"file", "line", "case", "passed", "problems", ...}]}.
    #[arg(long)]
    json: bool,
}

/// The cases of a file.
struct File {
    path: PathBuf,
    cases: Vec<Case>,
}

impl Test {
    /// Runs the tests, and says how they went.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        // Before the plugin is built: a mistyped test is told at once.
        let files = self.files()?;
        let bench = self.bench(context)?;
        let report = self.test(&bench, &files)?;
        if let Some(path) = &self.junit {
            fs::write(path, junit::write(&report))
                .with_context(|| format!("cannot write the report to {}", path.display()))?;
        }
        if self.json {
            output::json(&report)?;
        } else {
            output::line(&report.to_string())?;
        }
        if report.cases.is_empty() {
            bail!("no case's name contains {:?}", self.filter.unwrap_or_default());
        }
        Ok(if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn files(&self) -> anyhow::Result<Vec<File>> {
        let paths = self.paths()?;
        let read_file = |path: PathBuf| {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let folder = path.parent().unwrap_or(Path::new("."));
            let cases = read(&text, folder).map_err(|error| at(&path, &error))?;
            Ok(File { path, cases })
        };
        let files: Vec<File> = paths.into_iter().map(read_file).collect::<anyhow::Result<_>>()?;
        if files.iter().all(|file| file.cases.is_empty()) {
            bail!("there is no case in these tests: see docs/testing.md for how one is written");
        }
        Ok(files)
    }

    fn paths(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        let named = !self.tests.is_empty();
        let is_file = self.plugin.extension().is_some() || self.plugin.exists();
        let folder = match (self.plugin.is_dir(), self.plugin.parent()) {
            (true, _) => self.plugin.join(FOLDER),
            // The name of one that the configuration sets up.
            (false, _) if !is_file => Path::new(FOLDER).join(&self.plugin).with_extension("yaml"),
            (false, Some(folder)) => folder.join(FOLDER),
            (false, None) => FOLDER.into(),
        };
        for path in if named { self.tests.clone() } else { vec![folder] } {
            if path.is_dir() {
                let found = fs::read_dir(&path).and_then(|entries| {
                    entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()
                });
                let mut found = found.with_context(|| format!("cannot read {}", path.display()))?;
                let is_test = |path: &PathBuf| {
                    path.extension().is_some_and(|e| EXTENSIONS.iter().any(|extension| e == *extension))
                };
                found.retain(is_test);
                found.sort();
                paths.extend(found);
            } else if path.exists() || named {
                paths.push(path);
            }
        }
        if paths.is_empty() {
            bail!(
                "{} has no tests: write tests/<name>.yaml there, as docs/testing.md shows, or name them with --tests",
                self.plugin.display()
            );
        }
        Ok(paths)
    }

    /// The ready-made plugin of this name, if no file has it.
    fn configured(&self, context: &Context) -> Option<Vec<u8>> {
        if self.plugin.exists() { None } else { ready_made::artifact(&context.config, self.plugin.to_str()?) }
    }

    fn bench(&self, context: &Context) -> anyhow::Result<Bench> {
        let (bytes, origin) = if self.plugin.is_dir() {
            let (component, artifact) = build::Source::open(&self.plugin)?.compile()?;
            (component, artifact)
        } else if let Some(artifact) = self.configured(context) {
            (artifact, self.plugin.clone())
        } else {
            (plugin::read(&self.plugin)?, self.plugin.clone())
        };
        let limits = &context.config.limits;
        let cache = (bytes.len() >= CACHED_BYTES_MIN).then(user_cache::compiled).flatten();
        let engine = Engine::with_limits(cache, limits)?;
        let plugin = Plugin::load(&engine, &bytes, &origin.display().to_string(), limits)?;
        Ok(Bench {
            engine,
            plugin: Arc::new(plugin),
            limits: limits.clone(),
            commands: context.config.commands.clone(),
        })
    }

    /// Runs the cases on a thread with room for the plugin's stack.
    fn test(&self, bench: &Bench, files: &[File]) -> anyhow::Result<Report> {
        thread::scope(|scope| {
            let builder = thread::Builder::new().stack_size(bench.limits.thread_stack_bytes());
            let running = builder.spawn_scoped(scope, || self.test_all(bench, files))?;
            running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn test_all(&self, bench: &Bench, files: &[File]) -> anyhow::Result<Report> {
        let start = Instant::now();
        let mut report = Report::of(&bench.plugin);
        for File { path, cases } in files {
            for case in cases {
                if self.filter.as_ref().is_some_and(|text| !case.name.contains(text)) {
                    continue;
                }
                let begun = Instant::now();
                let problems = match bench.run(case) {
                    Ok(problems) => problems,
                    Err(Stopped::Case(error)) => return Err(at(path, &error)),
                    Err(error) => {
                        vec![Problem { line: case.line, text: error.to_string(), details: Vec::new() }]
                    }
                };
                report.add(Tested::new(path, case, problems, begun.elapsed()));
            }
        }
        report.seconds = start.elapsed().as_secs_f64();
        Ok(report)
    }
}

fn at(path: &Path, error: &Error) -> anyhow::Error {
    anyhow!("{}:{}: {}", path.display(), error.line, error.reason)
}
