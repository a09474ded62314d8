//! The pages under docs/getting-started, and those that begin with an example, followed as they are written.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use lantern_tests::page::{self, Item};
use lantern_tests::report::say;
use lantern_tests::target;
use std::time::Instant;

use crate::Desk;
use crate::languages::LANGUAGES;

// Who tries a language follows its page once. It must end with a row.
#[test]
fn whoever_follows_a_getting_started_page_gets_to_a_row() -> Result<()> {
    let docs = target::tests_dir().join("../docs/getting-started");
    let mut broken = Vec::new();
    for language in LANGUAGES {
        let path = docs.join(format!("{}.md", language.name));
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let items = page::items(&text);
        let has = |part: &str, printed: &str| {
            items.iter().any(|item| {
                matches!(item, Item::Step { command, output } if command.contains(part) && output.contains(printed))
            })
        };
        ensure!(
            has("lantern new", "") && has("lantern query", "│"),
            "{} shows only {items:?}",
            path.display()
        );
        if !language.is_there() {
            continue;
        }
        let begun = Instant::now();
        let desk = Desk::new()?;
        if let Err(error) = page::follow(&items, desk.folder(), &|script| desk.shell(script)) {
            broken.push(format!("{}: {error:#}", path.display()));
        }
        say(&format!("{}: {:.1} s", language.name, begun.elapsed().as_secs_f64()));
    }
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(())
}

// What comes after a first projection is tried from these pages.
#[test]
fn whoever_follows_a_page_with_an_example_sees_what_it_shows() -> Result<()> {
    for (name, steps_min) in [("commands.md", 8), ("upcasters.md", 5), ("ready-made.md", 3)] {
        let path = target::tests_dir().join("../docs").join(name);
        let items = page::items(&fs::read_to_string(&path).with_context(|| path.display().to_string())?);
        let steps = items.iter().filter(|item| matches!(item, Item::Step { .. })).count();
        ensure!(steps >= steps_min, "{name} shows only {items:?}");
        let desk = Desk::new()?;
        page::follow(&items, desk.folder(), &|script| desk.shell(script)).with_context(|| name.to_owned())?;
    }
    Ok(())
}

// A page that nobody tests is soon wrong.
#[test]
fn every_getting_started_page_is_of_a_language_that_is_tested() -> Result<()> {
    let docs = target::tests_dir().join("../docs/getting-started");
    let known: BTreeSet<String> = LANGUAGES.iter().map(|language| format!("{}.md", language.name)).collect();
    let index = fs::read_to_string(docs.join("README.md"))?;
    for entry in fs::read_dir(docs)? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        ensure!(name == "README.md" || known.contains(&name), "{name} is of no language");
        ensure!(
            name == "README.md" || index.contains(&format!("({name})")),
            "the index does not lead to {name}"
        );
    }
    Ok(())
}

// Whoever chooses a language compares what it costs, and what has to be installed.
#[test]
fn the_tables_of_languages_have_a_row_for_each() -> Result<()> {
    for page in ["languages.md", "building.md"] {
        let text = fs::read_to_string(target::tests_dir().join("../docs").join(page))?;
        let first = |line: &str| Some(line.strip_prefix("| ")?.split_once(" |")?.0.to_lowercase());
        let rows: BTreeSet<String> = text.lines().filter_map(first).collect();
        for language in LANGUAGES {
            ensure!(rows.contains(language.name), "docs/{page} has no row for {}: {rows:?}", language.name);
        }
    }
    Ok(())
}
