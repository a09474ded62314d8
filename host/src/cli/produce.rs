//! `lantern produce`: JSON lines into a topic.

use super::{Context, output};
use crate::event::fields;
use crate::log::{self, Client, Producer, Report};
use anyhow::{Context as _, anyhow, bail};
use flate2::bufread::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The longest line that is read, in bytes. No broker takes records this large by default.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// How long to wait for the last acknowledgements.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(60);

/// Append JSON lines to a topic.
///
/// Every line is one event, a JSON object, which is appended as it stands. Blank lines are passed over.
/// With `--type-field` events are CloudEvents in Kafka's binary mode, as Lantern expects them by default;
/// without, they are plain JSON records.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lantern produce orders events.jsonl.gz --type-field type --key-field order.id
  echo '{\"type\":\"paid\",\"order\":7}' | lantern produce orders --type-field type --key-field order")]
pub struct Produce {
    /// The topic. It is created if it is missing.
    topic: String,

    /// A file of JSON lines, which may be compressed with gzip; `-` is standard input.
    #[arg(default_value = "-")]
    file: PathBuf,

    /// The field that holds each event's key: events of one key stay in order. Dots lead into objects.
    #[arg(long, value_name = "FIELD")]
    key_field: Option<String>,

    /// The field that holds each event's type. Dots lead into objects.
    #[arg(long, value_name = "FIELD")]
    type_field: Option<String>,

    /// The field that holds each event's time, as milliseconds since 1970 or as RFC 3339. Without it, an
    /// event's time is when it is sent. Dots lead into objects.
    #[arg(long, value_name = "FIELD")]
    time_field: Option<String>,

    /// How many partitions the topic gets when it is created [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,

    /// Print what was appended as JSON.
    #[arg(long)]
    json: bool,
}

/// What was appended.
#[derive(Debug, Serialize)]
struct Summary {
    topic: String,
    /// Whether the topic was missing.
    created: bool,
    events: u64,
    /// Of payloads.
    bytes: u64,
    seconds: f64,
    partitions: Vec<Appended>,
}

/// From the first event appended to a partition to behind the last.
#[derive(Debug, Serialize)]
struct Appended {
    partition: i32,
    first: i64,
    end: i64,
}

