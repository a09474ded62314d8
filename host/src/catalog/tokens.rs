//! Access tokens: who may ask over HTTP from elsewhere.
//!
//! A token is `lantern_<id>_<secret>`. The secret has 256 random bits, so that a plain SHA-256 of it cannot be turned
//! back, and is all that is kept; it is compared in constant time.

use super::{Catalog, Error};
use rusqlite::OptionalExtension as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use subtle::ConstantTimeEq as _;

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS tokens (        -- who may ask over HTTP
        id TEXT PRIMARY KEY,
        hash BLOB NOT NULL,                    -- SHA-256 of the secret
        scope TEXT NOT NULL,
        note TEXT NOT NULL,
        created TEXT NOT NULL
    );";

/// What every token begins with, so that it is known for one where it turns up.
const PREFIX: &str = "lantern_";

/// What a token allows. Each allows what those before it do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// To look and to query.
    Read,
    /// To append events and to send commands.
    Write,
    /// To deploy, and everything else.
    Admin,
}

impl Scope {
    const ALL: [Scope; 3] = [Scope::Read, Scope::Write, Scope::Admin];

    fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Scope::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is no scope: it is read, write or admin"))
    }
}

/// A token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Token {
    /// What it is revoked by.
    pub id: String,
    /// What it allows.
    pub scope: Scope,
    /// What it is for.
    pub note: String,
    /// When it was made, as RFC 3339.
    pub created: String,
}

impl Catalog {
    /// Makes a token; answers it, which nobody can do again.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn create_token(&self, scope: Scope, note: &str, created: &str) -> Result<String, Error> {
        let (id, secret) = (hex(&rand::random::<[u8; 4]>()), hex(&rand::random::<[u8; 32]>()));
        self.with(|connection| {
            connection.prepare_cached("INSERT INTO tokens VALUES (?1, ?2, ?3, ?4, ?5)")?.execute((
                &id,
                hash(&secret),
                scope.as_str(),
                note,
                created,
            ))
        })?;
        Ok(format!("{PREFIX}{id}_{secret}"))
    }

    /// All tokens, the oldest first.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn tokens(&self) -> Result<Vec<Token>, Error> {
        self.with(|connection| {
            connection
                .prepare_cached("SELECT id, scope, note, created FROM tokens ORDER BY created, id")?
                .query_map([], |row| {
                    let scope: String = row.get(1)?;
                    // A scope that this Lantern does not know allows the least.
                    let scope = scope.parse().unwrap_or(Scope::Read);
                    Ok(Token { id: row.get(0)?, scope, note: row.get(2)?, created: row.get(3)? })
                })?
                .collect()
        })
    }

    /// Makes a token useless; answers whether there was one of this id.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn revoke_token(&self, id: &str) -> Result<bool, Error> {
        let deleted = self.with(|connection| connection.execute("DELETE FROM tokens WHERE id = ?1", [id]))?;
        Ok(deleted > 0)
    }

    /// What a token allows; `None` where there is none like it.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn check_token(&self, token: &str) -> Result<Option<Scope>, Error> {
        let Some((id, secret)) = token.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')) else {
            return Ok(None);
        };
        let kept = self.with(|connection| {
            connection
                .prepare_cached("SELECT hash, scope FROM tokens WHERE id = ?1")?
                .query_row([id], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?)))
                .optional()
        })?;
        let Some((kept, scope)) = kept else { return Ok(None) };
        let is_right: bool = hash(secret).ct_eq(&kept).into();
        Ok(if is_right { scope.parse().ok() } else { None })
    }
}

fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Whoever reads the catalog, or a backup of it, must not be able to ask by what is in it.
    #[test]
    fn a_token_is_known_until_it_is_revoked_and_is_not_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lantern.db");
        let catalog = Catalog::open(&path).unwrap();
        let token = catalog.create_token(Scope::Write, "the till", "2026-01-01T00:00:00Z").unwrap();
        assert_eq!(catalog.check_token(&token).unwrap(), Some(Scope::Write));
        let kept = catalog.tokens().unwrap();
        assert_eq!((kept.len(), kept[0].scope, kept[0].note.as_str()), (1, Scope::Write, "the till"));

        let secret = token.rsplit('_').next().unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(16).any(|window| window == &secret.as_bytes()[..16]));
        }
        let id = &kept[0].id;
        for wrong in [
            String::new(),
            "lantern_".into(),
            format!("lantern_{id}_"),
            format!("lantern_{id}"),
            token[..token.len() - 1].to_owned(),
            format!("{token}0"),
            token.to_uppercase(),
            format!("lantern_00000000_{secret}"),
        ] {
            assert_eq!(catalog.check_token(&wrong).unwrap(), None, "{wrong}");
        }
        assert!(catalog.revoke_token(id).unwrap());
        assert!(!catalog.revoke_token(id).unwrap());
        assert_eq!(catalog.check_token(&token).unwrap(), None);
    }
}
