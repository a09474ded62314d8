//! `lantern token`

use super::{Context, output};
use crate::catalog::{Catalog, Scope};
use anyhow::bail;
use std::process::ExitCode;

/// Make, list and revoke the tokens by which programs ask over HTTP from elsewhere.
///
/// They count at once, also for a host that runs. Only a hash of each is kept: one that is lost is revoked, and another
/// made.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lantern token create --scope write --note \"the till\"
  lantern token list
  lantern token revoke 5c1f08aa")]
pub struct Token {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a token, and print it this once.
    Create {
        /// What it allows: read; write, which is to append events and send commands too; or admin, which is everything.
        #[arg(long, default_value_t = Scope::Read)]
        scope: Scope,
        /// What it is for, for the list.
        #[arg(long, default_value = "", value_parser = note)]
        note: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show which tokens there are.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a token useless.
    Revoke {
        /// Its id: what stands between the two underscores, and in the list.
        id: String,
    },
}

fn note(text: &str) -> Result<String, String> {
    if text.len() > 200 || text.chars().any(char::is_control) {
        return Err("a note is a line of at most 200 bytes".into());
    }
    Ok(text.to_owned())
}

impl Token {
    /// Changes or prints the catalog's tokens.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        context.data.create(context.data.root())?;
        let catalog = Catalog::open(&context.data.catalog())?;
        match self.action {
            Action::Create { scope, note, json } => {
                let created = jiff::Timestamp::now().round(jiff::Unit::Second)?.to_string();
                let token = catalog.create_token(scope, &note, &created)?;
                if json {
                    output::json(&serde_json::json!({ "token": token, "scope": scope }))?;
                } else {
                    output::line(&token)?;
                    output::remark(
                        "it is shown this once, and is sent as `Authorization: Bearer …`; commands take it from LANTERN_TOKEN",
                    );
                }
            }
            Action::List { json } => {
                let tokens = catalog.tokens()?;
                if json {
                    output::json(&tokens)?;
                } else {
                    let mut table = output::table(&["id", "scope", "created", "note"]);
                    for token in tokens {
                        table.add_row([token.id, token.scope.to_string(), token.created, token.note]);
                    }
                    output::line(&table.to_string())?;
                }
            }
            Action::Revoke { id } => {
                if !catalog.revoke_token(&id)? {
                    bail!("there is no token {id:?}: `lantern token list` shows which there are");
                }
                output::line(&format!("revoked {id}"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
