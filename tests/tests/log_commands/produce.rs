//! Records by `lantern produce`, on both brokers.

use std::fs::{self, File};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lantern_tests::client;
use lantern_tests::guest::unique_topic;
use lantern_tests::log::{Log, each_log, on};
use lantern_tests::site::{Site, check, transcript};

use super::broker;

/// By the system's own gzip, which knows nothing of how it is read.
fn gzip(text: &str) -> Result<Vec<u8>> {
    // From a file: who writes into a pipe and reads from another waits for ever when both are full.
    let file = tempfile::NamedTempFile::new()?;
    fs::write(&file, text)?;
    let output = Command::new("gzip").arg("-c").stdin(File::open(&file)?).output()?;
    ensure!(output.status.success(), "{}", transcript(&output));
    Ok(output.stdout)
}

// Events are kept and sent compressed. A file and a pipe must give what the lines themselves would give, keys and types included.
#[test]
fn compressed_lines_are_appended_as_they_stand_from_a_file_and_from_a_pipe() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("packed");
        let site = Site::new(log)?;
        let _broker = broker(&site, log)?;
        let lines: Vec<String> =
            (0..500).map(|n| format!(r#"{{"type":"Counted","of":"key-{}","n":{n}}}"#, n % 7)).collect();
        let path = site.plugins_dir().with_file_name("events.jsonl.gz");
        fs::write(&path, gzip(&lines[..300].join("\n"))?)?;
        let of = ["--key-field", "of", "--type-field", "type"];
        let name = path.to_str().context("a path in UTF-8")?;
        let arguments = [&["produce", &topic, name, "--partitions", "3"], &of[..]].concat();
        let appended = site.json(arguments)?;
        ensure!(appended["events"] == 300 && appended["created"] == true, "{appended}");
        fs::write(&path, gzip(&lines[300..].join("\n"))?)?;
        let arguments = [&["produce", &topic, "-", "--partitions", "3"], &of[..]].concat();
        let output = site.lantern(arguments)?.stdin(File::open(&path)?).output()?;
        ensure!(output.status.success(), "{}", transcript(&output));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(said.contains("appended 200 events"), "{said}");

        let mut found = Vec::new();
        for record in client::read_committed(site.address(), &topic)?.into_values().flatten() {
            let value = String::from_utf8(record.value.clone().context("a value")?)?;
            let key = record.key.as_deref().context("a key")?;
            ensure!(value.contains(&*String::from_utf8_lossy(key)), "{value} has the key {key:?}");
            ensure!(record.header("ce_type") == Some("Counted"), "{record:?}");
            found.push(value);
        }
        found.sort_unstable();
        let mut lines = lines;
        lines.sort_unstable();
        ensure!(found == lines, "{found:?}");

        // Whoever relies on so many partitions must learn that they are others.
        let arguments = ["produce", &topic, name, "--partitions", "4"];
        check(&site, arguments, 1, &["has 3 partitions, not 4", "leave --partitions out"])?;
        Ok(())
    })
}

// Who has to mend a file of a million lines needs to know where, and what is in the log already.
#[test]
fn input_that_is_wrong_is_told_with_its_line_and_what_was_appended_before_it() -> Result<()> {
    on(&Log::Embedded, |log| {
        let site = Site::new(log)?;
        let _broker = broker(&site, log)?;
        let path = site.plugins_dir().with_file_name("events.jsonl");
        let name = path.to_str().context("a path in UTF-8")?;
        let refused = |content: &[u8], words: &[&str]| -> Result<()> {
            fs::write(&path, content)?;
            check(&site, ["produce", "mended", name, "--type-field", "type"], 1, words).map(drop)
        };
        let line = "{\"type\":\"a\"}\n";
        let two = line.repeat(2);
        let before = "2 events had been appended before it, and nothing after it was sent";
        refused(
            format!("{two}\n  {{\"type\": \"a\",, }}\n{line}").as_bytes(),
            &["events.jsonl, line 4, column 16: this is not a JSON object", before],
        )?;
        refused(format!("{two}[1]\n").as_bytes(), &["line 3, column 1: this is not a JSON object", before])?;
        refused(format!("{two}{{\"typ\":\"a\"}}\n").as_bytes(), &["events.jsonl, line 3: ", "type", before])?;
        // So much that something of it can be read before its end is missed.
        let mut cut =
            gzip(&(0..200_000).map(|n| format!("{{\"type\":\"a\",\"n\":{n}}}\n")).collect::<String>())?;
        cut.truncate(cut.len() / 2);
        refused(&cut, &["events.jsonl, line ", ": cannot be read: ", "had been appended before it"])?;
        refused(
            &cut[..5],
            &["events.jsonl, line 1: cannot be read: ", "0 events had been appended before it"],
        )?;
        check(&site, ["produce", "mended", "nowhere.jsonl"], 1, &["cannot read nowhere.jsonl"])?;
        Ok(())
    })
}
