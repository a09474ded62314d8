//! Paths, headers and bodies.

use anyhow::{Result, ensure};
use lantern_tests::http::{self, request};
use lantern_tests::kafka::free_port;
use lantern_tests::log::{Log, each_log};
use lantern_tests::site::Site;

use super::{check, with_host_on};
use crate::JSON;

// The parts of a request that are not its meaning are where parsers differ.
#[test]
fn paths_headers_and_bodies_are_refused_or_bounded() -> Result<()> {
    let ask = |target: &str, headers: &str, body: &str| {
        request("POST", target, &format!("{JSON}{headers}"), body.as_bytes())
    };
    let one = r#"{"sql":"SELECT 1"}"#;
    let model = "/v1/read-models/ledger/query";
    let events = |content_type: &str, body: &str| {
        request(
            "POST",
            "/v1/topics/TOPIC/events",
            &format!("Content-Type: {content_type}\r\n"),
            body.as_bytes(),
        )
    };
    let cloud = "application/cloudevents+json";
    let batch = "application/cloudevents-batch+json";
    let event = |extra: &str| format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t"{extra}}}"#);
    let raw = |text: &str| text.replace('\n', "\r\n").into_bytes();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("a path that climbs", ask("/v1/read-models/..%2f..%2flantern/query", "", one), "404 unknown-read-model"),
        ("a path of dots", ask("/v1/read-models/../../query", "", one), "404"),
        ("a name with a NUL", ask("/v1/read-models/%00/query", "", one), "404 unknown-read-model"),
        ("a name that is no UTF-8", ask("/v1/read-models/%ff/query", "", one), "400"),
        ("a name of the catalog", ask("/v1/read-models/lantern/query", "", one), "404 unknown-read-model"),
        ("a long name", ask(&format!("/v1/read-models/{}/query", "a".repeat(20_000)), "", one), "404"),
        ("an address that is too long", ask(&format!("/{}", "a".repeat(70_000)), "", one), "414"),
        ("a target of another host", ask(&format!("http://evil.example{model}"), "", one), "403 foreign-origin"),
        ("two hosts", ask(model, "Host: localhost\r\n", one), "403 foreign-origin"),
        ("a page's origin", ask(model, "Origin: http://evil.example\r\n", one), "403 foreign-origin"),
        ("a proxy's request", ask(model, "X-Forwarded-For: 10.0.0.1\r\n", one), "401 unauthorized"),
        ("a head that is too large", ask(model, &format!("X: {}\r\n", "x".repeat(200_000)), one), "431"),
        ("too many headers", ask(model, &"X: x\r\n".repeat(500), one), "431"),
        ("a position that is none", ask(model, "Lantern-Position: x\r\n", one), "400 bad-request"),
        ("a position that is not ASCII", ask(model, "Lantern-Position: \u{fc}/0@1\r\n", one), "400 bad-request"),
        ("a long position", ask(model, &format!("Lantern-Position: {}\r\n", "x".repeat(30_000)), one), "400 bad-request"),
        ("a NUL in a header", ask(model, "X: a\0b\r\n", one), "400"),
        ("a method that is none", raw("PO ST /v1/status HTTP/1.1\nHost: localhost\n\n"), "400"),
        ("another protocol", raw("GET / HTTP/3.7\nHost: localhost\n\n"), "400"),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), "400"),
        (
            "two lengths",
            raw(&format!("POST {model} HTTP/1.1\nHost: localhost\nContent-Length: 18\nContent-Length: 2\nConnection: close\n\n{one}")),
            "400",
        ),
        (
            "a length that is none",
            raw(&format!("POST {model} HTTP/1.1\nHost: localhost\nContent-Length: -1\nConnection: close\n\n{one}")),
            "400",
        ),
        (
            "a chunk of a size that is none",
            raw(&format!("POST {model} HTTP/1.1\nHost: localhost\nContent-Type: application/json\nTransfer-Encoding: chunked\nConnection: close\n\nffffffffffffffffff\n{one}")),
            "400",
        ),
        (
            "a body without an end",
            [raw(&format!("POST {model} HTTP/1.1\nHost: localhost\nContent-Type: application/json\nTransfer-Encoding: chunked\nConnection: close\n\n")), format!("10000\r\n{}\r\n", "x".repeat(1 << 16)).repeat(40).into_bytes()].concat(),
            "413 too-large",
        ),
        ("a body that is too large", ask(model, "", &" ".repeat(300 << 10)), "413 too-large"),
        ("a body that is no JSON", ask(model, "", "{"), "400 bad-request"),
        ("a deep body", ask(model, "", &"[".repeat(200_000)), "400 bad-request"),
        ("a deep parameter", ask(model, "", &format!(r#"{{"sql":"SELECT ?","params":{}"#, "[".repeat(200_000))), "400 bad-request"),
        ("a body of another type", request("POST", model, "Content-Type: text/plain\r\n", one.as_bytes()), "415 unsupported-media-type"),
        ("a topic that climbs", ask("/v1/topics/..%2fx/events?type=t", "", "{}"), "400 bad-request"),
        ("a topic of two dots", ask("/v1/topics/%2e%2e/events?type=t", "", "{}"), "400 bad-request"),
        ("a topic with a line break", ask("/v1/topics/a%0d%0ab/events?type=t", "", "{}"), "400 bad-request"),
        ("Kafka's own topic", ask("/v1/topics/__consumer_offsets/events?type=t", "", "{}"), "400 bad-request own"),
        ("a long topic", ask(&format!("/v1/topics/{}/events?type=t&create=true", "a".repeat(250)), "", "{}"), "400 bad-request"),
        ("a topic that is missing", ask("/v1/topics/nowhere-to-be-found/events?type=t", "", "{}"), "404 unknown-topic"),
        ("many partitions", ask("/v1/topics/many/events?type=t&create=true&partitions=1000000", "", "{}"), "400 bad-request"),
        ("an event without a type", ask("/v1/topics/TOPIC/events", "", "{}"), "400 bad-request ce-type"),
        ("an event that is no JSON", ask("/v1/topics/TOPIC/events?type=t", "", "{"), "400 bad-request"),
        ("an event with two types", ask("/v1/topics/TOPIC/events?type=t", "ce-type: u\r\n", "{}"), "400 bad-request"),
        ("an attribute that is no name", ask("/v1/topics/TOPIC/events?type=t", "ce-a_b: u\r\n", "{}"), "400 bad-request"),
        ("a CloudEvent without an id", events(cloud, r#"{"specversion":"1.0","source":"s","type":"t"}"#), "400 bad-request"),
        ("a CloudEvent of another version", events(cloud, r#"{"specversion":"0.3","id":"1","source":"s","type":"t"}"#), "400 bad-request"),
        ("a CloudEvent with an attribute of its own", events(cloud, &event(r#","A-b":"x""#)), "400 bad-request"),
        ("a CloudEvent with two data", events(cloud, &event(r#","data":1,"data_base64":"AA==""#)), "400 bad-request"),
        ("a deep CloudEvent", events(cloud, &event(&format!(r#","data":{}"#, "[".repeat(100_000)))), "400 bad-request"),
        ("a batch with a wrong event", events(batch, &format!("[{},{{}}]", event(""))), "400 bad-request event"),
        ("an empty batch", events(batch, "[]"), "400 bad-request"),
        ("a batch of too many", events(batch, &format!("[{}]", vec![event(""); 10_001].join(","))), "400 bad-request 10000"),
        ("another batch", events("application/cloudevents-batch+avro", "x"), "415 unsupported-media-type"),
        ("an event that the log does not take", events(cloud, &event(&format!(r#","data":"{}""#, "x".repeat(3 << 20)))), "413 too-large"),
        ("more events than a request has", events(cloud, &" ".repeat(9 << 20)), "413 too-large"),
    ];
    let check_all = |site: &Site, topic: &str, is_of_this_log: &dyn Fn(&[u8]) -> bool| {
        for (what, bytes, expected) in cases.iter().filter(|(_, bytes, _)| is_of_this_log(bytes)) {
            // The topic's name is as long as another that stands for it: nothing else of the request changes.
            let bytes = replaced(bytes, b"TOPIC", topic.as_bytes());
            check(site, what, expected, || http::send(site.http_address(), &bytes))?;
        }
        Ok(())
    };
    // What a topic may be, and what an event may weigh, the broker has a say in.
    let of_topics = |bytes: &[u8]| bytes.starts_with(b"POST /v1/topics/");
    each_log(|log| {
        with_host_on(log, |site, topic| match log {
            Log::Embedded => check_all(site, topic, &|_| true),
            Log::Kafka(_) => check_all(site, topic, &of_topics),
        })
    })
}

// Who appends must be told that the log is away, and that a second try may be a second event.
#[test]
fn a_log_that_is_away_is_told() -> Result<()> {
    // Nobody listens there.
    let site = Site::on_kafka(&format!("127.0.0.1:{}", free_port()?))?;
    let mut host = site.start()?;
    host.await_http()?;
    let bytes = request("POST", "/v1/topics/orders/events?type=t", JSON, b"{}");
    let raw = http::send(site.http_address(), &bytes)?;
    let problem = raw.json()?;
    ensure!(raw.status == 503 && problem["type"] == "urn:lantern:log-away", "{raw:?}");
    ensure!(raw.header("retry-after").is_some(), "{raw:?}");
    ensure!(problem["detail"].as_str().is_some_and(|it| it.contains("not known")), "{problem}");
    ensure!(host.terminate()?.success());
    Ok(())
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match bytes.windows(from.len()).position(|window| window == from) {
        Some(at) => [&bytes[..at], to, &bytes[at + from.len()..]].concat(),
        None => bytes.to_vec(),
    }
}
