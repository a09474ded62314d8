//! The README is true: its plugin compiles, its commands run in their order, and print what it shows. So is the configuration's page.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lantern_tests::site::{self, transcript};
use lantern_tests::{page, target};
use tempfile::TempDir;

// It is what people try first. What fails there is never tried again.
#[test]
fn the_readme_s_examples_do_what_it_says() -> Result<()> {
    let root = target::tests_dir().parent().context("the tests lie in the workspace")?;
    // Outside of the workspace, as a user's folder is: cargo refuses a package inside of it that is no member.
    let dir = TempDir::with_prefix("lantern-readme-")?;
    let folder = dir.path();
    let bin = folder.join("bin");
    fs::create_dir(&bin)?;
    symlink(site::binary()?, bin.join("lantern"))?;
    symlink(root, folder.join("lantern"))?;

    fs::create_dir(folder.join("balances"))?;
    // The versions that are fetched and compiled already.
    fs::copy(root.join("Cargo.lock"), folder.join("balances/Cargo.lock"))?;
    let target =
        target::profile_dir()?.parent().context("a profile lies in cargo's target folder")?.to_owned();

    let path = std::env::var("PATH").unwrap_or_default();
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .current_dir(folder)
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("CARGO_TARGET_DIR", &target)
            .stdin(Stdio::null());
        Ok(command)
    };
    // The second page goes on where the first ends, in another shell.
    for page in ["README.md", "docs/verifying.md"] {
        let items = page::items(&fs::read_to_string(root.join(page))?);
        ensure!(items.len() > 5, "{page} shows only {items:?}");
        page::follow(&items, folder, &shell)?;
    }
    Ok(())
}

// A setting is copied from the page before it is understood.
#[test]
fn the_configurations_page_s_example_is_accepted() -> Result<()> {
    let root = target::tests_dir().parent().context("the tests lie in the workspace")?;
    let page = fs::read_to_string(root.join("docs/configuration.md"))?;
    let example: String = page
        .lines()
        .skip_while(|line| !line.starts_with("    "))
        .take_while(|line| line.is_empty() || line.starts_with("    "))
        .map(|line| line.trim_start().to_owned() + "\n")
        .collect();
    ensure!(example.contains("[kafka]"), "docs/configuration.md does not begin with an example");
    let file = tempfile::NamedTempFile::with_suffix(".toml")?;
    fs::write(&file, &example)?;
    let mut command = Command::new(site::binary()?);
    command.arg("--config").arg(file.path()).args(["config", "check"]);
    // As the page has it.
    let output = command.env("LANTERN_KAFKA_SASL_PASSWORD", "hunter2").output()?;
    ensure!(!String::from_utf8_lossy(&output.stdout).contains("hunter2"), "{}", transcript(&output));
    ensure!(output.status.success(), "{example}\n{}", transcript(&output));
    Ok(())
}

// Whoever asks before a start must be told all that the start would fail by, and see what is in force besides.
#[test]
fn config_check_finds_what_a_start_would_fail_by_and_shows_what_is_in_force() -> Result<()> {
    let dir = TempDir::with_prefix("lantern-config-")?;
    let checked = |file: &str, environment: &[(&str, &str)], json: bool| -> Result<(bool, String)> {
        fs::write(dir.path().join("lantern.toml"), file)?;
        let mut command = Command::new(site::binary()?);
        command.args(["config", "check"]).args(json.then_some("--json"));
        let output = command.current_dir(dir.path()).envs(environment.iter().copied()).output()?;
        Ok((output.status.success(), transcript(&output)))
    };
    let check = |file: &str, environment: &[(&str, &str)], is_right: bool, words: &[&str]| -> Result<()> {
        for json in [false, true] {
            let (success, said) = checked(file, environment, json)?;
            ensure!(success == is_right, "{file}: {said}");
            ensure!(json || words.iter().all(|word| said.contains(word)), "it should say {words:?}: {said}");
        }
        Ok(())
    };
    check(
        "",
        &[],
        true,
        &["lantern.toml, environment", "embedded broker", "[limits]\n", "event_ms_max = 1000"],
    )?;
    check("", &[("LANTERN_LIMITS_EVENT_MS_MAX", "200")], true, &["event_ms_max = 200"])?;
    let secret = "[kafka]\nbootstrap.servers = 'localhost:9'\nsasl.password = 'hunter2'\nlinger.ms = 7";
    check(secret, &[], true, &["\"sasl.password\" = \"(not shown)\"", "\"linger.ms\" = \"7\""])?;
    let unknown = "[kafka]\nbootstrap.servers = 'localhost:9'\nsecurty.protocol = 'ssl'";
    check(unknown, &[], false, &["lantern.toml: line 3", "Did you mean `security.protocol`?"])?;
    let fixed = "[kafka]\nisolation.level = 'read_uncommitted'";
    check(fixed, &[], false, &["line 2", "`isolation.level` is \"read_uncommitted\", but Lantern needs"])?;
    let name = "LANTERN_LIMIT_EVENT_MS_MAX";
    check("", &[(name, "1")], false, &[name, "Did you mean `LANTERN_LIMITS_EVENT_MS_MAX`?"])?;
    // What is wrong only together, or only here.
    let missing =
        "[kafka]\nbootstrap.servers = 'localhost:9'\nsecurity.protocol = 'ssl'\nssl.ca.location = '/nowhere'";
    check(missing, &[], false, &["ssl.ca.location"])?;
    check("[broker]\nlisten = '0.0.0.0:9092'", &[], false, &["0.0.0.0:9092", "`lantern broker user NAME`"])?;
    check("[broker]\ntls_key = 'key.pem'", &[], false, &["broker.tls_certificate and broker.tls_key"])?;
    // A start is refused by the same words.
    let mut run = Command::new(site::binary()?);
    fs::write(dir.path().join("lantern.toml"), unknown)?;
    let said = transcript(&run.arg("run").current_dir(dir.path()).output()?);
    ensure!(said.contains("exit status: 1") && said.contains("Did you mean `security.protocol`?"), "{said}");
    Ok(())
}
