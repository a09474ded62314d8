use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lantern_tests::report::skip;
use lantern_tests::site::transcript;

use super::Broker;

const RECORDS: usize = 500;

// kcat stands for every program on librdkafka as Debian has it: 2.0, two years older than ours.
#[test]
fn kcat_produces_consumes_and_looks_around() -> Result<()> {
    if Command::new("kcat").arg("-V").output().is_err() {
        skip("kcat: apt-get install kcat");
        return Ok(());
    }
    let broker = Broker::start()?;
    let kcat = |words: &str, input: &str| run(broker.address(), words, input);
    let lines: Vec<String> = (0..RECORDS).map(|i| format!("k{i}|value {i}")).collect();
    let text = lines.join("\n") + "\n";
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        kcat(&format!("-P -t {codec} -K | -z {codec} -H codec={codec}"), &text)?;
        let read = kcat(&format!("-C -t {codec} -o beginning -e -q -f %k|%s\\n"), "")?;
        ensure!(read == text, "{codec}: {read}");
    }
    let headers = kcat("-C -t zstd -o -1 -e -q -f %h:%o", "")?;
    ensure!(headers == format!("codec=zstd:{}", RECORDS - 1), "{headers}");

    let listed = kcat("-L", "")?;
    for wanted in
        ["1 brokers", "topic \"gzip\" with 1 partitions", "partition 0, leader 1, replicas: 1, isrs: 1"]
    {
        ensure!(listed.contains(wanted), "{wanted} is missing: {listed}");
    }
    let end = kcat("-Q -t lz4:0:-1", "")?;
    ensure!(end.trim() == format!("lz4 [0] offset {RECORDS}"), "{end}");
    let start = kcat("-Q -t lz4:0:1600000000000", "")?;
    ensure!(start.trim() == "lz4 [0] offset 0", "{start}");

    // A group goes on where it stopped.
    kcat("-P -t grouped -K |", &text)?;
    let member = "-G readers -X auto.offset.reset=earliest -q -e -f %k|%s\\n grouped";
    let first = kcat(member, "")?;
    ensure!(first == text, "{first}");
    kcat("-P -t grouped -K |", "later|one\n")?;
    let second = kcat(member, "")?;
    ensure!(second == "later|one\n", "{second}");
    Ok(())
}

fn run(address: &str, words: &str, input: &str) -> Result<String> {
    let mut process = Command::new("kcat")
        .args(["-b", address])
        .args(words.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // Closed at once, which is the end of the text.
    process.stdin.take().context("its input is piped")?.write_all(input.as_bytes())?;
    let output = process.wait_with_output()?;
    ensure!(output.status.success(), "kcat {words}: {}", transcript(&output));
    Ok(String::from_utf8(output.stdout)?)
}
