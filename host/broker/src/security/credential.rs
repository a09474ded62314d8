//! What is kept of a password: nothing that it could be read from, and enough to check it by.
//!
//! The text form is that of PostgreSQL's `pg_authid`, one word for each mechanism:
//! `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`. The keys are those of
//! [RFC 5802](https://www.rfc-editor.org/rfc/rfc5802#section-3).

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};
use serde::{Deserialize, Serialize, Serializer};
use subtle::ConstantTimeEq;

/// As many as Kafka allows: a credential that is guessed at costs the most, and moves to Kafka.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(16_384).unwrap();
/// Clients refuse fewer (Java's does), as RFC 7677 has it.
const ITERATIONS_MIN: NonZeroU32 = NonZeroU32::new(4_096).unwrap();
/// More would let a login cost seconds.
const ITERATIONS_MAX: u32 = 1_000_000;
const SALT_BYTES: usize = 16;
const SALT_BYTES_MAX: usize = 1_024;
/// A password is hashed before it is known to be right.
pub(crate) const PASSWORD_BYTES_MAX: usize = 1_024;

/// Why there is no credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// An empty password.
    #[error("the password is empty")]
    Empty,
    /// A password that no login would be tried with.
    #[error("the password is longer than {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers for a salt")]
    Random,
    /// A text that is no credential.
    #[error(
        "this is no credential, which is what `lantern broker user NAME` prints (SCRAM-SHA-256$…, \
         SCRAM-SHA-512$…); passwords are not kept"
    )]
    Malformed,
    /// Too little or too much work for one guess.
    #[error("the credential's iterations are not between {ITERATIONS_MIN} and {ITERATIONS_MAX}")]
    Iterations,
}

/// The hash of a SCRAM mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    pub(crate) const ALL: [Hash; 2] = [Hash::Sha256, Hash::Sha512];

    /// The name of the mechanism.
    pub(crate) fn mechanism(self) -> &'static str {
        match self {
            Hash::Sha256 => "SCRAM-SHA-256",
            Hash::Sha512 => "SCRAM-SHA-512",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Hash::Sha256 => digest::SHA256_OUTPUT_LEN,
            Hash::Sha512 => digest::SHA512_OUTPUT_LEN,
        }
    }

    /// `H` of the RFC.
    pub(crate) fn digest(self, bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, bytes).as_ref().to_vec()
    }

    /// `HMAC` of the RFC.
    pub(crate) fn sign(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), text).as_ref().to_vec()
    }

    /// `Hi` of the RFC.
    fn stretch(self, password: &str, salt: &[u8], iterations: NonZeroU32) -> Vec<u8> {
        let algorithm = match self {
            Hash::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Hash::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        };
        let mut salted = vec![0; self.bytes()];
        pbkdf2::derive(algorithm, iterations, salt, password.as_bytes(), &mut salted);
        salted
    }
}

/// What is kept for one mechanism.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) hash: Hash,
    pub(crate) iterations: NonZeroU32,
    pub(crate) salt: Vec<u8>,
    /// The hash of what the client proves to have.
    pub(crate) stored: Vec<u8>,
    /// What the broker proves to have.
    pub(crate) server: Vec<u8>,
}

impl Keys {
    fn of(password: &str, hash: Hash, salt: Vec<u8>, iterations: NonZeroU32) -> Keys {
        let salted = hash.stretch(password, &salt, iterations);
        let stored = hash.digest(&hash.sign(&salted, b"Client Key"));
        let server = hash.sign(&salted, b"Server Key");
        Keys { hash, iterations, salt, stored, server }
    }

    /// For a name that nobody has: always the same for it, and no password's. Without it a stranger would learn
    /// from the answer which names there are.
    pub(crate) fn of_nobody(name: &str, hash: Hash, secret: &[u8]) -> Keys {
        let salt = hash.sign(secret, name.as_bytes())[..SALT_BYTES].to_vec();
        let stored = hash.sign(secret, &salt);
        Keys { hash, iterations: ITERATIONS, salt, server: stored.clone(), stored }
    }

    pub(crate) fn is_of(&self, password: &str) -> bool {
        let tried = Keys::of(password, self.hash, self.salt.clone(), self.iterations);
        tried.stored.ct_eq(&self.stored).into()
    }
}

/// What is kept of a user's password, for both SCRAM mechanisms; PLAIN is checked against it too.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Credential {
    /// One at least, and one for each mechanism at most.
    keys: Vec<Keys>,
}

impl Credential {
    /// Makes the credential of a password, with a salt of its own. The password's bytes count as they are, as in
    /// Kafka: no two spellings of a letter are taken for the same.
    ///
    /// # Errors
    /// When the password is empty or too long, or the system gives no random numbers.
    pub fn new(password: &str) -> Result<Credential, CredentialError> {
        match password.len() {
            0 => return Err(CredentialError::Empty),
            1..=PASSWORD_BYTES_MAX => {}
            _ => return Err(CredentialError::TooLong),
        }
        Credential::made(password, ITERATIONS)
    }

    /// For a password that is random and long: nobody guesses at it, so that a login may be cheap.
    pub(crate) fn of_random(password: &str) -> Result<Credential, CredentialError> {
        Credential::made(password, ITERATIONS_MIN)
    }

    fn made(password: &str, iterations: NonZeroU32) -> Result<Credential, CredentialError> {
        let keys = Hash::ALL.map(|hash| Ok(Keys::of(password, hash, random(SALT_BYTES)?, iterations)));
        let keys = keys.into_iter().collect::<Result<_, _>>()?;
        Ok(Credential { keys })
    }

