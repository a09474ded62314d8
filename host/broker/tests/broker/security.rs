//! Where it is told to, the broker lets in whom it knows and nobody else, and keeps its words from others.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lantern_broker::{Credential, Inside, Options};
use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use tempfile::TempDir;

use crate::support::{Host, PATIENCE, client, producer, send};

const PASSWORD: &str = "the password of Alice, with äöü";

/// A broker on loopback whose user is Alice.
struct Secured {
    host: Host,
    certificate: PathBuf,
    _pem: TempDir,
}

impl Secured {
    fn start(has_tls: bool, configure: impl Fn(&mut Options) + Send + Sync + 'static) -> Secured {
        let pem = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| pem.path().join(name));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let files = [certificate.clone(), key];
        let alice = Credential::new(PASSWORD).unwrap();
        let host = Host::with(move |options| {
            options.users = BTreeMap::from([("alice".to_owned(), alice.clone())]);
            if has_tls {
                let [certificate, key] = files.clone();
                options.tls_certificate = Some(certificate);
                options.tls_key = Some(key);
            }
            configure(options);
        });
        Secured { host, certificate, _pem: pem }
    }

    /// Settings of a client.
    fn settings(&self, protocol: &str, mechanism: &str, user: &str, password: &str) -> Vec<(String, String)> {
        let certificate = self.certificate.to_str().unwrap();
        let mut settings = vec![("security.protocol", protocol), ("ssl.ca.location", certificate)];
        if protocol.starts_with("SASL") {
            settings.extend([
                ("sasl.mechanism", mechanism),
                ("sasl.username", user),
                ("sasl.password", password),
            ]);
        }
        settings.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.host.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

fn borrowed(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

/// Remembers what a client complains about.
#[derive(Clone, Default)]
struct Errors(Arc<Mutex<Vec<(KafkaError, String)>>>);

impl ClientContext for Errors {
    fn error(&self, error: KafkaError, reason: &str) {
        self.0.lock().unwrap().push((error, reason.to_owned()));
    }
}

impl ConsumerContext for Errors {}

/// What a client that must not get in complains about.
fn refusal(address: &str, settings: &[(String, String)], code: RDKafkaErrorCode) -> String {
    let errors = Errors::default();
    let mut config = client(address, &borrowed(settings));
    config.set("group.id", "refused");
    let consumer: BaseConsumer<Errors> = config.create_with_context(errors.clone()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metadata = consumer.fetch_metadata(None, Duration::from_millis(100));
        assert!(metadata.is_err(), "it got in: {settings:?}");
        // Errors come by polling, also as results of it.
        let _none_or_error = consumer.poll(Duration::ZERO);
        let seen = errors.0.lock().unwrap().clone();
        let matching = seen.iter().find(|(error, _)| matches!(error, KafkaError::Global(is) if *is == code));
        if let Some((_, reason)) = matching {
            return reason.clone();
        }
        assert!(Instant::now() < deadline, "{code:?} did not come for {settings:?}, but {seen:?}");
    }
}

// What users are promised: any client, by any mechanism it has, over TLS; and without TLS on their own machine.
#[test]
fn a_user_gets_in_by_every_mechanism() {
    std::thread::scope(|scope| {
        for (has_tls, protocol) in [(true, "SASL_SSL"), (false, "SASL_PLAINTEXT")] {
            scope.spawn(move || {
                let secured = Secured::start(has_tls, |_| {});
                for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
                    let settings = secured.settings(protocol, mechanism, "alice", PASSWORD);
                    let producer = producer(secured.host.address(), &borrowed(&settings));
                    send(&producer, "greetings", mechanism).unwrap();
                }
            });
        }
        scope.spawn(|| {
            let secured = Secured::start(true, |options| {
                options.users.clear();
                options.listen = "0.0.0.0:0".parse().unwrap();
                options.allow_anonymous = true;
            });
            let address = secured.host.address().replace("0.0.0.0", "127.0.0.1");
            let settings = secured.settings("SSL", "", "", "");
            let large = "x".repeat(900_000);
            send(&producer(&address, &borrowed(&settings)), "greetings", &large).unwrap();
        });
    });
}

// Clients of every age get in: Debian's kcat has librdkafka 2.0.
#[test]
fn kcat_gets_in_as_the_docs_have_it() {
    if Command::new("kcat").arg("-V").output().is_err() {
        lantern_tests::report::skip("kcat: apt-get install kcat");
        return;
    }
    let secured = Secured::start(true, |_| {});
    let kcat = |mechanism: &str| {
        let mut kcat = Command::new("kcat");
        kcat.args(["-L", "-b", secured.host.address(), "-m", "5"]);
        for (key, value) in secured.settings("SASL_SSL", mechanism, "alice", PASSWORD) {
            kcat.arg("-X").arg(format!("{key}={value}"));
        }
        kcat.output().unwrap()
    };
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let shown = kcat(mechanism);
        let text = String::from_utf8_lossy(&shown.stdout);
        assert!(shown.status.success() && text.contains("1 brokers"), "{shown:?}");
    }
}

