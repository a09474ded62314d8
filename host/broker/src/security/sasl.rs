//! Who a client is: the exchanges of SASL's mechanisms PLAIN ([RFC 4616](https://www.rfc-editor.org/rfc/rfc4616)),
//! SCRAM-SHA-256 and SCRAM-SHA-512 ([RFC 5802](https://www.rfc-editor.org/rfc/rfc5802)).

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use subtle::ConstantTimeEq;

use super::credential::{self, Credential, Hash, Keys, PASSWORD_BYTES_MAX};

const PLAIN: &str = "PLAIN";
const NONCE_BYTES: usize = 24;

/// Who may connect.
#[derive(Debug)]
pub(crate) struct Users {
    credentials: BTreeMap<String, Credential>,
    /// What salts of names that nobody has are made from. It follows from the credentials, so that it is the same
    /// after a restart, as real salts are.
    secret: Vec<u8>,
}

impl Users {
    pub(crate) fn new(credentials: BTreeMap<String, Credential>) -> Users {
        let texts: String = credentials.values().map(Credential::to_string).collect();
        Users { secret: Hash::Sha256.digest(texts.as_bytes()), credentials }
    }

    /// A user's keys for a mechanism, and whether there is such a user. For a stranger the same is done as for a
    /// user, and fails at the end.
    fn keys(&self, name: &str, hash: Hash) -> (Keys, bool) {
        match self.credentials.get(name).and_then(|credential| credential.keys(hash)) {
            Some(keys) => (keys.clone(), true),
            None => (Keys::of_nobody(name, hash, &self.secret), false),
        }
    }

    fn knows(&self, name: &str, password: &str) -> bool {
        let keys = self.credentials.get(name).and_then(Credential::first).cloned();
        match keys {
            Some(keys) => keys.is_of(password),
            None => {
                let _takes_as_long = Keys::of_nobody(name, Hash::Sha256, &self.secret).is_of(password);
                false
            }
        }
    }
}

/// Why somebody is not let in. The client is not told which it was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// As far as it is known.
    pub(crate) user: String,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The client is sent this, and has to answer.
    More(Vec<u8>),
    /// The client is this user, and is sent these last bytes.
    Done { user: String, last: Vec<u8> },
}

/// An exchange that has begun.
#[derive(Debug)]
pub(crate) struct Exchange {
    users: Arc<Users>,
    state: State,
}

#[derive(Debug)]
enum State {
    Plain,
    First(Hash),
    Final(Box<Challenge>),
    Over,
}

/// What the client's proof is about.
#[derive(Debug)]
struct Challenge {
    user: String,
    is_known: bool,
    hash: Hash,
    stored: Vec<u8>,
    server: Vec<u8>,
    /// The client's words about channels, which it repeats.
    channel: String,
    nonce: String,
    /// The first two messages, as the proof covers them.
    said: String,
}

/// The names of the mechanisms, the safest first.
pub(crate) fn mechanisms(is_private: bool) -> Vec<&'static str> {
    let scram = Hash::ALL.iter().rev().map(|hash| hash.mechanism());
    scram.chain(is_private.then_some(PLAIN)).collect()
}

impl Exchange {
    /// Begins, if there is such a mechanism. PLAIN sends the password, so it takes a connection that nobody reads.
    pub(crate) fn begin(users: &Arc<Users>, mechanism: &str, is_private: bool) -> Option<Exchange> {
        let state = match mechanism {
            PLAIN => is_private.then_some(State::Plain)?,
            _ => State::First(Hash::ALL.into_iter().find(|hash| hash.mechanism() == mechanism)?),
        };
        Some(Exchange { users: Arc::clone(users), state })
    }

