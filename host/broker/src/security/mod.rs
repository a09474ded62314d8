//! Who may connect, and by which way.

pub(crate) mod credential;
pub(crate) mod inside;
pub(crate) mod sasl;
pub(crate) mod strangers;
mod tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;

pub use credential::{Credential, CredentialError};
pub use inside::{Inside, Login};
pub use tls::TlsError;

use crate::options::Options;
use sasl::Users;
use strangers::Strangers;

/// Why the broker does not listen as it was told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Whoever reaches the address could do everything.
    #[error(
        "the broker does not listen on {address}, which other machines reach, as long as nobody needs a password \
         there. Set broker.tls_certificate and broker.tls_key, and broker.users by `lantern broker user NAME`; or \
         listen on a loopback address such as 127.0.0.1:9092, which is reached through an SSH tunnel; or set \
         broker.allow_anonymous where only who may do everything reaches it"
    )]
    Open {
        /// The address.
        address: SocketAddr,
    },
    /// Whoever hears what is sent could read it, and write to it.
    #[error(
        "the broker does not listen on {address}, which other machines reach, without TLS: set \
         broker.tls_certificate and broker.tls_key to PEM files; or listen on a loopback address such as \
         127.0.0.1:9092, which is reached through an SSH tunnel"
    )]
    Unencrypted {
        /// The address.
        address: SocketAddr,
    },
    /// Two settings that exclude each other.
    #[error(
        "broker.users and broker.allow_anonymous contradict each other: where users are set, everybody needs a \
         password. Leave one of them out"
    )]
    Contradiction,
    /// A certificate without a key, or a key without a certificate.
    #[error("broker.tls_certificate and broker.tls_key belong together: set both, or neither")]
    Half,
    /// A name that clients could not connect to.
    #[error(
        "broker.advertise is {advertise:?}: write it as host:port, the way clients of other machines reach this one"
    )]
    Advertise {
        /// What was set.
        advertise: String,
    },
    /// The certificate or its key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No login for this machine's own clients.
    #[error(transparent)]
    Login(#[from] CredentialError),
}

/// What a listener asks of those who come.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) tls: Option<TlsDoor>,
    /// Without users nobody is asked.
    pub(crate) users: Option<Arc<Users>>,
    /// Where clients are told to connect, when it is not where they did.
    pub(crate) advertise: Option<(String, u16)>,
    pub(crate) strangers: Arc<Strangers>,
}

/// Accepts TLS; only its outline can be printed.
#[derive(Clone)]
pub(crate) struct TlsDoor(pub(crate) TlsAcceptor);

impl std::fmt::Debug for TlsDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsDoor")
    }
}

impl Door {
    /// What the options ask for, if they are safe where they listen.
    pub(crate) fn of(options: &Options) -> Result<Door, Error> {
        let address = options.listen;
        let is_private = is_loopback(address);
        let has_users = !options.users.is_empty();
        if has_users && options.allow_anonymous {
            return Err(Error::Contradiction);
        }
        let tls = match (&options.tls_certificate, &options.tls_key) {
            (Some(certificate), Some(key)) => Some(TlsDoor(tls::load(certificate, key)?)),
            (None, None) => None,
            _ => return Err(Error::Half),
        };
        if !is_private && !has_users && !options.allow_anonymous {
            return Err(Error::Open { address });
        }
        if !is_private && has_users && tls.is_none() {
            return Err(Error::Unencrypted { address });
        }
        let advertise = options.advertise.as_deref().map(endpoint).transpose()?;
        let users = has_users.then(|| Arc::new(Users::new(options.users.clone())));
        Ok(Door { tls, users, advertise, strangers: Arc::default() })
    }

    /// For those who share the broker's folder.
    pub(crate) fn inside(login: &Login) -> Result<Door, Error> {
        let users = BTreeMap::from([(login.user.clone(), Credential::of_random(&login.password)?)]);
        let users = Some(Arc::new(Users::new(users)));
        Ok(Door { tls: None, users, advertise: None, strangers: Arc::default() })
    }

