//! The README is true: its plugin compiles, its commands run in their order, and print what it shows.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lantern_tests::site::{self, transcript};
use lantern_tests::target;
use tempfile::TempDir;

/// Stands in the README for what differs from run to run.
const ANYTHING: char = '…';

/// A command as it is typed, and what it prints on standard output.
#[derive(Debug, PartialEq)]
struct Step {
    command: String,
    output: String,
}

// It is what people try first. What fails there is never tried again.
#[test]
fn the_readme_s_examples_do_what_it_says() -> Result<()> {
    let root = target::tests_dir().parent().context("the tests lie in the workspace")?;
    let readme = fs::read_to_string(root.join("README.md"))?;
    // Outside of the workspace, as a user's folder is: cargo refuses a package inside of it that is no member.
    let dir = TempDir::with_prefix("lantern-readme-")?;
    let folder = dir.path();
    let bin = folder.join("bin");
    fs::create_dir(&bin)?;
    symlink(site::binary()?, bin.join("lantern"))?;
    symlink(root, folder.join("lantern"))?;

    for (language, path) in [("rust", "balances/src/lib.rs"), ("toml", "balances/Cargo.toml")] {
        let block = blocks(&readme, language).find(|block| block.contains(path));
        let block = block.with_context(|| format!("the README has no {path}"))?;
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        fs::write(&path, block)?;
    }
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
        command
    };
    // The second page goes on where the first ends, in another shell.
    for page in ["README.md", "docs/verifying.md"] {
        let text = fs::read_to_string(root.join(page))?;
        let steps: Vec<Step> = blocks(&text, "console").flat_map(|block| steps(&block)).collect();
        ensure!(steps.len() > 5, "{page} shows only {steps:?}");
        follow(&steps, &shell)?;
    }
    Ok(())
}

/// Types the commands, and checks what they print.
fn follow(steps: &[Step], shell: &dyn Fn(&str) -> Command) -> Result<()> {
    // Variables that were set in the shell for all that follows.
    let mut exports = String::new();
    for Step { command, output: expected } in steps {
        if command.starts_with("export ") {
            exports += &format!("{command}\n");
            continue;
        }
        let output = shell(&format!("{exports}{command}")).output()?;
        ensure!(output.status.success(), "`{command}`: {}", transcript(&output));
        let printed = String::from_utf8_lossy(&output.stdout);
        ensure!(
            expected.is_empty() || fits(printed.trim_end(), expected.trim_end()),
            "`{command}` should print\n{expected}\nand it was {}",
            transcript(&output)
        );
    }
    Ok(())
}

/// The contents of the fenced blocks in a language.
fn blocks<'t>(page: &'t str, language: &str) -> impl Iterator<Item = String> + use<'t> {
    let start = format!("```{language}");
    let mut lines = page.lines();
    std::iter::from_fn(move || {
        lines.by_ref().find(|line| **line == start)?;
        Some(lines.by_ref().take_while(|line| *line != "```").map(|line| line.to_owned() + "\n").collect())
    })
}

/// Lines that begin with `$ ` are typed, those with `> ` continue them, all others are printed.
fn steps(block: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), output: String::new() });
        } else if let Some(step) = steps.last_mut() {
            match line.strip_prefix("> ") {
                Some(more) if step.output.is_empty() => step.command += &format!("\n{more}"),
                _ => step.output += &format!("{line}\n"),
            }
        }
    }
    steps
}

/// Whether a text is as shown, where [`ANYTHING`] stands for any text.
fn fits(printed: &str, shown: &str) -> bool {
    let mut parts = shown.split(ANYTHING);
    let Some(mut rest) = printed.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
        last = Some(part);
    }
    rest.is_empty() || last.is_some_and(str::is_empty)
}

// The test reads the page as a person does, or it would prove nothing.
#[test]
fn a_page_s_commands_are_told_from_what_they_print() {
    let page = "text\n```console\n$ echo a |\n> cat\na\nb\n$ true\n```\nmore\n";
    let found: Vec<Step> = blocks(page, "console").flat_map(|block| steps(&block)).collect();
    let step = |command: &str, output: &str| Step { command: command.into(), output: output.into() };
    assert_eq!(found, [step("echo a |\ncat", "a\nb\n"), step("true", "")]);
    let check = |printed: &str, shown: &str, expected: bool| {
        assert_eq!(fits(printed, shown), expected, "{printed:?} as {shown:?}");
    };
    check("a 12 b", "a … b", true);
    check("a 12 b", "a …", true);
    check("a 12 b", "a … c", false);
    check("a 12 b", "a", false);
    check("", "", true);
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
