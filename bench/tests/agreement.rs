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
