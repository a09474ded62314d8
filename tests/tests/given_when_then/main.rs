//! Given-when-then: what plugins are said to do, run against the file that is deployed; and what is said when it is otherwise.

use anyhow::{Context, Result, ensure};
use lantern_tests::guest::{Plugin, example, plugin};
use lantern_tests::site::{self, transcript};
use lantern_tests::target;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A plugin's file in a folder of its own, and tests beside it.
struct Project(TempDir);

impl Project {
    fn of(plugin: &Plugin) -> Result<Self> {
        let folder = TempDir::with_prefix("lantern-given-")?;
        fs::create_dir(folder.path().join("tests"))?;
        fs::write(folder.path().join("plugin.wasm"), &plugin.wasm)?;
        Ok(Project(folder))
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.0.path().join("tests").join(name), text).context("the test's folder can be written")
    }

    fn test(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(site::binary()?);
        command.args(["test", "plugin.wasm"]).args(arguments).current_dir(self.0.path());
        Ok(command.output()?)
    }
}

/// The page of what is expected here, which is to be read as a user reads it.
fn golden(name: &str) -> Result<String> {
    let path = target::tests_dir().join("tests/given_when_then").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// Standard output, without what is another at every build.
fn shown(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let name = first.rsplit_once(", ").map_or(first, |(name, _)| name);
    format!("{name}\n{rest}")
}

// They are what others learn from, and the proof that real plugins can be tested in this way.
#[test]
fn the_examples_do_what_their_tests_say() -> Result<()> {
    let root = target::tests_dir().parent().context("the tests lie in the workspace")?;
    for folder in ["bank/account", "bank/transfer", "bank/process", "bank/statement", "orders"] {
        let project = Project::of(&example(folder)?)?;
        let tests = root.join("examples").join(folder).join("tests");
        let output = project.test(&["--tests", &tests.to_string_lossy()])?;
        ensure!(output.status.success(), "{}", transcript(&output));
    }
    Ok(())
}

// Whoever reads it must see at once what came instead, and which line said otherwise.
#[test]
fn what_is_otherwise_is_shown_with_its_place() -> Result<()> {
    for (folder, name) in
        [("bank/account", "handler"), ("bank/process", "process"), ("bank/statement", "rows")]
    {
        let project = Project::of(&example(folder)?)?;
        project.write("failing.yaml", &golden(&format!("{name}.yaml"))?)?;
        let output = project.test(&[])?;
        ensure!(output.status.code() == Some(1), "{}", transcript(&output));
        let (found, expected) = (shown(&output), golden(&format!("{name}.txt"))?);
        ensure!(found == expected, "{name}.txt should be\n{found}");
    }
    Ok(())
}

// A test that is mistyped and passes, or fails for another reason, is worse than none.
#[test]
fn a_mistyped_test_is_an_error_with_its_line_that_names_the_right_key() -> Result<()> {
    let project = Project::of(&example("bank/statement")?)?;
    let check = |yaml: &str, parts: &[&str]| -> Result<()> {
        project.write("a.yaml", yaml)?;
        let output = project.test(&[])?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1), "{yaml}\n{}", transcript(&output));
        for part in parts {
            ensure!(error.contains(part), "{yaml}\n{error}\nlacks {part}");
        }
        Ok(())
    };
    check("- case: a\n  gvien: []\n  then: {}", &["tests/a.yaml:2: ", "`gvien`", "Did you mean `given`?"])?;
    check(
        "- case: a\n  given:\n    - { typ: X }\n  then: { rows: {} }",
        &["a.yaml:3: ", "Did you mean `type`?"],
    )?;
    check("- case: a\n  then: { row: {} }", &["a.yaml:2: ", "Did you mean `rows`?"])?;
    check("- case: a\n  then: {}", &["a.yaml:2: ", "expects nothing"])?;
    check("- case: a", &["a.yaml:1: a case needs `then`"])?;
    check("- case: a\n  then: { rows: { acounts: [] } }", &["a.yaml:2: ", "Did you mean `accounts`?"])?;
    check(
        "- case: a\n  then:\n    rows:\n      accounts:\n        - { cent: 5 }",
        &["a.yaml:5: ", "Did you mean `cents`?"],
    )?;
    check("- case: a\n  then: { rejected: no }", &["a.yaml:2: `rejected` is not for bank-statement"])?;
    check("- case: a\n  then: { sends: [] }", &["a.yaml:2: `sends` is not for"])?;
    check(
        "- case: a\n  given: [ { type: X, topic: acounts } ]\n  then: { rows: {} }",
        &["a.yaml:2: ", "it reads accounts"],
    )?;
    check("- case: a\n  given: [ { data: {} } ]\n  then: { rows: {} }", &["a.yaml:2: ", "needs a `type`"])?;
    check("- case: a\n  then: { rows: {} }\n- case: a\n  then: { rows: {} }", &["a.yaml:3: ", "line 1"])?;
    check("- case: [a\n", &["tests/a.yaml:"])?;
    check("- case: a\n  given_file: nowhere.jsonl\n  then: { rows: {} }", &["a.yaml:2: nowhere.jsonl"])?;
    check("", &["no case", "docs/testing.md"])?;
    fs::remove_dir_all(project.0.path().join("tests"))?;
    let output = project.test(&[])?;
    ensure!(String::from_utf8_lossy(&output.stderr).contains("tests/<name>.yaml"), "{}", transcript(&output));
    Ok(())
}

