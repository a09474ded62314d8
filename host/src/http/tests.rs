//! The server as a program sees it: requests over a socket, byte for byte.

use super::{App, Options, bind, serve};
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::deployment::Deployments;
use crate::wasm::Engine;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long anything may take that a test waits for.
const WAIT_MAX: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    folder: tempfile::TempDir,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

async fn server(options: Options) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = Config { data_dir: folder.path().into(), ..Config::default() };
    let data = DataDir::new(folder.path());
    let engine = Engine::new(None).unwrap();
    let deployments = Deployments::open(&config, &data, &engine, &config.kafka, false).unwrap();
    let app = App::new(deployments, data, options, &config.kafka);
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(serve(listener, app, async move {
        let _ = stopped.await;
    }));
    Server { address, folder, stop, running }
}

/// An answer: its status, its head and its body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Server {
    /// Sends a request with these headers and reads the answer to its end.
    async fn ask(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> Answer {
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            self.address,
            body.len()
        );
        self.send(&[head.as_bytes(), body].concat()).await
    }

    async fn send(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        answer(&mut stream).await
    }

    async fn query(&self, name: &str, sql: &str) -> Answer {
        let body = json!({ "sql": sql }).to_string();
        let target = format!("/v1/read-models/{name}/query");
        self.ask("POST", &target, "Content-Type: application/json\r\n", body.as_bytes()).await
    }
}

async fn answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    tokio::time::timeout(WAIT_MAX, stream.read_to_end(&mut bytes)).await.expect("an answer in time").unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect(&text);
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

impl Answer {
    /// Checks that it is a problem of this kind whose detail has these words.
    fn assert_problem(&self, status: u16, kind: &str, words: &[&str]) {
        let shown = format!("{}\n\n{}", self.head, self.body);
        assert_eq!(self.status, status, "{shown}");
        assert!(self.head.contains("content-type: application/problem+json"), "{shown}");
        let problem: Value = serde_json::from_str(&self.body).expect(&shown);
        assert_eq!(problem["type"], format!("urn:lantern:{kind}"), "{shown}");
        assert_eq!(problem["status"], status, "{shown}");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{shown}");
        let detail = problem["detail"].as_str().expect(&shown);
        for word in words {
            assert!(detail.contains(word), "{shown}\nlacks {word}");
        }
    }
}

