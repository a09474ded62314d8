//! The way in for the process that embeds the broker, and for others of its user.
//!
//! Where the broker asks for TLS or a password, those who share its folder would need a password in plain text
//! and trust in the certificate. For them there is a listener of its own on loopback, and a login that is made
//! anew at each start and stands in a file that only the folder's owner can read.

use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::credential::{self, CredentialError};

/// In the broker's folder, while it runs and needs one.
const FILE: &str = "login.json";
const USER: &str = "owner";
const PASSWORD_BYTES: usize = 32;

/// Where and as whom those connect who share the broker's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    /// The address, on this machine.
    pub address: SocketAddr,
    /// As whom; nobody is asked where the broker is open. The mechanism is SCRAM-SHA-256, without TLS.
    pub login: Option<Login>,
}

/// A name and a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Inside {
    /// The way into the broker that runs on a folder, where it is not the open address that it was told.
    pub fn of(dir: &Path) -> Option<Inside> {
        let text = fs::read_to_string(dir.join(FILE)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Leaves it in the folder for [`Inside::of`].
    pub(crate) fn leave(&self, dir: &Path) -> std::io::Result<()> {
        Inside::forget(dir)?;
        let mut file: File = File::options().write(true).create_new(true).mode(0o600).open(dir.join(FILE))?;
        // A struct of texts always has a JSON form.
        file.write_all(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// Takes away what an earlier process left.
    pub(crate) fn forget(dir: &Path) -> std::io::Result<()> {
        match fs::remove_file(dir.join(FILE)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Login {
    pub(crate) fn new() -> Result<Login, CredentialError> {
        Ok(Login { user: USER.to_owned(), password: credential::random_text(PASSWORD_BYTES)? })
    }
}
