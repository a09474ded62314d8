//! Pages of the documentation, read and followed as a person does.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::site::transcript;

/// Stands in a page for what differs from run to run.
const ANYTHING: char = '…';
/// What begins a comment, in the languages whose files are shown.
const COMMENTS: [&str; 4] = ["// ", "# ", "-- ", ";; "];

/// What a page has its reader do.
#[derive(Debug, PartialEq)]
pub enum Item {
    /// A command as it is typed, and what it prints on standard output.
    Step {
        /// What is typed.
        command: String,
        /// What is shown as printed; nothing if the page shows nothing.
        output: String,
    },
    /// A file that is written.
    File {
        /// Where, from the folder in which the page begins.
        path: String,
        /// What.
        text: String,
    },
}

/// What a page has its reader do, in its order: the commands of ```` ```console ```` blocks, and the files of other blocks whose
/// first line is a comment with a path.
#[must_use]
pub fn items(page: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if language == "console" {
            items.extend(steps(&block));
        } else if let Some(path) = block.first().and_then(|first| path(first)) {
            let text = block.iter().map(|line| format!("{line}\n")).collect();
            items.push(Item::File { path: path.to_owned(), text });
        }
    }
    items
}

/// The path in a comment, if it has nothing else.
fn path(line: &str) -> Option<&str> {
    let rest = COMMENTS.iter().find_map(|comment| line.strip_prefix(comment))?;
    ((rest.contains('/') || rest.ends_with(".toml")) && !rest.contains(' ')).then_some(rest)
}

/// Lines that begin with `$ ` are typed, those with `> ` continue them, all others are printed.
fn steps(block: &[&str]) -> Vec<Item> {
    let mut steps = Vec::new();
    for line in block {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Item::Step { command: command.to_owned(), output: String::new() });
        } else if let Some(Item::Step { command, output }) = steps.last_mut() {
            match line.strip_prefix("> ") {
                Some(more) if output.is_empty() => *command += &format!("\n{more}"),
                _ => *output += &format!("{line}\n"),
            }
        }
    }
    steps
}

/// What a reader has left running; it is ended with the page.
struct Background {
    child: Child,
    rest: Option<JoinHandle<String>>,
}

impl Background {
    /// Types a command, and waits until it says something on standard error: from then on it is there for others.
    fn start(mut command: Command) -> Result<Self> {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut said = BufReader::new(child.stderr.take().context("standard error is a pipe")?);
        let mut first = String::new();
        said.read_line(&mut first)?;
        let rest = std::thread::spawn(move || {
            // What is no text says nothing either.
            let _ = said.read_to_string(&mut first);
            first
        });
        Ok(Background { child, rest: Some(rest) })
    }

    /// Ends it as Ctrl-C does.
    fn end(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::INT)?;
        let status = self.child.wait()?;
        let said = self.rest.take().and_then(|rest| rest.join().ok()).unwrap_or_default();
        ensure!(status.success(), "what runs in the background ends with {status}: {said}");
        Ok(())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // After another error; it may be gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes the files, types the commands, and checks what they print. `shell` makes a shell of a script, in `folder`. What a page
/// has run with `&` runs until its end.
///
/// # Errors
///
/// Where a command fails, or prints something else.
pub fn follow(items: &[Item], folder: &Path, shell: &dyn Fn(&str) -> Result<Command>) -> Result<()> {
    // What was done to the shell itself, for all that follows.
    let mut before = String::new();
    let mut background = Vec::new();
    for item in items {
        let (command, expected) = match item {
            Item::Step { command, output } => (command, output),
            Item::File { path, text } => {
                let path = folder.join(path);
                fs::create_dir_all(path.parent().unwrap_or(folder))?;
                fs::write(&path, text).with_context(|| path.display().to_string())?;
                continue;
            }
        };
        if command.starts_with("export ") || command.starts_with("cd ") {
            before += &format!("{command} || exit\n");
            continue;
        }
        if let Some(command) = command.strip_suffix(" &") {
            background.push(Background::start(shell(&format!("{before}exec {command}"))?)?);
            continue;
        }
        let output = shell(&format!("{before}{command}"))?.output()?;
        ensure!(output.status.success(), "`{command}`: {}", transcript(&output));
        let printed = String::from_utf8_lossy(&output.stdout);
        ensure!(
            expected.is_empty() || fits(printed.trim_end(), expected.trim_end()),
            "`{command}` should print\n{expected}\nand it was {}",
            transcript(&output)
        );
    }
    background.into_iter().try_for_each(Background::end)
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

#[cfg(test)]
mod tests {
    use super::*;

    // The page must be read as a person reads it, or a test of it would prove nothing.
    #[test]
    fn a_page_s_commands_are_told_from_what_they_print_and_from_files() {
        let page = "text\n```console\n$ echo a |\n> cat\na\nb\n$ true\n```\nmore\n```rust\n// a/b.rs\nfn f() {}\n```\n\
                    ```rust\n// a comment\n```\n";
        let step =
            |command: &str, output: &str| Item::Step { command: command.into(), output: output.into() };
        let file = Item::File { path: "a/b.rs".into(), text: "// a/b.rs\nfn f() {}\n".into() };
        assert_eq!(items(page), [step("echo a |\ncat", "a\nb\n"), step("true", ""), file]);
        let check = |printed: &str, shown: &str, expected: bool| {
            assert_eq!(fits(printed, shown), expected, "{printed:?} as {shown:?}");
        };
        check("a 12 b", "a … b", true);
        check("a 12 b", "a …", true);
        check("a 12 b", "a … c", false);
        check("a 12 b", "a", false);
        check("", "", true);
    }
}