// A program branches on the status and the type, a person reads the detail: both must always be there.
#[tokio::test]
async fn every_error_is_a_problem_that_says_what_to_do() {
    let server = server(Options::default()).await;
    let json = "Content-Type: application/json\r\n";
    let check = async |request: &str, headers: &str, body: &[u8], expected: &str, words: &[&str]| {
        let (method, target) = request.split_once(' ').unwrap();
        let (status, kind) = expected.split_once(' ').unwrap();
        let answer = server.ask(method, target, headers, body).await;
        answer.assert_problem(status.parse().unwrap(), kind, words);
        assert_eq!(answer.head.contains("\r\nallow:"), status == "405", "{}", answer.head);
    };
    check("GET /", "", b"", "404 not-found", &["nothing at /", "/v1/status"]).await;
    check("GET /v1/plugins/a/b/c", "", b"", "404 not-found", &[]).await;
    check("PATCH /v1/plugins/orders", "", b"", "405 method-not-allowed", &["PATCH"]).await;
    check("GET /v1/plugins/orders/rollback", "", b"", "405 method-not-allowed", &["GET"]).await;
    check("POST /v1/status", "", b"", "405 method-not-allowed", &[]).await;
    check("GET /v1/plugins/orders", "", b"", "404 unknown-plugin", &["\"orders\"", "lantern status"]).await;
    check("PUT /v1/plugins/orders", "", b"", "400 bad-request", &["empty", ".wasm"]).await;
    check("PUT /v1/plugins/orders?preveiw=true", "", b"x", "400 bad-request", &["preveiw"]).await;
    check("PUT /v1/plugins/orders?preview=1", "", b"x", "400 bad-request", &["preview"]).await;
    check("PUT /v1/plugins/orders", "", b"x", "422 rejected", &["127.0.0.1", "not a plugin"]).await;
    check("POST /v1/plugins", "", b"x", "422 rejected", &["not a plugin"]).await;
    check("POST /v1/plugins/orders/rollback", "", b"", "404 unknown-plugin", &["lantern status"]).await;
    check("DELETE /v1/plugins/orders?purge=true", "", b"", "404 unknown-plugin", &[]).await;
    check("DELETE /v1/plugins/orders?purge=yes", "", b"", "400 bad-request", &["purge"]).await;
    check("GET /v1/plugins/nothing/history", "", b"", "404 unknown-plugin", &[]).await;
    check(
        "POST /v1/read-models/orders/query",
        "",
        b"{}",
        "415 unsupported-media-type",
        &["application/json"],
    )
    .await;
    check("POST /v1/read-models/orders/query", json, b"{\"sq\":1}", "400 bad-request", &["sq"]).await;
    check("POST /v1/read-models/%2e%2e/query", json, b"{\"sql\":\"x\"}", "404 unknown-read-model", &[]).await;
    // What was refused is in the history, with who asked.
    let agent = "User-Agent: a test\r\n";
    server.ask("PUT", "/v1/plugins/orders", agent, b"y").await.assert_problem(422, "rejected", &["a test"]);
    for target in ["/v1/history", "/v1/plugins/orders/history"] {
        let answer = server.ask("GET", target, "", b"").await;
        let history: Value = serde_json::from_str(&answer.body).unwrap();
        let last = history["history"].as_array().and_then(|entries| entries.last()).unwrap();
        assert_eq!((&last["result"], &last["by"]), (&json!("rejected"), &json!("a test from 127.0.0.1")));
        assert!(last["reason"].as_str().is_some_and(|reason| reason.contains("not a plugin")), "{last}");
    }
}

// A browser shows pages of anybody; none of them may deploy or read here.
#[tokio::test]
async fn requests_of_web_pages_are_refused_before_anything_is_done() {
    let server = server(Options::default()).await;
    let ours = format!("Origin: http://{}\r\n", server.address);
    assert_eq!(server.ask("GET", "/v1/status", &ours, b"").await.status, 200);
    for target in ["/v1/status", "/nowhere"] {
        let answer = server.ask("GET", target, "Origin: http://evil.example\r\n", b"").await;
        answer.assert_problem(403, "foreign-origin", &["evil.example"]);
    }
    let rebound = b"GET /v1/status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    server.send(rebound).await.assert_problem(403, "foreign-origin", &["evil.example", "localhost"]);
}

// What is read into memory is bounded before it is read.
#[tokio::test]
async fn a_body_that_is_too_large_is_refused_unread() {
    let server = server(Options::default()).await;
    let check = async |method: &str, target: &str, bytes: u64| {
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {bytes}\r\n\
             Content-Type: application/json\r\n\r\n"
        );
        server.send(head.as_bytes()).await.assert_problem(413, "too-large", &[]);
    };
    check("PUT", "/v1/plugins/orders", crate::plugin::FILE_BYTES_MAX + 1).await;
    check("POST", "/v1/plugins", crate::plugin::FILE_BYTES_MAX + 1).await;
    check("POST", "/v1/read-models/orders/query", 1 << 20).await;
}

/// A read model whose generations have one row each, which says which it is.
fn generation(data: &DataDir, number: u32) {
    data.create(&data.generations("orders")).unwrap();
    let blueprint = crate::read_model::Blueprint {
        plugin: "orders".into(),
        digest: String::new(),
        schema: vec![format!("CREATE TABLE generation_{number} (x)")],
        state_version: 1,
        sends: Vec::new(),
        upcasters: Vec::new(),
        upcast_version: String::new(),
    };
    crate::read_model::Writer::open(
        &data.generation("orders", number),
        &blueprint,
        crate::read_model::Durability::Normal,
    )
    .unwrap();
    let link = data.read_model("orders");
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(format!("orders/{number}.db"), link).unwrap();
}