// A wrong password is an error of its own for clients, so that nobody looks for a network that is away.
#[test]
fn whoever_is_not_known_is_told_so_and_reads_nothing() {
    let only_one = Credential::new(PASSWORD).unwrap().to_string();
    let only_one = only_one.split(' ').next().unwrap().to_owned();
    let tls = Secured::start(true, move |options| {
        options.users.insert("bob".into(), only_one.parse().unwrap());
    });
    let open = Secured::start(false, |_| {});
    let tls = &tls;
    std::thread::scope(|scope| {
        let check =
            |protocol: &'static str, mechanism: &'static str, user: &'static str, password: &'static str| {
                scope.spawn(move || {
                    let settings = tls.settings(protocol, mechanism, user, password);
                    let reason = refusal(tls.host.address(), &settings, RDKafkaErrorCode::Authentication);
                    assert!(reason.contains(mechanism), "{reason}");
                });
            };
        check("SASL_SSL", "PLAIN", "alice", "wrong");
        check("SASL_SSL", "SCRAM-SHA-256", "alice", "wrong");
        check("SASL_SSL", "SCRAM-SHA-512", "alice", "wrong");
        check("SASL_SSL", "SCRAM-SHA-256", "mallory", PASSWORD);
        // Bob's credential is for the other mechanism.
        check("SASL_SSL", "SCRAM-SHA-512", "bob", PASSWORD);
        let broken = |secured: &Secured, protocol: &str| {
            let settings = secured.settings(protocol, "PLAIN", "alice", PASSWORD);
            refusal(secured.host.address(), &settings, RDKafkaErrorCode::AllBrokersDown);
        };
        scope.spawn(move || broken(tls, "PLAINTEXT"));
        scope.spawn(move || broken(tls, "SASL_PLAINTEXT"));
        scope.spawn(move || broken(tls, "SSL"));
        broken(&open, "PLAINTEXT");
    });
}

fn request(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    request.extend_from_slice(&(10 + body.len() as u32).to_be_bytes());
    request.extend_from_slice(&key.to_be_bytes());
    request.extend_from_slice(&version.to_be_bytes());
    request.extend_from_slice(&[0, 0, 0, 7, 0xff, 0xff]);
    request.extend_from_slice(body);
    request
}

fn handshake(version: i16, mechanism: &str) -> Vec<u8> {
    let mut body = (mechanism.len() as i16).to_be_bytes().to_vec();
    body.extend_from_slice(mechanism.as_bytes());
    request(17, version, &body)
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    let mut sized = (bytes.len() as u32).to_be_bytes().to_vec();
    sized.extend_from_slice(bytes);
    sized
}

/// The next answer; `None` when the connection is closed instead.
fn answer(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Err(error) if is_end(&error) => return None,
        read => read.unwrap(),
    }
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    Some(answer)
}

/// Whether the other side closed the connection: waiting in vain is another error.
fn is_end(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)
}

const METADATA: i16 = 3;
const VERSIONS: i16 = 18;
const AUTHENTICATE: i16 = 36;

// Each request is a stranger's until the exchange is over: none but those of the exchange is looked at.
#[test]
fn before_authentication_nothing_but_the_exchange_is_answered() {
    let secured = Secured::start(false, |_| {});
    let check = |requests: &[Vec<u8>], what: &str| {
        let mut stream = secured.connect();
        let (last, before) = requests.split_last().unwrap();
        for request in before {
            stream.write_all(request).unwrap();
            assert!(answer(&mut stream).is_some(), "{what}");
        }
        stream.write_all(last).unwrap();
        assert_eq!(answer(&mut stream), None, "{what}");
    };
    let metadata = request(METADATA, 1, &[0, 0, 0, 0]);
    let versions = request(VERSIONS, 0, &[]);
    let token = sized(b"\0alice\0wrong");
    check(std::slice::from_ref(&metadata), "a request without authentication");
    check(&[versions.clone(), metadata.clone()], "the same after ApiVersions");
    check(&[handshake(1, "SCRAM-SHA-256"), metadata.clone()], "the same after the handshake");
    check(&[request(AUTHENTICATE, 0, &token)], "a token without a handshake");
    check(&[handshake(1, "PLAIN"), handshake(1, "PLAIN")], "a second handshake");
    check(&[handshake(1, "PLAIN"), request(AUTHENTICATE, 0, &token), metadata.clone()], "a refused password");
    check(&[handshake(0, "PLAIN"), token.clone()], "a refused password, bare");
    check(&[handshake(1, "GSSAPI"), token.clone()], "a mechanism that is not offered");
    check(&[0x0010_0000_u32.to_be_bytes().to_vec()], "a mebibyte to come");
    check(&[vec![0x16, 3, 1, 2, 0, 1]], "TLS where there is none");
    check(&vec![versions.clone(); 17], "versions, again and again");

    let mut stream = secured.connect();
    stream.write_all(&handshake(1, "GSSAPI")).unwrap();
    let refused = answer(&mut stream).unwrap();
    assert_eq!(refused[4..6], 33_i16.to_be_bytes(), "unsupported mechanism");
    assert!(refused.windows(13).any(|offered| offered == b"SCRAM-SHA-512"));

    // An old client's handshake, whose messages are bare; and then it may ask.
    let mut stream = secured.connect();
    stream.write_all(&handshake(0, "PLAIN")).unwrap();
    assert_eq!(answer(&mut stream).unwrap()[4..6], [0, 0]);
    stream.write_all(&sized(format!("\0alice\0{PASSWORD}").as_bytes())).unwrap();
    assert_eq!(answer(&mut stream).unwrap(), Vec::<u8>::new());
    stream.write_all(&metadata).unwrap();
    assert!(answer(&mut stream).is_some());
    // There is no second authentication.
    stream.write_all(&handshake(1, "PLAIN")).unwrap();
    assert_eq!(answer(&mut stream).unwrap()[4..6], 34_i16.to_be_bytes());
}

