//! The examples: what others learn from, and try first.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use lantern_tests::page::{self, Item};
use lantern_tests::report::say;
use lantern_tests::target;

use crate::Desk;
use crate::languages::{C_TESTS, LANGUAGES, LINKED_TESTS, PYTHON_TESTS, TYPESCRIPT_TESTS, ZIG_TESTS};

/// An example: its folder, its language, and its native tests beside those of cargo, by folder.
struct Example {
    folder: &'static str,
    language: &'static str,
    native: &'static [(&'static str, &'static str)],
}

const EXAMPLES: [Example; 12] = [
    Example { folder: "bank", language: "rust", native: &[] },
    Example { folder: "by-hand", language: "c", native: &[] },
    Example { folder: "checkout", language: "rust", native: &[] },
    Example { folder: "commits", language: "rust", native: &[] },
    Example { folder: "inventory", language: "assemblyscript", native: &[] },
    Example { folder: "leaderboard", language: "zig", native: &[("", ZIG_TESTS)] },
    Example {
        folder: "library",
        language: "go",
        native: &[("", "go test ./..."), ("book", "lantern test && go test ./...")],
    },
    Example { folder: "orders", language: "rust", native: &[] },
    Example { folder: "parking", language: "c", native: &[("", C_TESTS)] },
    Example { folder: "polls", language: "javascript", native: &[("", LINKED_TESTS)] },
    Example { folder: "tickets", language: "typescript", native: &[("", TYPESCRIPT_TESTS)] },
    Example { folder: "weather", language: "python", native: &[("", PYTHON_TESTS)] },
];

// Who looks at an example types what its page says, and changes it next: both must work as they stand.
#[test]
fn whoever_follows_the_page_of_an_example_sees_what_it_shows_and_its_tests_pass() -> Result<()> {
    let mut broken = Vec::new();
    for example in EXAMPLES {
        let begun = Instant::now();
        if let Err(error) = check(&example) {
            broken.push(format!("{}: {error:#}", example.folder));
        }
        say(&format!("{}: {:.1} s", example.folder, begun.elapsed().as_secs_f64()));
    }
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(())
}

// An example that nobody follows is soon wrong.
#[test]
fn every_example_is_followed() -> Result<()> {
    let known: BTreeSet<String> = EXAMPLES.iter().map(|example| example.folder.to_owned()).collect();
    let there: BTreeSet<String> = fs::read_dir(target::tests_dir().join("../examples"))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    ensure!(known == there, "followed are {known:?}, there are {there:?}");
    Ok(())
}

fn check(example: &Example) -> Result<()> {
    let Example { folder, language, native } = example;
    let Some(language) = LANGUAGES.iter().find(|known| known.name == *language) else {
        bail!("there is no language {language}")
    };
    if !language.is_there() {
        return Ok(());
    }
    let examples = target::tests_dir().join("../examples").canonicalize()?;
    let text = fs::read_to_string(examples.join(folder).join("README.md"))?;
    let items = page::items(&text);
    let shows = |command: &str| {
        let is_shown = |item: &Item| matches!(item, Item::Step { command: typed, output } if typed.starts_with(command) && !output.is_empty());
        items.iter().any(is_shown)
    };
    ensure!(
        shows("lantern query") || shows("lantern aggregate"),
        "its page shows no rows and no state: {items:?}"
    );
    let desk = Desk::new()?;
    let here = desk.folder().join("examples");
    if *language.name == *"rust" {
        // A member of the workspace is built where it is; what it writes goes into cargo's folder.
        symlink(&examples, &here)?;
    } else {
        // What a build leaves stays out of the source.
        fs::create_dir(&here)?;
        desk.run(&format!(
            "cp -r {} examples && rm -rf examples/{folder}/plugins",
            examples.join(folder).display()
        ))?;
    }
    page::follow(&items, desk.folder(), &|script| desk.shell(script))?;
    // Where a language has none it has said so.
    if language.native().is_some() {
        for (inner, tests) in *native {
            desk.run(&format!("cd examples/{folder}/{inner} && {tests}")).context("its own tests")?;
        }
    }
    Ok(())
}