// What passes in a test and differs in a replay is found by a customer.
#[test]
fn a_plugin_that_remembers_fails_its_tests() -> Result<()> {
    let case = "- case: events are counted\n  given: [ { data: 1 }, { data: 2 }, { data: 3 } ]\n  then: { rows: { total: [ { events: 3 } ] } }\n";
    for (words, passes) in [(&["t"][..], true), (&["t", "forgetful"][..], false)] {
        let project = Project::of(&plugin("ledger", "ledger", words)?)?;
        project.write("counting.yaml", case)?;
        let output = project.test(&[])?;
        ensure!(output.status.success() == passes, "{}", transcript(&output));
        let said = String::from_utf8_lossy(&output.stdout).contains("depends on where batches end");
        ensure!(said != passes, "{}", transcript(&output));
    }
    Ok(())
}

// Keys, headers, times and offsets are facts of the log too, and 64-bit integers are not floats.
#[test]
fn an_event_is_what_the_test_says_and_nothing_is_rounded() -> Result<()> {
    let project = Project::of(&plugin("ledger", "ledger", &["t", "u"])?)?;
    project.write(
        "events.yaml",
        r#"
- case: every part of an event arrives
  given:
    - { topic: t, key: 007, data: { big: 9007199254740993, small: -9223372036854775808 } }
    - { topic: t, key: { hex: 00ff }, payload: plain text }
    - { topic: u, partition: 3, offset: 41, payload_base64: AAEC }
    - { topic: u, partition: 3, payload: null }
    - { topic: u, partition: 3, offset: 50, payload: { hex: "" } }
  then:
    rows:
      entries:
        ordered: true
        rows:
          - { topic: t, partition: 0, offset: 0, key: { hex: 303037 }, value: { hex: 7b22626967223a393030373139393235343734303939332c22736d616c6c223a2d393232333337323033363835343737353830387d } }
          - { topic: t, partition: 0, offset: 1, key: { hex: 00ff } }
          - { topic: u, partition: 3, offset: 41, key: null, value: { base64: AAEC } }
          - { topic: u, partition: 3, offset: 42, value: null }
          - { topic: u, partition: 3, offset: 50, value: { hex: "" } }
"#,
    )?;
    let output = project.test(&[])?;
    ensure!(output.status.success(), "{}", transcript(&output));
    Ok(())
}

// What went wrong in the field is a case as `lantern consume --json` has shown it.
#[test]
fn an_excerpt_of_a_log_is_given_as_it_was_printed() -> Result<()> {
    let project = Project::of(&plugin("ledger", "ledger", &["t", "u"])?)?;
    project.write(
        "log.jsonl",
        r#"{"topic":"t","partition":2,"offset":40,"time":"2026-01-31T08:00:00.001Z","key":"o-7","headers":[{"name":"raw","hex":"ff"}],"value":{"n":1.0}}
{"topic":"u","partition":0,"offset":7,"time":"2026-01-31T08:00:00.002Z","key_hex":"00ff","text":"plain"}
{"topic":"t","partition":2,"offset":43,"time":"2026-01-31T08:00:00.003Z","key":"o-7"}
"#,
    )?;
    project.write(
        "excerpt.yaml",
        "
- case: each record is where it was
  given_file: log.jsonl
  given: [ { topic: t, partition: 2, payload: null } ]
  then:
    rows:
      entries:
        - { topic: t, partition: 2, offset: 40, key: { hex: 6f2d37 }, value: { hex: 7b226e223a312e307d } }
        - { topic: t, partition: 2, offset: 43, value: null }
        - { topic: t, partition: 2, offset: 44 }
        - { topic: u, partition: 0, offset: 7, key: { hex: 00ff }, value: { hex: 706c61696e } }
",
    )?;
    let output = project.test(&[])?;
    ensure!(output.status.success(), "{}", transcript(&output));
    Ok(())
}

// What machines read of a run: which cases, and how they went.
#[test]
fn a_run_is_reported_as_json_and_as_junit() -> Result<()> {
    let project = Project::of(&example("bank/account")?)?;
    project.write("failing.yaml", &golden("handler.yaml")?)?;
    project.write("good.json", r#"[{"case": "in <JSON>", "when": {"command": "Deposit", "data": {"cents": 1}}, "then": {"rejected": "not-open"}}]"#)?;
    let output = project.test(&["--json", "--junit", "report.xml"])?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let case = report["cases"].as_array().and_then(|cases| cases.last()).context("there are cases")?;
    ensure!(
        case["file"] == "tests/good.json" && case["case"] == "in <JSON>" && case["passed"] == true,
        "{case}"
    );
    ensure!(report["passed"] == 1 && report["failed"].as_u64() > Some(1), "{report}");
    let xml = fs::read_to_string(project.0.path().join("report.xml"))?;
    for part in [
        "<testsuite name=\"tests/failing.yaml\"",
        "name=\"in &lt;JSON&gt;\"",
        "<failure message=\"it is accepted\"",
    ] {
        ensure!(xml.contains(part), "{xml}\nlacks {part}");
    }
    let is_parsed = Command::new("python3")
        .args(["-c", "import sys, xml.dom.minidom as m; m.parse(sys.argv[1])"])
        .arg(Path::new("report.xml"))
        .current_dir(project.0.path())
        .output();
    // Where there is no Python, the text was looked at.
    if let Ok(parsed) = is_parsed {
        ensure!(parsed.status.success(), "{}", transcript(&parsed));
    }
    let output = project.test(&["--filter", "JSON"])?;
    ensure!(
        output.status.success() && shown(&output).ends_with("1 passed, 0 failed\n"),
        "{}",
        transcript(&output)
    );
    Ok(())
}
