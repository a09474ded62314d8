//! A contender that does less than the others would win. So the benchmark itself compares what all have done, and
//! fails when they differ; here it runs on a small workload.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::process::Command;

fn bench(arguments: &[&str]) -> Value {
    let output =
        Command::new(env!("CARGO_BIN_EXE_lantern-bench")).args(arguments).arg("--json").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?} ended with {}\n{errors}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn all_contenders_end_with_the_same_tables() {
    let told = bench(&["--events", "5000", "--runs", "1", "--live-rate", "1000", "--live-seconds", "1"]);
    let replays = told["replay"].as_array().unwrap();
    assert_eq!(replays.len(), 2, "both kinds of keys: {told:#}");
    for contender in ["usual", "best", "lantern"] {
        for replay in replays {
            assert_eq!(replay["runs"][contender][0]["events"], 5_000, "{replay:#}");
        }
        let p50 = told["live"]["runs"][contender][0]["lone"]["p50_ms"].as_f64();
        assert!(p50.is_some_and(f64::is_finite), "{contender}: {told:#}");
    }
}

// What a command costs means something only beside an append of the same bytes, so both must have been measured.
#[test]
fn commands_are_measured_beside_raw_appends() {
    let part = ["--commands", "--runs", "1", "--commands-alone", "50", "--command-seconds", "1"];
    let told = bench(&[&part[..], &["--command-clients", "4", "--catch-up-events", "2000"]].concat());
    let run = &told["runs"][0];
    for measured in ["commands_per_s", "over_http_per_s", "raw_per_s", "catch_up_per_s"] {
        assert!(run[measured].as_f64().is_some_and(|rate| rate > 0.0), "{measured}: {told:#}");
    }
    for ratio in ["command/raw p50", "commands/raw per s"] {
        assert!(told["ratios"][ratio].as_f64().is_some_and(f64::is_finite), "{ratio}: {told:#}");
    }
}