    /// Takes the client's next message. After [`Step::Done`] and [`Refused`] nothing more is taken.
    pub(crate) fn step(&mut self, message: &[u8]) -> Result<Step, Refused> {
        let nobody = || Refused { user: String::new() };
        let state = std::mem::replace(&mut self.state, State::Over);
        let message = std::str::from_utf8(message).map_err(|_| nobody())?;
        match state {
            State::Plain => plain(&self.users, message),
            State::First(hash) => {
                let (challenge, answer) = challenge(&self.users, hash, message).ok_or_else(nobody)?;
                self.state = State::Final(Box::new(challenge));
                Ok(Step::More(answer.into_bytes()))
            }
            State::Final(challenge) => match challenge.prove(message) {
                Some(last) => Ok(Step::Done { user: challenge.user, last: last.into_bytes() }),
                None => Err(Refused { user: challenge.user }),
            },
            State::Over => Err(nobody()),
        }
    }
}

/// `[authzid] NUL authcid NUL password`
fn plain(users: &Users, message: &str) -> Result<Step, Refused> {
    let refused = |user: &str| Refused { user: user.to_owned() };
    let parts: Vec<&str> = message.split('\0').collect();
    let [acting_as, user, password] = parts[..] else {
        return Err(refused(""));
    };
    let is_itself = acting_as.is_empty() || acting_as == user;
    match is_itself && password.len() <= PASSWORD_BYTES_MAX && users.knows(user, password) {
        true => Ok(Step::Done { user: user.to_owned(), last: Vec::new() }),
        false => Err(refused(user)),
    }
}

/// Reads `n,[a=authzid],n=user,r=nonce[,extensions]` and answers `r=nonce,s=salt,i=iterations`.
fn challenge(users: &Users, hash: Hash, message: &str) -> Option<(Challenge, String)> {
    let (binding, rest) = message.split_once(',')?;
    let (acting_as, bare) = rest.split_once(',')?;
    // `p=…` asks for a binding to the TLS channel, which no mechanism here has.
    if !matches!(binding, "n" | "y") {
        return None;
    }
    let mut fields = bare.split(',');
    let user = name(fields.next()?.strip_prefix("n=")?)?;
    let is_itself = match acting_as.strip_prefix("a=") {
        Some(acting_as) => name(acting_as)? == user,
        None => acting_as.is_empty(),
    };
    let theirs = fields.next()?.strip_prefix("r=")?;
    if !is_itself || theirs.is_empty() || !theirs.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let nonce = format!("{theirs}{}", credential::random_text(NONCE_BYTES).ok()?);
    let (keys, is_known) = users.keys(&user, hash);
    let answer = format!("r={nonce},s={},i={}", BASE64.encode(&keys.salt), keys.iterations);
    let challenge = Challenge {
        user,
        is_known,
        hash,
        stored: keys.stored,
        server: keys.server,
        channel: format!("{binding},{acting_as},"),
        nonce,
        said: format!("{bare},{answer}"),
    };
    Some((challenge, answer))
}

impl Challenge {
    /// Reads `c=channel,r=nonce[,extensions],p=proof`, and answers `v=signature` where the proof is right.
    fn prove(&self, message: &str) -> Option<String> {
        let (unproved, proof) = message.rsplit_once(",p=")?;
        let mut fields = unproved.split(',');
        let channel = BASE64.decode(fields.next()?.strip_prefix("c=")?).ok()?;
        let nonce = fields.next()?.strip_prefix("r=")?;
        if channel != self.channel.as_bytes() || nonce != self.nonce {
            return None;
        }
        let said = format!("{},{unproved}", self.said);
        let proof = BASE64.decode(proof).ok()?;
        let signature = self.hash.sign(&self.stored, said.as_bytes());
        if proof.len() != signature.len() {
            return None;
        }
        let key: Vec<u8> = proof.iter().zip(&signature).map(|(proof, signature)| proof ^ signature).collect();
        let is_right: bool = self.hash.digest(&key).ct_eq(&self.stored).into();
        let signature = self.hash.sign(&self.server, said.as_bytes());
        (is_right && self.is_known).then(|| format!("v={}", BASE64.encode(signature)))
    }
}