// Who connects and stays silent must not take a place for ever.
#[test]
fn a_handshake_that_stalls_is_ended() {
    for has_tls in [false, true] {
        let secured = Secured::start(has_tls, |options| options.handshake_ms_max = 2_000);
        let beginnings: [&[u8]; 3] = [b"", b"\0\0", &handshake(1, "SCRAM-SHA-256")];
        let mut streams = beginnings.map(|beginning| {
            let mut stream = secured.connect();
            stream.write_all(beginning).unwrap();
            stream
        });
        for stream in &mut streams {
            // TLS may say why before.
            if let Err(error) = stream.read_to_end(&mut Vec::new()) {
                assert!(is_end(&error), "{error}");
            }
        }
        let protocol = if has_tls { "SASL_SSL" } else { "SASL_PLAINTEXT" };
        let settings = secured.settings(protocol, "SCRAM-SHA-512", "alice", PASSWORD);
        send(&producer(secured.host.address(), &borrowed(&settings)), "after", "it").unwrap();
    }
}

// Passwords that are guessed are told to be wrong one after the other, over however many connections.
#[test]
fn guesses_are_answered_slowly() {
    let secured = Secured::start(false, |_| {});
    let began = Instant::now();
    let mut streams: Vec<TcpStream> = (0..5)
        .map(|_| {
            let mut stream = secured.connect();
            stream.write_all(&handshake(1, "PLAIN")).unwrap();
            assert!(answer(&mut stream).is_some());
            stream.write_all(&request(AUTHENTICATE, 1, &sized(b"\0alice\0guess"))).unwrap();
            stream
        })
        .collect();
    for stream in &mut streams {
        let refused = answer(stream).unwrap();
        assert_eq!(refused[4..6], 58_i16.to_be_bytes(), "authentication failed");
    }
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
}

// The host that embeds the broker is its client too, and has neither the users' passwords nor their trust in the
// certificate.
#[test]
fn who_owns_the_folder_gets_in_and_nobody_else_on_this_machine() {
    let mut secured = Secured::start(true, |_| {});
    let inside = secured.host.inside();
    let dir = secured.host.dir.path().to_owned();
    assert_eq!(Inside::of(&dir), Some(inside.clone()), "others of the same user find it in the folder");
    let mode = std::fs::metadata(dir.join("login.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(inside.address.ip().is_loopback());
    let login = inside.login.clone().unwrap();
    let address = inside.address.to_string();
    let settings = secured.settings("SASL_PLAINTEXT", "SCRAM-SHA-256", &login.user, &login.password);
    send(&producer(&address, &borrowed(&settings)), "inside", "it").unwrap();
    let settings = secured.settings("SASL_PLAINTEXT", "SCRAM-SHA-256", "alice", PASSWORD);
    refusal(&address, &settings, RDKafkaErrorCode::Authentication);
    // Nor is the login one for outside.
    let settings = secured.settings("SASL_SSL", "SCRAM-SHA-256", &login.user, &login.password);
    refusal(secured.host.address(), &settings, RDKafkaErrorCode::Authentication);
    secured.host.restart_after(|dir| assert_eq!(Inside::of(dir), None, "of no use any more"));
    assert_ne!(secured.host.inside().login, inside.login, "made anew at each start");
}

// Behind a name or in a container the address that was reached is not the one to come back to.
#[test]
fn clients_are_told_the_address_that_is_advertised() {
    let host = Host::with(|options| options.advertise = Some("broker.example:9092".into()));
    let consumer: BaseConsumer = host.client(&[("group.id", "reader")]).create().unwrap();
    let metadata = consumer.fetch_metadata(None, PATIENCE).unwrap();
    assert_eq!((metadata.brokers()[0].host(), metadata.brokers()[0].port()), ("broker.example", 9092));
}
