//! The pages for users say what the code has. Read off the text of both, so that it is quick.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A struct of settings, where it is declared, and the heading of its table in docs/configuration.md.
const SETTINGS: [(&str, &str, &str); 9] = [
    ("host/src/config.rs", "Config", "## Folders"),
    ("host/src/http/options.rs", "Options", "## `[http]`"),
    ("host/src/command/options.rs", "Options", "## `[commands]`"),
    ("host/src/projection/options.rs", "BatchOptions", "## `[batch]`"),
    ("host/src/projection/options.rs", "RebuildOptions", "## `[rebuild]`"),
    ("host/src/wasm/limits.rs", "Limits", "## `[limits]`"),
    ("host/src/projection/options.rs", "Options", "## `[projections.<name>]`"),
    ("host/broker/src/options.rs", "Options", "## `[broker]`"),
    ("host/src/log/options.rs", "Options", "## `[kafka]`"),
];

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"));
    text.expect("a file of the tree can be read")
}

/// What stands between a text and the next line that is `end`.
fn between<'t>(text: &'t str, start: &str, end: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(block, _)| block)
}

/// The public fields of a struct, in their order.
fn fields<'t>(source: &'t str, name: &str) -> Vec<&'t str> {
    let block = between(source, &format!("pub struct {name} {{\n"), "\n}").unwrap_or_default();
    let fields = block.lines().filter_map(|line| line.trim().strip_prefix("pub "));
    fields.filter_map(|field| Some(field.split_once(':')?.0)).collect()
}

/// The numbers and switches that `Default` gives to the fields of a struct.
fn defaults(source: &str, name: &str) -> BTreeMap<String, String> {
    let block = between(source, &format!("impl Default for {name} {{\n"), "\n}").unwrap_or_default();
    let pairs =
        block.lines().flat_map(|line| line.split(['{', ','])).filter_map(|pair| pair.split_once(": "));
    pairs
        .filter_map(|(field, value)| {
            let value = value.trim_end_matches(['}', ' ']);
            let shown =
                if matches!(value, "true" | "false") { value.to_owned() } else { number(value)?.to_string() };
            Some((field.trim().to_owned(), shown))
        })
        .collect()
}

/// A number as sources write it: `128 << 20`, `8 * 1024 * 1024`, `1_000`.
fn number(text: &str) -> Option<u64> {
    let text = text.replace('_', "");
    if let Some((number, bits)) = text.split_once(" << ") {
        return Some(number.parse::<u64>().ok()? << bits.parse::<u32>().ok()?);
    }
    text.split(" * ").map(|factor| factor.parse::<u64>().ok()).product()
}

/// The rows of the tables under a heading: what stands in backquotes in the first column, and the second column.
fn rows<'t>(page: &'t str, heading: &str) -> BTreeMap<&'t str, &'t str> {
    let section = page.split_once(&format!("{heading}\n")).map_or("", |(_, rest)| rest);
    let section = section.split("\n## ").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| {
            let mut columns = line.strip_prefix("| `")?.split('|');
            Some((columns.next()?.trim().trim_end_matches('`'), columns.next()?.trim()))
        })
        .collect()
}

// A setting that is not on the page does not exist for its users; one that is only there does not work.
#[test]
fn the_configurations_page_names_every_key_with_its_default() {
    let page = read("docs/configuration.md");
    let mut wrong = Vec::new();
    for (path, name, heading) in SETTINGS {
        let source = read(path);
        let rows = rows(&page, heading);
        assert!(!rows.is_empty(), "docs/configuration.md has no table under {heading}");
        let fields = fields(&source, name);
        let defaults = defaults(&source, name);
        // The keys of the client are librdkafka's, and those of the file's top are sections but for two.
        let sections =
            ["kafka", "broker", "http", "batch", "rebuild", "limits", "commands", "projections", "plugins"];
        let keys: Vec<_> =
            fields.iter().filter(|field| name != "Config" || !sections.contains(field)).collect();
        assert_eq!(
            keys.is_empty(),
            heading.contains("kafka"),
            "{path}: {name} has no fields, or is written otherwise"
        );
        for key in &keys {
            match (rows.get(**key), defaults.get(**key)) {
                (None, _) => wrong.push(format!("{heading} lacks {key}, which {path} declares")),
                (Some(shown), Some(default)) if *shown != default && !shown.is_empty() => {
                    wrong.push(format!("{heading} says {shown} for {key}, {path} has {default}"));
                }
                _ => {}
            }
        }
        // Rows that are no key of the file: what lies in the data folder.
        let keys_only =
            rows.keys().filter(|row| !row.contains(['/', '.', ' ', ',']) || heading.contains("kafka"));
        if !keys.is_empty() {
            let extra = keys_only.filter(|row| !keys.iter().any(|key| **key == **row));
            wrong.extend(extra.map(|row| format!("{heading} has {row}, which {path} does not declare")));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

// What Lantern chooses for the client is what people look up when something is slow.
#[test]
fn the_configurations_page_names_every_setting_that_lantern_chooses_for_the_client() {
    let page = read("docs/configuration.md");
    let section = between(&page, "## `[kafka]`\n", "\n## ").unwrap_or_default();
    let source = read("host/src/log/options.rs");
    let mut chosen = 0;
    for list in ["CONSUMER_FIXED", "CONSUMER_DEFAULTS", "PRODUCER_DEFAULTS"] {
        let list = between(&source, &format!("const {list}:"), "\n];").unwrap_or_default();
        let list = list.split_once("= [").map_or("", |(_, entries)| entries);
        let texts: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
        for setting in texts.iter().filter(|text| text.contains('.') && !text.contains(' ')) {
            chosen += 1;
            assert!(section.contains(setting), "docs/configuration.md does not name {setting}");
        }
    }
    assert!(chosen > 15, "only {chosen} settings found: is the test still right?");
}

/// All pages for users: at the root, in docs, and beside each example.
fn pages() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let in_folder = |folder: &str| {
        let entries = fs::read_dir(root.join(folder)).expect("a folder of the tree can be read");
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.map(|name| format!("{folder}/{name}")).collect::<Vec<_>>()
    };
    let examples = in_folder("examples").into_iter().map(|example| format!("{example}/README.md"));
    let found = [in_folder("."), in_folder("docs"), in_folder("docs/getting-started")].concat();
    found
        .into_iter()
        .chain(examples)
        .filter(|path| path.ends_with(".md") && root.join(path).is_file())
        .collect()
}

// A command in a page that is no command costs its reader's trust.
#[test]
fn every_command_that_a_page_shows_exists() {
    let source = read("host/src/cli/mod.rs");
    let commands: Vec<String> = between(&source, "enum Command {\n", "\n}")
        .unwrap_or_default()
        .lines()
        .filter_map(|line| Some(line.trim().split_once('(')?.0.to_lowercase()))
        .collect();
    assert!(commands.len() > 5, "{commands:?}");
    let pages = pages();
    assert!(pages.len() > 30, "{pages:?}");
    for page in pages {
        for line in read(&page).lines() {
            // In text only between backquotes, in an example at the start of its line.
            let shown = line.split('`').skip(1).step_by(2).chain([line.trim_start_matches(['$', ' '])]);
            for words in shown.filter_map(|text| text.strip_prefix("lantern ")) {
                let command =
                    words.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_lowercase()));
                let Some(command) = command else { continue };
                assert!(
                    commands.iter().any(|known| known == command),
                    "{page}: `lantern {words}` is no command"
                );
            }
        }
    }
}