impl Produce {
    /// Appends the events and prints a summary. An error in the input tells its file, line and column, and
    /// how many events had been appended before it.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let progress = if context.quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        let mut lines = Lines::open(&self.file, &progress)?;
        let summary = context.with_log("produce", |log| {
            let appended = self.append(log.options(), &mut lines);
            progress.finish_and_clear();
            appended
        })?;
        if self.json {
            output::json(&summary)?;
        } else {
            output::line(&summary.to_string())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn append(&self, options: &log::Options, lines: &mut Lines) -> anyhow::Result<Summary> {
        let created = self.prepare_topic(options)?;
        let producer = Producer::new(options)?;
        let start = Instant::now();
        let mut bytes = 0;
        let sent = self.send_all(&producer, lines, &mut bytes);
        let flushed = producer.flush(FLUSH_TIMEOUT);
        // What stopped the sending says more than what became of the rest.
        let report = match sent.and(flushed.map_err(Into::into)) {
            Ok(report) => report,
            Err(error) => return Err(stopped(&error, &producer.report())),
        };
        let ranges = report.ranges.get(&self.topic).into_iter().flatten();
        let partitions = ranges.map(|(partition, range)| Appended {
            partition: *partition,
            first: range.start,
            end: range.end,
        });
        Ok(Summary {
            topic: self.topic.clone(),
            created,
            events: report.delivered,
            bytes,
            seconds: start.elapsed().as_secs_f64(),
            partitions: partitions.collect(),
        })
    }

    /// Creates the topic if it is missing.
    fn prepare_topic(&self, options: &log::Options) -> anyhow::Result<bool> {
        let client = Client::new(options)?;
        match (client.partitions(&self.topic), self.partitions) {
            (Ok(found), Some(asked)) if i32::try_from(found.len()) != Ok(asked) => bail!(
                "topic {} exists and has {}, not {asked}; leave --partitions out to append to it as it is",
                self.topic,
                count(found.len(), "partition")
            ),
            (Ok(_), _) => Ok(false),
            (Err(log::Error::TopicMissing { .. }), asked) => {
                let partitions = asked.unwrap_or(1);
                let created = client.create_topic(&self.topic, partitions)?;
                output::remark(&format!(
                    "created topic {} with {}",
                    self.topic,
                    count(partitions, "partition")
                ));
                Ok(created)
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    fn send_all(&self, producer: &Producer, lines: &mut Lines, bytes: &mut u64) -> anyhow::Result<()> {
        while let Some(line) = lines.next()? {
            let event: Map<String, Value> = serde_json::from_slice(line).map_err(|error| {
                // The parser has not seen what stands before the event.
                let before = lines.line.len() - lines.line.trim_ascii_start().len();
                lines.at(Some(before + error.column().max(1)), &not_an_object(&error))
            })?;
            let line = lines.line.trim_ascii();
            self.send(producer, &event, line).map_err(|error| match error.downcast::<log::Error>() {
                Ok(error) => anyhow!(error).context(lines.place(None)),
                Err(error) => lines.at(None, &error.to_string()),
            })?;
            *bytes += line.len() as u64;
        }
        Ok(())
    }

    fn send(&self, producer: &Producer, event: &Map<String, Value>, line: &[u8]) -> anyhow::Result<()> {
        let of = anyhow::Error::msg;
        let key = self.key_field.as_deref().map(|field| fields::key(event, field)).transpose().map_err(of)?;
        let kind =
            self.type_field.as_deref().map(|field| fields::kind(event, field)).transpose().map_err(of)?;
        let time = match self.time_field.as_deref() {
            Some(field) => fields::time(event, field).map_err(of)?,
            None => Timestamp::now(),
        };
        let mut headers: Vec<(&str, &[u8])> = vec![("content-type", b"application/json")];
        let (id, time_text);
        if let Some(kind) = kind {
            id = unique_id();
            time_text = time.to_string();
            headers.extend_from_slice(&[
                ("ce_specversion", b"1.0"),
                ("ce_id", id.as_bytes()),
                ("ce_source", b"lantern/produce"),
                ("ce_type", kind.as_bytes()),
                ("ce_time", time_text.as_bytes()),
            ]);
        }
        let key = key.as_deref().map(str::as_bytes);
        producer.send(&self.topic, key, Some(line), &headers, None, Some(time.as_millisecond()))?;
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { topic, events, bytes, seconds, partitions, .. } = self;
        let events = count(*events, "event");
        write!(f, "appended {events} ({bytes} bytes) to {topic} in {seconds:.2} s")?;
        for Appended { partition, first, end } in partitions {
            write!(f, "\n  partition {partition}: offsets {first} to {}", end - 1)?;
        }
        Ok(())
    }
}

fn count(number: impl TryInto<u64, Error: fmt::Debug>, what: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The error that ended it, with what had been done before.
fn stopped(error: &anyhow::Error, report: &Report) -> anyhow::Error {
    anyhow!(
        "{error:#}\n{} had been appended before it, and nothing after it was sent",
        count(report.delivered, "event")
    )
}

fn not_an_object(error: &serde_json::Error) -> String {
    // The parser counts lines too, and sees one at a time.
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or_default();
    format!("this is not a JSON object: {reason}")
}

/// A random UUID (RFC 9562, version 4).
fn unique_id() -> String {
    let random: u128 = rand::random();
    let bits = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// The lines of the input, and where one is.
struct Lines {
    name: String,
    input: Box<dyn BufRead>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    /// Opens a file or standard input, and takes gzip off if its first bytes say so.
    fn open(file: &Path, progress: &ProgressBar) -> anyhow::Result<Self> {
        let (name, input): (_, Box<dyn Read>) = if file == Path::new("-") {
            ("standard input".to_owned(), Box::new(progress.wrap_read(io::stdin())))
        } else {
            let name = file.display().to_string();
            let opened = File::open(file).with_context(|| format!("cannot read {name}"))?;
            if let Ok(metadata) = opened.metadata().map(|metadata| metadata.len()) {
                progress.set_length(metadata);
                // The template is a constant that is right.
                if let Ok(style) =
                    ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes}, {eta} left")
                {
                    progress.set_style(style);
                }
            }
            (name, Box::new(progress.wrap_read(opened)))
        };
        let mut input = BufReader::with_capacity(1 << 16, input);
        let is_gzip =
            input.fill_buf().with_context(|| format!("cannot read {name}"))?.starts_with(&[0x1f, 0x8b]);
        let input: Box<dyn BufRead> =
            if is_gzip { Box::new(BufReader::new(MultiGzDecoder::new(input))) } else { Box::new(input) };
        Ok(Lines { name, input, line: Vec::new(), number: 0 })
    }

    /// The next line that is not blank.
    fn next(&mut self) -> anyhow::Result<Option<&[u8]>> {
        loop {
            self.line.clear();
            self.number += 1;
            let read = self.input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut self.line);
            match read {
                Ok(0) => return Ok(None),
                Ok(size) if size as u64 == LINE_BYTES_MAX && !self.line.ends_with(b"\n") => {
                    return Err(self.at(None, &format!("the line is longer than {LINE_BYTES_MAX} bytes")));
                }
                Ok(_) if self.line.trim_ascii().is_empty() => {}
                Ok(_) => return Ok(Some(self.line.trim_ascii())),
                Err(error) => return Err(self.at(None, &format!("cannot be read: {error}"))),
            }
        }
    }

    fn place(&self, column: Option<usize>) -> String {
        let column = column.map(|column| format!(", column {column}")).unwrap_or_default();
        format!("{}, line {}{column}", self.name, self.number)
    }

    fn at(&self, column: Option<usize>, problem: &str) -> anyhow::Error {
        anyhow!("{}: {problem}", self.place(column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// The lines of a file with this content, and the error that ends them, if one does.
    fn lines(content: &[u8]) -> (Vec<String>, Option<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        std::fs::write(&path, content).unwrap();
        let mut lines = Lines::open(&path, &ProgressBar::hidden()).unwrap();
        let mut found = Vec::new();
        loop {
            match lines.next() {
                Ok(Some(line)) => found.push(String::from_utf8_lossy(line).into_owned()),
                Ok(None) => return (found, None),
                Err(error) => return (found, Some(error.to_string())),
            }
        }
    }

    // Archives are compressed, in one piece or in several, and what is in them counts, not what they are called.
    #[test]
    fn gzip_is_taken_off_by_what_the_input_begins_with() {
        let check = |content: &[u8], expected: &[&str]| {
            let (found, error) = lines(content);
            assert_eq!(
                (found.iter().map(String::as_str).collect::<Vec<_>>(), error),
                (expected.to_vec(), None)
            );
        };
        check(b"a\n\n  b \r\nc", &["a", "b", "c"]);
        check(&gzip(b"a\nb\n"), &["a", "b"]);
        check(&[gzip(b"a\nb"), gzip(b"c\n"), gzip(b"d")].concat(), &["a", "bc", "d"]);
        check(&gzip(b""), &[]);
        check(b"", &[]);
        check(b"\x1f", &["\u{1f}"]);
    }

    // A download that broke off, or a file that never ends a line, must not pass for a whole one, nor fill the memory.
    #[test]
    fn what_is_cut_off_or_endless_is_an_error_with_its_line() {
        let mut cut = gzip(&b"{\"a\":1}\n".repeat(3));
        cut.truncate(cut.len() - 9);
        let (found, error) = lines(&cut);
        let error = error.unwrap();
        assert!(error.contains(&format!("line {}: cannot be read", found.len() + 1)), "{error}");
        let (_, error) = lines(&[&gzip(b"a\n")[..], b"no gzip"].concat());
        assert!(error.unwrap().contains("line 2: cannot be read"));
        let long = usize::try_from(LINE_BYTES_MAX).unwrap();
        let (found, error) = lines(&gzip(&[b"a\n", &vec![b'x'; long][..]].concat()));
        assert_eq!(found, ["a"]);
        assert!(error.unwrap().contains("line 2: the line is longer than 67108864 bytes"));
    }

    // Ids of events must differ, and be of the form that tools expect.
    #[test]
    fn ids_are_random_uuids() {
        let id = unique_id();
        let groups: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]));
        assert_ne!(id, unique_id());
    }
}
