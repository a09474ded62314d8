//! How the tests of a plugin went, for people and programs.

use crate::given::{Case, Problem};
use crate::plugin::{Digest, Plugin};
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// How the tests of a plugin went.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The plugin's name.
    pub plugin: String,
    /// What it is.
    pub kind: String,
    /// Which artifact was tested.
    pub digest: Digest,
    /// Cases that passed.
    pub passed: usize,
    /// Cases that did not.
    pub failed: usize,
    /// How long all of them took.
    pub seconds: f64,
    /// In the order in which they were run.
    pub cases: Vec<Tested>,
}

/// A case that was run.
#[derive(Debug, Serialize)]
pub struct Tested {
    /// Its file.
    pub file: String,
    /// Its line.
    pub line: usize,
    /// What it says of the plugin.
    pub case: String,
    /// Whether everything was as it says.
    pub passed: bool,
    /// How long it took.
    pub seconds: f64,
    /// What was otherwise.
    #[serde(serialize_with = "problems")]
    pub problems: Vec<Problem>,
}

fn problems<S: Serializer>(problems: &[Problem], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(problems.iter().map(|Problem { line, text, details }| {
        serde_json::json!({ "line": line, "text": text, "details": details })
    }))
}

impl Report {
    /// Of a plugin whose tests were not run yet.
    pub fn of(plugin: &Plugin) -> Self {
        Report {
            plugin: plugin.name.clone(),
            kind: plugin.kind.to_string(),
            digest: plugin.digest,
            passed: 0,
            failed: 0,
            seconds: 0.0,
            cases: Vec::new(),
        }
    }

    /// Adds a case that was run.
    pub fn add(&mut self, tested: Tested) {
        if tested.passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        self.cases.push(tested);
    }
}

impl Tested {
    /// A case that was run.
    pub fn new(file: &Path, case: &Case, problems: Vec<Problem>, time: Duration) -> Self {
        Tested {
            file: file.display().to_string(),
            line: case.line,
            case: case.name.clone(),
            passed: problems.is_empty(),
            seconds: time.as_secs_f64(),
            problems,
        }
    }

    /// What was otherwise, with the places.
    pub fn explain(&self) -> String {
        let mut lines = Vec::new();
        for Problem { line, text, details } in &self.problems {
            lines.push(format!("{}:{line}: {text}", self.file));
            lines.extend(details.iter().map(|detail| format!("  {detail}")));
        }
        lines.join("\n")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, a {}, {}", self.plugin, self.kind, self.digest.short())?;
        for tested in &self.cases {
            writeln!(f, "  {}  {}", if tested.passed { "ok  " } else { "FAIL" }, tested.case)?;
            for line in tested.explain().lines() {
                writeln!(f, "        {line}")?;
            }
        }
        if self.failed > 0 {
            writeln!(f, "\n- is what was expected, + is what came")?;
        }
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}