    /// Whether a client of this machine gets in without a word.
    pub(crate) fn is_open(&self) -> bool {
        self.tls.is_none() && self.users.is_none()
    }
}

pub(crate) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn endpoint(text: &str) -> Result<(String, u16), Error> {
    let malformed = || Error::Advertise { advertise: text.to_owned() };
    let (host, port) = text.rsplit_once(':').ok_or_else(malformed)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(malformed)?;
    let is_name = !host.is_empty() && host.len() <= 255 && host.bytes().all(|byte| byte.is_ascii_graphic());
    match is_name && !host.contains('/') {
        true => Ok((host.to_owned(), port)),
        false => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // What other machines reach is open only where somebody said so.
    #[test]
    fn an_address_that_other_machines_reach_needs_tls_and_users() {
        let check = |listen: &str, configure: &dyn Fn(&mut Options), expected: Result<(), &str>| {
            let mut options = Options { listen: listen.parse().unwrap(), ..Options::default() };
            configure(&mut options);
            match (Door::of(&options), expected) {
                (Ok(_), Ok(())) => {}
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{listen}: {error}"),
                (got, expected) => panic!("{listen}: {got:?} instead of {expected:?}"),
            }
        };
        let alice = Credential::new("x").unwrap();
        let users = |options: &mut Options| {
            options.users.insert("alice".into(), alice.clone());
        };
        check("127.0.0.1:0", &|_| {}, Ok(()));
        check("[::1]:0", &|_| {}, Ok(()));
        check("127.0.0.1:0", &users, Ok(()));
        check("0.0.0.0:0", &|options| options.allow_anonymous = true, Ok(()));
        for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9092", "[::ffff:192.0.2.1]:9092"] {
            check(address, &|_| {}, Err("broker.allow_anonymous"));
            check(address, &users, Err("broker.tls_certificate"));
        }
        let both = |options: &mut Options| {
            users(options);
            options.allow_anonymous = true;
        };
        check("127.0.0.1:0", &both, Err("contradict"));
        check("127.0.0.1:0", &|options| options.tls_key = Some("key.pem".into()), Err("belong together"));
        for wrong in ["example.org", "example.org:0", ":9092", "kafka://example.org:9092", "a b:1"] {
            check("127.0.0.1:0", &|options| options.advertise = Some(wrong.into()), Err("host:port"));
        }
        check("127.0.0.1:0", &|options| options.advertise = Some("example.org:9092".into()), Ok(()));
    }

    // Whoever sets TLS up for the first time gets a file wrong, and has to be told which.
    #[test]
    fn files_that_are_missing_or_do_not_fit_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let make = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (one, other) = (make(), make());
        let certificate = write("certificate.pem", &one.cert.pem());
        let key = write("key.pem", &one.signing_key.serialize_pem());
        let foreign = write("foreign.pem", &other.signing_key.serialize_pem());
        let text = write("text.pem", "nothing of the kind");
        let absent = dir.path().join("absent.pem");
        assert!(tls::load(&certificate, &key).is_ok());
        let check = |certificate: &std::path::Path, key: &std::path::Path, parts: &[&str]| {
            let error = tls::load(certificate, key).err().unwrap().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        };
        check(&absent, &key, &["tls_certificate", "absent.pem", "No such file"]);
        check(&certificate, &absent, &["tls_key", "absent.pem", "No such file"]);
        check(&text, &key, &["tls_certificate", "text.pem", "BEGIN CERTIFICATE"]);
        check(&certificate, &text, &["tls_key", "text.pem", "BEGIN PRIVATE KEY"]);
        check(&key, &certificate, &["tls_certificate", "key.pem", "BEGIN CERTIFICATE"]);
        check(&certificate, &foreign, &["certificate.pem", "foreign.pem", "not of use together"]);
    }
}
