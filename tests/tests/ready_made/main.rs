//! The ready-made plugins: set up in `lantern.toml`, without code, they do what their page says; and a change of what is set
//! builds the read model anew.

use anyhow::{Context, Result, ensure};
use lantern_tests::site::{self, transcript};
use lantern_tests::target;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

fn lantern(folder: &Path, arguments: &[&str], input: &str) -> Result<Output> {
    let mut child = Command::new(site::binary()?)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("its input is piped")?.write_all(input.as_bytes())?;
    Ok(child.wait_with_output()?)
}

/// What a command prints, which has to succeed.
fn done(folder: &Path, arguments: &[&str], input: &str) -> Result<String> {
    let output = lantern(folder, arguments, input)?;
    ensure!(output.status.success(), "lantern {}\n{}", arguments.join(" "), transcript(&output));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

// People who write no code read these cases as the plugins' description, and it has to be true.
#[test]
fn what_is_set_up_does_what_its_cases_say() -> Result<()> {
    let folder = target::tests_dir().join("tests/ready_made");
    for name in ["customers", "stock", "archive", "sales", "visits"] {
        done(&folder, &["test", name], "")?;
    }
    Ok(())
}

// Rows that were made by other settings must not stay among those of the new ones; and a read model is provable whatever it is
// filled by, full text included.
#[test]
fn settings_that_change_build_the_read_model_anew() -> Result<()> {
    let folder = TempDir::with_prefix("lantern-ready-made-")?;
    let folder = folder.path();
    let with = |field: &str, archive: &str| {
        let table = format!(
            "[plugins.people]\nuse = 'json-table'\ntopics = ['people']\nkey = 'id'\ncolumns.id = 'integer'\n\
             columns.name = {{ field = '{field}' }}\nenvelope = {{ kind = 'topic' }}\n{archive}"
        );
        fs::write(folder.join("lantern.toml"), table)
    };
    with(
        "nick",
        "[plugins.all]\nuse = 'event-archive'\ntopics = ['people']\nenvelope = { kind = 'topic' }\n",
    )?;
    let checked = done(folder, &["config", "check"], "")?;
    ensure!(checked.contains("# people: Rows of people by id"), "{checked}");
    let events = "{\"id\":1,\"nick\":\"ada\",\"full\":\"Ada Lovelace\"}\n{\"id\":2,\"nick\":\"bob\",\"full\":\"Bob\"}\n";
    done(folder, &["produce", "people", "--key-field", "id"], events)?;
    done(folder, &["run", "--once"], "")?;
    let names = |expected: &str| -> Result<()> {
        let rows = done(folder, &["query", "people", "SELECT name FROM people ORDER BY id", "--json"], "")?;
        ensure!(rows.contains(expected), "{rows}");
        Ok(())
    };
    names("ada")?;
    let found =
        done(folder, &["query", "all", "SELECT \"key\" FROM words WHERE words MATCH 'love*'", "--json"], "")?;
    ensure!(found.contains("\"1\""), "{found}");
    done(folder, &["verify", "people"], "")?;
    done(folder, &["verify", "all"], "")?;

    // Another field, and one plugin less.
    with("full", "")?;
    let output = lantern(folder, &["run", "--once"], "")?;
    let log = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && log.contains("people: ") && !log.contains(" all: "),
        "{}",
        transcript(&output)
    );
    names("Ada Lovelace")?;
    done(folder, &["verify", "people"], "")?;
    Ok(())
}
