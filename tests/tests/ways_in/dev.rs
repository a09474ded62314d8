//! `lantern dev`

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use lantern_tests::client;
use lantern_tests::log::{Log, on};
use lantern_tests::site::{Signal, Site, check, transcript};
use lantern_tests::{target, wait};
use rustix::process::{Pid, kill_process};

use crate::entries;

// The shortest way from a line of code to its rows, also in a script: build, deploy, look, leave.
#[test]
fn dev_once_builds_deploys_to_its_own_host_or_the_one_that_runs_and_shows_rows() -> Result<()> {
    on(&Log::Embedded, |log| {
        let site = Site::new(log)?;
        let source = target::tests_dir().join("guests/tally");
        let source = path(&source)?;
        {
            let mut host = site.start()?;
            host.await_broker()?;
            client::create_topic(site.address(), "tally", 2)?;
            client::produce(site.address(), "tally", entries(0..40))?;
            check(&site, ["dev", source, "--once"], 0, &["built in", "started", "latest", "partitions"])?;
            ensure!(host.terminate()?.success());
        }
        check(&site, ["dev", source, "--once"], 0, &["built in", "latest", "tally"])?;
        check(&site, ["dev", "nowhere", "--once"], 1, &["nowhere"])?;
        Ok(())
    })
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

/// A crate of its own, so that a test can change its source.
fn write_crate(dir: &Path, limit: &str) -> Result<()> {
    let sdk = target::tests_dir().join("../plugin-sdk").canonicalize()?;
    fs::create_dir_all(dir.join("src"))?;
    let manifest = format!(
        "[package]\nname = \"counts\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n\
         [dependencies]\nlantern-sdk = {{ path = {:?} }}\n[workspace]\n",
        sdk.display().to_string()
    );
    fs::write(dir.join("Cargo.toml"), manifest)?;
    // The versions that the workspace has, so that nothing has to be looked up.
    if !dir.join("Cargo.lock").exists() {
        fs::copy(target::tests_dir().join("../Cargo.lock"), dir.join("Cargo.lock"))?;
    }
    let source = SOURCE.replace("LIMIT", limit);
    fs::write(dir.join("src/lib.rs"), source)?;
    Ok(())
}

const SOURCE: &str = r#"
use lantern_sdk::{Db, Envelope, Event, Manifest, Projection, Result, Table};
static COUNTS: Table = Table::new("counts", &["one"], &["events"]);
#[derive(Default)]
struct Counts;
impl Projection for Counts {
    fn manifest() -> Manifest {
        Manifest::new("counts").topic("counted").envelope(Envelope::Topic { event_type: None })
            .schema("CREATE TABLE counts (one INTEGER PRIMARY KEY, events INTEGER)")
    }
    fn apply(&mut self, _: &Event<'_>, db: &mut Db) -> Result<()> {
        db.upsert(&COUNTS, 1).add("events", LIMIT);
        Ok(())
    }
}
lantern_sdk::projection!(Counts);
"#;

// A developer saves half-finished code all the time: it must cost a message, never the version that runs.
#[test]
fn dev_swaps_in_what_is_saved_and_a_compile_error_leaves_the_running_version_alone() -> Result<()> {
    on(&Log::Embedded, |log| {
        let site = Site::new(log)?;
        let source = site.plugins_dir().with_file_name("counts");
        write_crate(&source, "1")?;
        // What was built by an earlier run is not built again; the SDK may take longer than a test waits.
        let built_in = target::cache_dir()?.join("dev");
        let out = site.plugins_dir().with_file_name("counts.wasm");
        let build = ["build", path(&source)?, "--out", path(&out)?];
        let build = site.lantern(build)?.env("CARGO_TARGET_DIR", &built_in).output()?;
        ensure!(build.status.success(), "{}", transcript(&build));
        let said_path = site.plugins_dir().with_file_name("dev.log");
        let said = File::create(&said_path)?;
        let mut dev = site
            .lantern(["dev", path(&source)?])?
            .env("CARGO_TARGET_DIR", built_in)
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()?;
        let mut await_said = |words: &str, times: usize| {
            wait::until(&format!("lantern dev says {words:?}"), || {
                let said = fs::read_to_string(&said_path)?;
                ensure!(dev.try_wait()?.is_none(), "it ended: {said}");
                Ok((said.matches(words).count() >= times).then_some(()))
            })
            .with_context(|| fs::read_to_string(&said_path).unwrap_or_default())
        };
        let done = (|| {
            await_said("log at", 1)?;
            client::create_topic(site.address(), "counted", 1)?;
            client::produce(
                site.address(),
                "counted",
                entries(0..20).filter(|record| record.partition == 0),
            )?;
            await_said("started in", 1)?;
            await_said("watching", 1)?;
            write_crate(&source, "1000")?;
            await_said("swapped in", 1)?;
            await_said("watching", 2)?;
            write_crate(&source, "this is no Rust")?;
            await_said("does not compile", 1)?;
            await_said("watching", 3)?;
            client::produce(site.address(), "counted", entries(0..1))?;
            wait::until("the version before counts on", || {
                let counted = site.read_model("counts")?.number("SELECT events FROM counts")?;
                Ok((counted == 1_010).then_some(()))
            })?;
            write_crate(&source, "1")?;
            await_said("swapped in", 2)
        })();
        if done.is_err() {
            dev.kill()?;
            dev.wait()?;
            return done;
        }
        // As service managers and containers end it.
        kill_process(Pid::from_child(&dev), Signal::TERM)?;
        let ended = dev.wait()?;
        ensure!(ended.success(), "{ended}: {}", fs::read_to_string(&said_path)?);
        ensure!(site.json(["status"])?["host"].is_null(), "it leaves no host behind");
        Ok(())
    })
}
