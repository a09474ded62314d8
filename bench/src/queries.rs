//! What HTTP adds to a query by a key, and how long after its acknowledgement an event is seen in one.
//!
//! Everything but the broker is in this process, so that clients and host share the machine as they would.

use crate::child::Site;
use crate::deployments::start;
use crate::log::{self, Log};
use crate::report;
use crate::workload::{Keys, Made, Workload};
use anyhow::{Context as _, Result, ensure};
use comfy_table::{Table, presets};
use lantern::http;
use lantern::log::{Appender, Assignment, Client, NewRecord};
use lantern::read_model::{Cell, Question, Reader, ReaderLimits};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::time::{Duration, Instant};

const NAME: &str = "orders";
const SQL: &str = "SELECT * FROM orders WHERE order_id = ?1";
/// Threads of the comparison in the process: as many as the machine that the goals are of has cores.
const THREADS: usize = 2;
/// How long the read model may take to be filled.
const FILL_MAX: Duration = Duration::from_secs(300);

/// What is measured, and how often.
#[derive(Debug, clap::Args)]
// Another part's flags have a group of the struct's name.
#[group(skip)]
pub struct Parameters {
    /// Events that the read model is of.
    #[arg(long, default_value_t = 100_000)]
    query_events: u64,
    /// Connections that stay open.
    #[arg(long, default_value_t = 16)]
    query_connections: usize,
    /// How long queries are sent, in seconds.
    #[arg(long, default_value_t = 5)]
    query_seconds: u64,
    /// Events that are waited for, one after the other.
    #[arg(long, default_value_t = 500)]
    seen_events: u64,
}

/// What one run measured.
#[derive(Clone, Copy, Debug, Serialize)]
struct Run {
    /// Queries a second over HTTP, on all connections.
    http_per_s: f64,
    /// The same in the process, on two threads.
    process_per_s: f64,
    /// From the request on one connection, alone, in microseconds.
    http_p50_us: f64,
    http_p99_us: f64,
    /// From the broker's acknowledgement to a consumer of the log, in milliseconds.
    delivered_p50_ms: f64,
    delivered_p99_ms: f64,
    /// From the same to the answer of a query that waits for the event.
    seen_p50_ms: f64,
    seen_p99_ms: f64,
}

/// Measures and prints.
///
/// # Errors
/// When the host or the log fails, or a query answers something else.
pub fn run(site: &Site, log: &Log, runs: usize, parameters: &Parameters, json: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    let mut all = Vec::new();
    // Once: each run appends to it.
    let topic = log.fill(Keys::Window, parameters.query_events)?;
    for number in 1..=runs {
        let run = runtime.block_on(measure(site, log, &topic, parameters))?;
        report::progress(&format!(
            "{number}/{runs}: {:.0} queries/s over HTTP, {:.0} in the process; seen p99 {:.1} ms, delivered p99 {:.1} ms",
            run.http_per_s, run.process_per_s, run.seen_p99_ms, run.delivered_p99_ms
        ));
        all.push(run);
    }
    show(&all, json)
}