    /// The keys for a mechanism.
    pub(crate) fn keys(&self, hash: Hash) -> Option<&Keys> {
        self.keys.iter().find(|keys| keys.hash == hash)
    }

    /// The keys that a password in plain text is checked against.
    pub(crate) fn first(&self) -> Option<&Keys> {
        self.keys.first()
    }
}

/// So many bytes that nobody can guess.
pub(crate) fn random(bytes: usize) -> Result<Vec<u8>, CredentialError> {
    let mut random = vec![0; bytes];
    SystemRandom::new().fill(&mut random).map_err(|_| CredentialError::Random)?;
    Ok(random)
}

/// A text of so many random bytes, without a comma.
pub(crate) fn random_text(bytes: usize) -> Result<String, CredentialError> {
    random(bytes).map(|random| BASE64.encode(random))
}

/// Options are shown, and whoever has this may guess at the password.
impl Serialize for Credential {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(not shown)")
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Options are printed and logged.
        f.write_str("Credential(…)")
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, keys) in self.keys.iter().enumerate() {
            let [salt, stored, server] =
                [&keys.salt, &keys.stored, &keys.server].map(|bytes| BASE64.encode(bytes));
            let space = if at == 0 { "" } else { " " };
            let mechanism = keys.hash.mechanism();
            write!(f, "{space}{mechanism}${}:{salt}${stored}:{server}", keys.iterations)?;
        }
        Ok(())
    }
}

impl FromStr for Credential {
    type Err = CredentialError;

    fn from_str(text: &str) -> Result<Credential, CredentialError> {
        let mut keys: Vec<Keys> = Vec::new();
        for word in text.split_whitespace() {
            let one = parse(word)?;
            if keys.iter().any(|keys| keys.hash == one.hash) {
                return Err(CredentialError::Malformed);
            }
            keys.push(one);
        }
        match keys.is_empty() {
            true => Err(CredentialError::Malformed),
            false => Ok(Credential { keys }),
        }
    }
}

impl TryFrom<String> for Credential {
    type Error = CredentialError;

    fn try_from(text: String) -> Result<Credential, CredentialError> {
        text.parse()
    }
}

fn parse(word: &str) -> Result<Keys, CredentialError> {
    let mut parts = word.split(['$', ':']);
    let mut part = || parts.next().ok_or(CredentialError::Malformed);
    let mechanism = part()?;
    let hash = Hash::ALL.into_iter().find(|hash| hash.mechanism() == mechanism);
    let hash = hash.ok_or(CredentialError::Malformed)?;
    let iterations = part()?.parse::<NonZeroU32>().map_err(|_| CredentialError::Malformed)?;
    let mut bytes = || BASE64.decode(part()?).map_err(|_| CredentialError::Malformed);
    let (salt, stored, server) = (bytes()?, bytes()?, bytes()?);
    let fits = (1..=SALT_BYTES_MAX).contains(&salt.len())
        && stored.len() == hash.bytes()
        && server.len() == hash.bytes()
        && parts.next().is_none();
    if !fits {
        return Err(CredentialError::Malformed);
    }
    if !(ITERATIONS_MIN.get()..=ITERATIONS_MAX).contains(&iterations.get()) {
        return Err(CredentialError::Iterations);
    }
    Ok(Keys { hash, iterations, salt, stored, server })
}

#[cfg(test)]
mod tests {
    use super::*;

    // A credential stands in a file for years; what it was made of must open it, and nothing else.
    #[test]
    fn a_credential_survives_its_text_and_knows_its_password() {
        let credential = Credential::new("correct horse").unwrap();
        let text = credential.to_string();
        assert!(!text.contains("horse"), "{text}");
        let read: Credential = text.parse().unwrap();
        assert!(read == credential);
        for hash in Hash::ALL {
            let keys = read.keys(hash).unwrap();
            assert!(keys.is_of("correct horse"));
            assert!(!keys.is_of("correct horse "));
        }
        assert_ne!(Credential::new("correct horse").unwrap().to_string(), text, "each has a salt of its own");
        assert!(!format!("{credential:?}").contains("SHA"), "what is logged shows nothing");
    }

    // The example of RFC 7677: another implementation made these keys.
    #[test]
    fn keys_are_those_of_the_standard() {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let iterations = NonZeroU32::new(4_096).unwrap();
        let keys = Keys::of("pencil", Hash::Sha256, salt, iterations);
        assert_eq!(BASE64.encode(&keys.stored), "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
        assert_eq!(BASE64.encode(&keys.server), "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
    }

    // Whoever writes a password where a credential belongs must be told so, not let in by nothing.
    #[test]
    fn what_is_no_credential_is_refused() {
        let check = |text: &str, expected: CredentialError| {
            assert_eq!(text.parse::<Credential>().unwrap_err(), expected, "{text}");
        };
        let good = Credential::new("x").unwrap().to_string();
        let first = good.split(' ').next().unwrap();
        check("", CredentialError::Malformed);
        check("secret", CredentialError::Malformed);
        check(&first[..first.len() - 8], CredentialError::Malformed);
        check(&format!("{first}:AAAA"), CredentialError::Malformed);
        check(&format!("{first} {first}"), CredentialError::Malformed);
        check(&first.replace("256", "1"), CredentialError::Malformed);
        check(&first.replace("$16384:", "$1:"), CredentialError::Iterations);
        check(&first.replace("$16384:", "$4000000000:"), CredentialError::Iterations);
        assert_eq!(Credential::new("").unwrap_err(), CredentialError::Empty);
        assert_eq!(Credential::new(&"x".repeat(2_000)).unwrap_err(), CredentialError::TooLong);
    }
}
