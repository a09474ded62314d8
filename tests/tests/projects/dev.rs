//! `lantern dev` in every language but Rust, which is tried beside other ways to deploy.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use lantern_tests::log::{Log, on};
use lantern_tests::site::{Site, transcript};
use lantern_tests::{client, wait};

use crate::Desk;
use crate::languages::LANGUAGES;

/// A language, the file that is edited, and what its first edit replaces by what.
type Edit = (&'static str, &'static str, [&'static str; 2]);

/// How many at a time: each has a compiler.
const AT_ONCE: usize = 2;
const VERSION: [&str; 2] = ["0.1.0", "0.1.1"];
const NO_VERSION: [&str; 2] = ["topics: [", "version: \"0.1.1\", topics: ["];
const EDITS: [Edit; 7] = [
    ("python", "app.py", ["topics=[", "version=\"0.1.1\", topics=["]),
    ("go", "main.go", VERSION),
    ("javascript", "src/index.js", NO_VERSION),
    ("typescript", "src/index.ts", NO_VERSION),
    ("c", "dev-c.c", VERSION),
    ("zig", "src/main.zig", VERSION),
    ("assemblyscript", "assembly/index.ts", VERSION),
];

// Every language writes other files beside the source when it builds: a save is one build, and a build is none.
#[test]
fn what_is_saved_is_swapped_in_once_in_every_language() -> Result<()> {
    on(&Log::Embedded, |log| {
        let (site, desk) = (Site::new(log)?, Desk::new()?);
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), "accounts", 1)?;
        let here = |edit: &&Edit| LANGUAGES.iter().any(|known| known.name == edit.0 && known.is_there());
        let edits: Vec<&Edit> = EDITS.iter().filter(here).collect();
        let mut broken = Vec::new();
        for few in edits.chunks(AT_ONCE) {
            thread::scope(|scope| {
                let running: Vec<_> = few
                    .iter()
                    .copied()
                    .map(|edit| (edit.0, scope.spawn(|| save_twice(&site, desk.folder(), edit))))
                    .collect();
                for (language, done) in running {
                    let done = done.join().unwrap_or_else(|_| Err(anyhow!("the check has panicked")));
                    broken.extend(done.err().map(|error| format!("{language}: {error:#}")));
                }
            });
        }
        ensure!(broken.is_empty(), "{}", broken.join("\n"));
        ensure!(host.terminate()?.success());
        Ok(())
    })
}

fn save_twice(site: &Site, folder: &Path, (language, file, [old, new]): &Edit) -> Result<()> {
    let name = format!("dev-{language}");
    let made = site
        .lantern(["new", &name, "--lang", language, "--kind", "projection"])?
        .current_dir(folder)
        .output()?;
    ensure!(made.status.success(), "{}", transcript(&made));
    let said_path = folder.join(format!("{name}.log"));
    let said = File::create(&said_path)?;
    let mut dev = site
        .lantern(["dev", &name])?
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(said.try_clone()?)
        .stderr(said)
        .spawn()?;
    let mut await_said = |words: &str, times: usize| {
        wait::until(&format!("lantern dev says {words:?} {times} times"), || {
            let said = fs::read_to_string(&said_path)?;
            ensure!(dev.try_wait()?.is_none(), "it ended: {said}");
            Ok((said.matches(words).count() >= times).then_some(()))
        })
        .with_context(|| fs::read_to_string(&said_path).unwrap_or_default())
    };
    let done = (|| {
        let (source, beside) = (folder.join(&name).join(file), folder.join(format!("{name}.edited")));
        await_said("started in", 1)?;
        await_said("watching", 1)?;
        save(&source, &beside, old, new)?;
        await_said("swapped in", 1)?;
        await_said("watching", 2)?;
        save(&source, &beside, "0.1.1", "0.1.2")?;
        await_said("swapped in", 2)?;
        await_said("watching", 3)
    })();
    // It ends with the test, and what it has said stays.
    dev.kill()?;
    dev.wait()?;
    done?;
    let said = fs::read_to_string(&said_path)?;
    ensure!(said.matches("built in").count() == 3, "two edits are not two more builds: {said}");
    Ok(())
}

/// Replaces a file in one step, from `beside`, outside of the project: half of it would be an edit of its own.
fn save(path: &Path, beside: &Path, old: &str, new: &str) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    ensure!(text.contains(old), "{} has no {old}", path.display());
    fs::write(beside, text.replacen(old, new, 1))?;
    fs::rename(beside, path)?;
    Ok(())
}
