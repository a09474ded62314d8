//! Clients that are slow, and many of them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use lantern_tests::http::{self, Raw};
use serde_json::{Value, json};

use super::{ANSWER_MAX, ENDLESS, check, patient, with_host};
use crate::{JSON, query};

// One client that does nothing costs nothing: neither a thread nor a connection for good.
#[test]
fn slow_clients_and_many_of_them_are_cut_off() -> Result<()> {
    with_host(|site, topic| {
        let open = || -> Result<TcpStream> {
            let stream = TcpStream::connect(site.http_address())?;
            stream.set_read_timeout(Some(ANSWER_MAX))?;
            Ok(stream)
        };
        let head = format!(
            "POST /v1/read-models/ledger/query HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{JSON}"
        );
        // Says nothing, or half of a head.
        for said in ["", "GET /v1/sta", head.as_str()] {
            let mut stream = open()?;
            stream.write_all(said.as_bytes())?;
            let mut rest = Vec::new();
            let since = Instant::now();
            // A reset is an end too.
            let _ = stream.read_to_end(&mut rest);
            ensure!(since.elapsed() < ANSWER_MAX, "{said:?} was waited for");
            ensure!(
                rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"),
                "{}",
                String::from_utf8_lossy(&rest)
            );
        }
        // Promises a body, and sends it a byte at a time, or none.
        for every in [None, Some(Duration::from_millis(100))] {
            check(site, "a slow body", "408 timeout", || {
                let mut stream = open()?;
                stream.write_all(format!("{head}Content-Length: 1000\r\n\r\n").as_bytes())?;
                while let Some(every) = every
                    && stream.write_all(b" ").is_ok()
                    && stream.set_read_timeout(Some(every)).is_ok()
                    && stream.peek(&mut [0]).is_err()
                {}
                stream.set_read_timeout(Some(ANSWER_MAX))?;
                http::receive(&mut stream)
            })?;
        }
        // Asks for much, many times, and takes nothing of it.
        let much = json!({ "sql": "SELECT printf('%.*c', 900000, 'x') FROM (VALUES (1),(2),(3),(4),(5),(6),(7),(8))" }).to_string();
        let asks = format!(
            "POST /v1/read-models/ledger/query HTTP/1.1\r\nHost: localhost\r\n{JSON}Content-Length: {}\r\n\r\n{much}",
            much.len()
        );
        let mut stuck = Vec::new();
        for _ in 0..20 {
            let mut stream = open()?;
            stream.write_all(asks.repeat(20).as_bytes())?;
            stuck.push(stream);
        }
        check(site, "others, while answers are not taken", "200", || patient(site, "SELECT 1"))?;
        for stream in &mut stuck {
            std::thread::sleep(Duration::from_millis(100));
            let mut taken = 0;
            let mut buffer = vec![0; 1 << 20];
            while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
                taken += bytes;
                ensure!(
                    taken < asks.len() * 20 + 20 * 8_000_000,
                    "all of it was kept for who did not take it"
                );
            }
        }
        drop(stuck);
        // More than there may be, which wait for what does not come: the others are answered, and so are they.
        let wait = |number: usize| {
            let body = json!({ "sql": "SELECT 1", "wait_for": format!("{topic}/0@{}", 1_000 + number), "timeout_ms": 1_000 });
            query(site, "", &body)
        };
        std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..40).map(|number| scope.spawn(move || wait(number))).collect();
            check(site, "others, while many wait", "200", || patient(site, "SELECT 1"))?;
            for each in waiting {
                let Ok(raw) = each.join() else { bail!("a client panicked") };
                let raw = raw?;
                ensure!(raw.status == 504, "{raw:?}");
            }
            anyhow::Ok(())
        })?;
        let idle: Vec<TcpStream> = (0..200).map(|_| open()).collect::<Result<_>>()?;
        check(site, "others, while idle ones have every connection", "200", || patient(site, "SELECT 1"))?;
        drop(idle);
        // Long queries take places, not all of them for long.
        let endless = json!({ "sql": format!("{ENDLESS} SELECT count(*) FROM n") });
        std::thread::scope(|scope| {
            let long: Vec<_> = (0..30).map(|_| scope.spawn(|| query(site, "", &endless))).collect();
            check(site, "a point query, while many run long", "200", || patient(site, "SELECT 1"))?;
            for each in long {
                let Ok(raw) = each.join() else { bail!("a client panicked") };
                let raw: Raw = raw?;
                ensure!(matches!(raw.status, 400 | 503), "{raw:?}");
                let _: Value = raw.json()?;
            }
            anyhow::Ok(())
        })
    })
}
