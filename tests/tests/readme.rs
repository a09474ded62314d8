//! The README is true: its plugin compiles, its commands run in their order, and print what it shows.

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
    let output =
        Command::new(site::binary()?).arg("--config").arg(file.path()).args(["config", "check"]).output()?;
    ensure!(output.status.success(), "{example}\n{}", transcript(&output));
    Ok(())
}