/// A name with its commas and equals signs back.
fn name(text: &str) -> Option<String> {
    let is_escaped = text.split('=').skip(1).all(|rest| rest.starts_with("2C") || rest.starts_with("3D"));
    let name = text.replace("=2C", ",").replace("=3D", "=");
    (is_escaped && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Arc<Users> {
        let text = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                    wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        let named = ["user", "a,b=c"].map(|name| (name.to_owned(), text.parse().unwrap()));
        Arc::new(Users::new(named.into_iter().collect()))
    }

    fn begin(mechanism: &str) -> Exchange {
        Exchange::begin(&users(), mechanism, true).unwrap()
    }

    // The exchange of RFC 7677 with the nonces it has, so that another implementation's proof is checked.
    #[test]
    fn the_proof_of_the_standard_is_right_and_no_other() {
        let (mut challenge, _) =
            challenge(&users(), Hash::Sha256, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO").unwrap();
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        challenge.nonce = nonce.to_owned();
        challenge.said = format!("n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let proof = format!("c=biws,r={nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let signature = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(challenge.prove(&proof).as_deref(), Some(signature));
        let wrong = [
            proof.replace("dHzb", "dHzc"),
            proof.replace("biws", "eSws"),
            proof.replace("%hvY", "%hvX"),
            proof.replace(",p=", ",q="),
            proof.replace("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", ""),
        ];
        for wrong in wrong {
            assert_eq!(challenge.prove(&wrong), None, "{wrong}");
        }
        challenge.is_known = false;
        assert_eq!(challenge.prove(&proof), None);
    }

    // Each message is a stranger's, and decides alone whether he gets further.
    #[test]
    fn a_first_message_that_is_wrong_ends_the_exchange() {
        let check = |message: &[u8], gets_on: bool| {
            let mut exchange = begin("SCRAM-SHA-256");
            let step = exchange.step(message);
            assert_eq!(matches!(step, Ok(Step::More(_))), gets_on, "{}", String::from_utf8_lossy(message));
            if !gets_on {
                assert!(exchange.step(b"n,,n=user,r=x").is_err(), "nothing comes after a refusal");
            }
        };
        check(b"n,,n=user,r=x", true);
        check(b"y,,n=user,r=x,tokenauth=false", true);
        check(b"n,a=user,n=user,r=x", true);
        check(b"n,a=a=2Cb=3Dc,n=a=2Cb=3Dc,r=x", true);
        check(b"n,,n=stranger,r=x", true);
        check(b"n,a=other,n=user,r=x", false);
        check(b"p=tls-unique,,n=user,r=x", false);
        check(b"n,,m=ext,n=user,r=x", false);
        check(b"n,,n=,r=x", false);
        check(b"n,,n=us=er,r=x", false);
        check(b"n,,n=user,r=", false);
        check("n,,n=user,r=ä".as_bytes(), false);
        check(b"n,,n=user", false);
        check(b"", false);
        check(&[0xff, 0xfe], false);
    }

    // A stranger must not learn which names there are.
    #[test]
    fn a_name_that_nobody_has_is_answered_like_one_that_somebody_has() {
        let salt = |name: &str| {
            let step = begin("SCRAM-SHA-512").step(format!("n,,n={name},r=x").as_bytes()).unwrap();
            let Step::More(answer) = step else { panic!("{step:?}") };
            String::from_utf8(answer).unwrap().split(',').nth(1).unwrap().to_owned()
        };
        assert_eq!(salt("nobody"), salt("nobody"));
        assert_ne!(salt("nobody"), salt("noone"));
        assert_eq!(salt("nobody").len(), "s=W22ZaJ0SNY7soEsUEjb6gQ==".len());
    }

    #[test]
    fn a_plain_password_is_checked_against_the_credential() {
        let check = |message: &[u8], is_in: bool| {
            let step = begin("PLAIN").step(message);
            assert_eq!(step.is_ok(), is_in, "{}", String::from_utf8_lossy(message));
        };
        check(b"\0user\0pencil", true);
        check(b"user\0user\0pencil", true);
        check(b"admin\0user\0pencil", false);
        check(b"\0user\0pencil2", false);
        check(b"\0user\0", false);
        check(b"\0stranger\0pencil", false);
        check(b"\0user\0pencil\0", false);
        check(b"user", false);
        assert!(Exchange::begin(&users(), "PLAIN", false).is_none(), "not where others read it");
        assert!(Exchange::begin(&users(), "GSSAPI", true).is_none());
    }
}
