//! `lantern broker user`

use super::output;
use anyhow::{Context as _, bail, ensure};
use console::Term;
use lantern_broker::Credential;
use std::io::BufRead;
use std::process::ExitCode;

/// More is no password.
const LINE_BYTES_MAX: u64 = 4_096;

/// Make what is kept of a user's password, for `[broker.users]` in lantern.toml.
///
/// The password is asked for; where the input is no terminal, it is its first line. What is printed is salted and cannot be
/// logged in with, but weak passwords can be guessed from it. Users are read when Lantern starts.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lantern broker user alice
  lantern broker user alice < password.txt >> users.toml")]
pub struct User {
    /// The user's name.
    #[arg(value_parser = name)]
    name: String,
}

fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
        return Err("a name is a line of 1 to 255 bytes".into());
    }
    Ok(text.to_owned())
}

impl User {
    /// Prints the line for the configuration.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let credential = Credential::new(&password(&self.name)?)?;
        output::remark("add this under [broker.users] in lantern.toml, and start Lantern again");
        output::line(&entry(&self.name, &credential))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn password(name: &str) -> anyhow::Result<String> {
    let terminal = Term::stderr();
    if !std::io::IsTerminal::is_terminal(&std::io::stdin()) || !terminal.is_term() {
        return line(std::io::stdin().lock());
    }
    let ask = |what: &str| -> anyhow::Result<String> {
        terminal.write_str(what)?;
        terminal.read_secure_line().context("cannot read the password from the terminal")
    };
    let password = ask(&format!("password for {name}: "))?;
    if ask("once more: ")? != password {
        bail!("the two passwords differ");
    }
    Ok(password)
}

/// The first line.
fn line(input: impl BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    input.take(LINE_BYTES_MAX).read_line(&mut line).context("cannot read the password from the input")?;
    let password = line.trim_end_matches(['\r', '\n']);
    ensure!(!password.is_empty(), "there is no password in the input's first line");
    Ok(password.to_owned())
}

/// A line of TOML.
fn entry(name: &str, credential: &Credential) -> String {
    let is_bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let key = if is_bare { name.to_owned() } else { toml::Value::from(name).to_string() };
    format!("{key} = \"{credential}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// What is printed has to be what the configuration takes, whatever the name.
    #[test]
    fn the_line_is_one_of_the_configuration() {
        for name in ["alice", "data-team_2", "a b", "o'neil", "x.y", "\"quoted\"", "ä"] {
            let credential = Credential::new("secret").unwrap();
            let file = format!("[broker.users]\n{}\n", entry(name, &credential));
            let config: Config = toml::from_str(&file).unwrap();
            assert!(config.broker.users.get(name) == Some(&credential), "{file}");
        }
        let wrong = toml::from_str::<Config>("[broker.users]\nalice = 'secret'").unwrap_err().to_string();
        assert!(wrong.contains("lantern broker user"), "{wrong}");
    }

    #[test]
    fn a_password_is_the_first_line_of_the_input() {
        assert_eq!(line(&b"secret \r\nmore"[..]).unwrap(), "secret ");
        assert_eq!(line(&b"secret"[..]).unwrap(), "secret");
        assert!(line(&b"\nsecret"[..]).is_err());
        assert!(line(&[0xff, b'\n'][..]).is_err());
    }
}