fn show(runs: &[Run], is_json: bool) -> Result<()> {
    let of = |value: fn(&Run) -> f64| report::median(runs.iter().map(value));
    let http_to_process = of(|run| run.http_per_s / run.process_per_s);
    if is_json {
        let ratios = json!({ "http_to_process": http_to_process });
        return report::line(&serde_json::to_string_pretty(&json!({ "runs": runs, "ratios": ratios }))?);
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["", "median"]);
    for (name, value) in [
        ("queries/s over HTTP", format!("{:.0}", of(|run| run.http_per_s))),
        ("queries/s in the process", format!("{:.0}", of(|run| run.process_per_s))),
        ("HTTP/process", format!("{http_to_process:.2}")),
        ("one connection, p50", format!("{:.0} us", of(|run| run.http_p50_us))),
        ("one connection, p99", format!("{:.0} us", of(|run| run.http_p99_us))),
        ("acknowledged until delivered, p50", format!("{:.1} ms", of(|run| run.delivered_p50_ms))),
        ("acknowledged until delivered, p99", format!("{:.1} ms", of(|run| run.delivered_p99_ms))),
        ("acknowledged until seen in a query, p50", format!("{:.1} ms", of(|run| run.seen_p50_ms))),
        ("acknowledged until seen in a query, p99", format!("{:.1} ms", of(|run| run.seen_p99_ms))),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    report::line(&table.to_string())
}

async fn measure(site: &Site, log: &Log, topic: &str, parameters: &Parameters) -> Result<Run> {
    let (mut host, _) = start(site, log, topic).await?;
    let options = http::Options { listen: "127.0.0.1:0".parse().ok(), ..http::Options::default() };
    host.deployments().file(&site.plugin).await?;
    host.serve_http(&options).await?;
    let address = host.data().holder().and_then(|holder| holder.http).context("no HTTP")?;
    let deadline = Instant::now() + FILL_MAX;
    while host.deployments().statuses().first().is_none_or(|status| status.events < parameters.query_events) {
        ensure!(Instant::now() < deadline, "the read model is not filled after {FILL_MAX:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let model = host.data().read_model(NAME);
    let (connections, time) = (parameters.query_connections, Duration::from_secs(parameters.query_seconds));
    let measured = {
        let (address, model) = (address.clone(), model.clone());
        tokio::task::spawn_blocking(move || -> Result<_> {
            let keys = Arc::new(keys(&model)?);
            let http = over_http(&address, &keys, connections, time)?;
            let alone = over_http(&address, &keys, 1, time / 4)?;
            let process = in_process(&model, &keys, time)?;
            Ok((http, alone, process))
        })
        .await??
    };
    let ((http_per_s, _), (_, mut alone), process_per_s) = measured;
    let (mut delivered, mut seen) = visible(log, topic, &address, parameters.seen_events).await?;
    host.shutdown().await?;
    Ok(Run {
        http_per_s,
        process_per_s,
        http_p50_us: at(&mut alone, 0.5) * 1e6,
        http_p99_us: at(&mut alone, 0.99) * 1e6,
        delivered_p50_ms: at(&mut delivered, 0.5) * 1e3,
        delivered_p99_ms: at(&mut delivered, 0.99) * 1e3,
        seen_p50_ms: at(&mut seen, 0.5) * 1e3,
        seen_p99_ms: at(&mut seen, 0.99) * 1e3,
    })
}

fn at(seconds: &mut [f64], share: f64) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get((seconds.len().saturating_sub(1) as f64 * share) as usize).copied().unwrap_or(f64::NAN)
}

fn keys(model: &Path) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    let question = Question::new("SELECT order_id FROM orders ORDER BY random() LIMIT 10000");
    let limits = ReaderLimits::time(Duration::from_secs(10));
    Reader::open(model)?.query(
        question,
        limits,
        |_| {},
        |row| {
            if let Some(Cell::Text(key)) = row.into_iter().next() {
                keys.push(key);
            }
            ControlFlow::Continue(())
        },
    )?;
    ensure!(!keys.is_empty(), "there are no orders");
    Ok(keys)
}

/// A connection that stays open.
struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream: BufReader::new(stream), line: String::new(), body: Vec::new() })
    }

    /// Asks, and reads the answer's body.
    fn ask(&mut self, body: &str) -> Result<&[u8]> {
        self.send(body)?;
        self.receive()
    }

    fn send(&mut self, body: &str) -> Result<()> {
        let request = format!(
            "POST /v1/read-models/{NAME}/query HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Ok(self.stream.get_mut().write_all(request.as_bytes())?)
    }

    fn receive(&mut self) -> Result<&[u8]> {
        let mut length = 0;
        let mut is_ok = false;
        loop {
            self.line.clear();
            self.stream.read_line(&mut self.line)?;
            match self.line.trim_end() {
                "" => break,
                "HTTP/1.1 200 OK" => is_ok = true,
                line => {
                    if let Some(bytes) = line.strip_prefix("content-length: ") {
                        length = bytes.parse()?;
                    }
                }
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body)?;
        ensure!(is_ok, "{}", String::from_utf8_lossy(&self.body));
        Ok(&self.body)
    }
}

/// Queries a second, and the seconds that each took. Two threads ask, each on its share of the connections in turn: a thread for
/// each connection would take more of the machine than the host does.
fn over_http(
    address: &str,
    keys: &Arc<Vec<String>>,
    connections: usize,
    time: Duration,
) -> Result<(f64, Vec<f64>)> {
    let threads = THREADS.min(connections);
    let begin = Arc::new(Barrier::new(threads));
    let clients: Vec<_> = (0..threads)
        .map(|number| {
            let (address, keys, begin) = (address.to_owned(), Arc::clone(keys), Arc::clone(&begin));
            let mine = (connections + number) / threads;
            std::thread::spawn(move || -> Result<Vec<f64>> {
                let mut open = (0..mine).map(|_| Connection::open(&address)).collect::<Result<Vec<_>>>()?;
                let mut keys = keys.iter().cycle().skip(number * 97);
                let mut took = Vec::new();
                begin.wait();
                let since = Instant::now();
                while since.elapsed() < time {
                    let mut asked = Vec::with_capacity(mine);
                    for (connection, key) in open.iter_mut().zip(&mut keys) {
                        asked.push((key, Instant::now()));
                        connection.send(&format!(r#"{{"sql":"{SQL}","params":["{key}"]}}"#))?;
                    }
                    for (connection, (key, at)) in open.iter_mut().zip(asked) {
                        let answer = connection.receive()?;
                        ensure!(
                            answer.windows(key.len()).any(|window| window == key.as_bytes()),
                            "not the row"
                        );
                        took.push(at.elapsed().as_secs_f64());
                    }
                }
                Ok(took)
            })
        })
        .collect();
    let mut all = Vec::new();
    for client in clients {
        all.extend(client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
    }
    Ok((all.len() as f64 / time.as_secs_f64(), all))
}

/// Queries a second by connections of this process.
fn in_process(model: &Path, keys: &Arc<Vec<String>>, time: Duration) -> Result<f64> {
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let (model, keys) = (model.to_owned(), Arc::clone(keys));
            std::thread::spawn(move || -> Result<usize> {
                let connection = rusqlite::Connection::open_with_flags(
                    &model,
                    rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX,
                )?;
                let mut count = 0;
                let since = Instant::now();
                for key in keys.iter().cycle().skip(number * 97) {
                    let mut statement = connection.prepare_cached(SQL)?;
                    let found: String = statement.query_row([key], |row| row.get(0))?;
                    ensure!(found == *key, "not the row");
                    count += 1;
                    if since.elapsed() >= time {
                        break;
                    }
                }
                Ok(count)
            })
        })
        .collect();
    let mut count = 0;
    for thread in threads {
        count += thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
    }
    Ok(count as f64 / time.as_secs_f64())
}

/// Seconds from the acknowledgement of each event until a consumer has it, and until a query sees it.
async fn visible(log: &Log, topic: &str, address: &str, events: u64) -> Result<(Vec<f64>, Vec<f64>)> {
    let client = Client::new(&log.options())?;
    let ends = client.end_offsets(&[topic])?;
    let arrivals: Arc<Mutex<HashMap<(i32, i64), Instant>>> = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let consuming = {
        let (arrivals, stop) = (Arc::clone(&arrivals), Arc::clone(&stop));
        let start: Vec<Assignment> = ends.clone();
        std::thread::spawn(move || -> Result<()> {
            let mut consumer = client.consumer("bench", &start)?;
            while !stop.load(Ordering::Relaxed) {
                consumer.fetch(1_000, 1 << 20, Duration::from_millis(50), |record| {
                    let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
                    arrivals.insert((record.partition, record.offset), Instant::now());
                    ControlFlow::Continue(())
                })?;
            }
            Ok(())
        })
    };
    let appender = Appender::new(&log.options());
    let (mut workload, mut made) = (Workload::new(Keys::Window, events + 10), Made::default());
    let mut connection = Connection::open(address)?;
    let mut acknowledged = Vec::new();
    let mut seen = Vec::new();
    for number in 0..events + 10 {
        ensure!(workload.next(&mut made), "the workload is over");
        // Of orders that the read model does not have.
        let key = format!("seen-{number}");
        let payload: Value = serde_json::from_str(&made.payload.replace(made.key.as_str(), &key))?;
        let id = number.to_string();
        let headers = log::headers(&id, made.kind).map(|(name, value)| (name.to_owned(), value.to_vec()));
        let record = NewRecord {
            key: Some(key.into_bytes()),
            payload: Some(payload.to_string().into_bytes()),
            headers: headers.into(),
            timestamp_ms: 1_700_000_000_000,
        };
        let places = appender.append(topic, &[record]).await?;
        let moment = Instant::now();
        let place = places.first().context("no place")?;
        let position = format!("{topic}/{}@{}", place.partition, place.offset + 1);
        let body = format!(r#"{{"sql":"SELECT 1","wait_for":"{position}"}}"#);
        connection = tokio::task::spawn_blocking(move || -> Result<Connection> {
            connection.ask(&body)?;
            Ok(connection)
        })
        .await??;
        // The first ones find connections and statements that are not there yet.
        if number >= 10 {
            seen.push(moment.elapsed().as_secs_f64());
            acknowledged.push(((place.partition, place.offset), moment));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    let consumed = tokio::task::spawn_blocking(move || consuming.join()).await?;
    consumed.map_err(|_| anyhow::anyhow!("the consumer panicked"))??;
    let arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
    let delivered = acknowledged.iter().map(|(place, moment)| {
        let arrived = arrivals.get(place).context("an event was not delivered")?;
        Ok(arrived.saturating_duration_since(*moment).as_secs_f64())
    });
    Ok((delivered.collect::<Result<_>>()?, seen))
}