// Whoever asks by HTTP always sees the generation that is live, not the one that was when they connected.
#[tokio::test]
async fn a_query_reads_the_generation_that_is_live() {
    let server = server(Options::default()).await;
    let data = DataDir::new(server.folder.path());
    let sql = "SELECT name FROM sqlite_schema WHERE name LIKE 'generation%'";
    server.query("orders", sql).await.assert_problem(404, "unknown-read-model", &["orders", "none yet"]);
    for number in [1, 2] {
        generation(&data, number);
        let answer = server.query("orders", sql).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let expected = json!({ "columns": ["name"], "rows": [[format!("generation_{number}")]], "generation": number, "position": "" });
        assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap(), expected);
    }
    server.query("others", sql).await.assert_problem(404, "unknown-read-model", &["others", "orders"]);
}

// One query must cost neither the memory nor the time of the others.
#[tokio::test]
async fn a_query_is_bounded_in_rows_bytes_and_time_and_only_reads() {
    let limits =
        Options { query_ms_max: 300, query_rows_max: 10, query_bytes_max: 1_000, ..Options::default() };
    let server = server(limits).await;
    generation(&DataDir::new(server.folder.path()), 1);
    let numbers = |to: &str| {
        format!(
            "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < {to}) SELECT i FROM n"
        )
    };
    assert_eq!(server.query("orders", &numbers("10")).await.status, 200);
    let answer = server.query("orders", &numbers("11")).await;
    answer.assert_problem(422, "too-much", &["10 rows", "query_rows_max", "LIMIT"]);
    let answer = server.query("orders", "SELECT printf('%2000s', 'x')").await;
    answer.assert_problem(422, "too-much", &["1000 bytes", "query_bytes_max"]);
    let endless = format!("SELECT max(i) FROM ({})", numbers("1e18"));
    server.query("orders", &endless).await.assert_problem(
        400,
        "query-refused",
        &["ran longer than", "narrow it"],
    );
    for sql in ["DELETE FROM generation_1", "SELECT nothing", "ATTACH 'x' AS y", "PRAGMA user_version", ""] {
        server.query("orders", sql).await.assert_problem(400, "query-refused", &[]);
    }
}

// A host that goes down ends what it has begun, and is not held up by who only keeps a connection.
#[tokio::test]
async fn the_server_drains_and_does_not_wait_for_idle_clients() {
    let server = server(Options::default()).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let mut used = TcpStream::connect(server.address).await.unwrap();
    used.write_all(b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(used.read_u8().await.unwrap(), b'H');
    server.stop.send(()).unwrap();
    tokio::time::timeout(WAIT_MAX, server.running).await.expect("an end in time").unwrap();
    // Both were closed.
    let mut rest = Vec::new();
    used.read_to_end(&mut rest).await.unwrap();
    idle.read_to_end(&mut rest).await.unwrap();
}

// Several data folders on one machine are normal; an address that somebody chose is not to be changed.
#[tokio::test]
async fn a_free_port_is_taken_only_where_no_address_was_set() {
    let taken = bind(&Options::default(), false).await.unwrap();
    // Whoever took the default port: the next one gets another.
    let other = bind(&Options::default(), false).await.unwrap();
    assert_ne!(taken.local_addr().unwrap(), other.local_addr().unwrap());
    let address = taken.local_addr().unwrap().to_string();
    let chosen = Options { listen: Some(address.parse().unwrap()), ..Options::default() };
    let error = bind(&chosen, false).await.unwrap_err().to_string();
    assert!(error.contains(&address) && error.contains("LANTERN_HTTP_LISTEN"), "{error}");
}
