//! Programs of other languages: whether they are there, and running them.

use anyhow::{Context as _, bail};
use std::ffi::OsStr;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// A program that has to be installed.
pub(super) struct Program {
    /// As it is called.
    pub name: &'static str,
    /// What makes it say its version.
    pub version: &'static [&'static str],
    /// The first version that will do.
    pub at_least: (u32, u32),
    /// How it is installed.
    pub install: &'static str,
}

impl Program {
    /// Sees whether it is there, and new enough.
    ///
    /// # Errors
    /// When it is not; says how to install it.
    pub fn check(&self) -> anyhow::Result<()> {
        let Program { name, at_least: (major, minor), install, .. } = self;
        let output = match Command::new(name).args(self.version).stdin(Stdio::null()).output() {
            Ok(output) => output,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                bail!("`{name}` is not installed, or not on the PATH. {install}")
            }
            Err(error) => bail!("`{name}` cannot be started: {error}. {install}"),
        };
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        match version(&text) {
            _ if !output.status.success() => {
                bail!("`{name} {}` fails: {}. {install}", self.version.join(" "), text.trim())
            }
            // What says no version that is understood may well be right.
            Some(found) if found < self.at_least => {
                bail!(
                    "`{name}` is {}.{}, and {major}.{minor} or newer is needed. {install}",
                    found.0,
                    found.1
                )
            }
            _ => Ok(()),
        }
    }
}

/// The first two numbers of a version somewhere in a text.
fn version(text: &str) -> Option<(u32, u32)> {
    let words = text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    words.into_iter().find_map(|word| {
        let mut numbers = word.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    })
}

/// Runs a compiler; what it says goes to stderr as it is.
///
/// # Errors
/// When it cannot be started, or fails.
pub(super) fn compile(command: &mut Command, source: &Path) -> anyhow::Result<()> {
    let name = name(command);
    // stdout is for what `lantern build` itself says.
    let status = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("cannot start {name}"))?;
    if status.success() { Ok(()) } else { Err(does_not_compile(source, &name)) }
}

/// Runs a compiler that talks while all is well; only when it fails, what it said is shown.
///
/// # Errors
/// When it cannot be started, or fails.
pub(super) fn compile_quietly(command: &mut Command, source: &Path) -> anyhow::Result<()> {
    let name = name(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {name}"))?;
    if output.status.success() {
        return Ok(());
    }
    let mut stderr = std::io::stderr().lock();
    stderr.write_all(&output.stdout)?;
    stderr.write_all(&output.stderr)?;
    Err(does_not_compile(source, &name))
}

fn does_not_compile(source: &Path, name: &str) -> anyhow::Error {
    let source = source.file_name().unwrap_or(source.as_os_str()).display();
    anyhow::anyhow!("{source} does not compile; the messages of {name} are above")
}

fn name(command: &Command) -> String {
    let program = Path::new(command.get_program());
    program.file_name().unwrap_or(OsStr::new("the compiler")).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Each of them says it in its own way.
    #[test]
    fn versions_are_read_as_programs_say_them() {
        let check = |text: &str, expected| assert_eq!(version(text), expected, "{text}");
        check("go version go1.26.8 linux/amd64", Some((1, 26)));
        check("Python 3.11.7", Some((3, 11)));
        check("v20.20.2", Some((20, 20)));
        check("Debian clang version 14.0.6\nTarget: x86_64-pc-linux-gnu", Some((14, 0)));
        check("0.17.0-dev.1", Some((0, 17)));
        check("go version devel", None);
    }

    // Whoever lacks a tool has to learn which one, and where it comes from.
    #[test]
    fn a_program_that_is_missing_or_old_is_named_with_how_to_install_it() {
        let check = |name: &'static str, args: &'static [&'static str], at_least, parts: &[&str]| {
            let program = Program { name, version: args, at_least, install: "Get it at example.org" };
            let error = program.check().unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
            assert!(error.ends_with("Get it at example.org"), "{error}");
        };
        check("lantern-no-such-program", &[], (1, 0), &["`lantern-no-such-program` is not installed"]);
        check("echo", &["1.2.3"], (1, 3), &["`echo` is 1.2, and 1.3 or newer"]);
        check("sh", &["-c", "echo broken >&2; exit 3"], (1, 0), &["fails", "broken"]);
        let good = Program { name: "echo", version: &["v1.3"], at_least: (1, 3), install: "" };
        good.check().unwrap();
    }
}
