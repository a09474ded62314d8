//! What the source tree promises about itself. Nothing is compiled or run here: the rules are read off the text,
//! so that the test is quick and a broken rule is named with its file and line.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The host's modules from top to bottom: each imports only from those below it.
const LAYERS: [&str; 18] = [
    "cli",
    "host",
    "http",
    "deployment",
    "catalog",
    "given",
    "config",
    "data_dir",
    "command",
    "projection",
    "upcast",
    "plugin",
    "wasm",
    "read_model",
    "aggregate_store",
    "log",
    "event",
    "fault",
];
/// Modules above `config` whose options it composes, as those of all others: nothing else of them, and the options
/// import nothing.
const COMPOSED: [&str; 1] = ["http"];
/// These meet in `projection` and `command`, and nowhere else.
const STRANGERS: [&str; 4] = ["log", "wasm", "read_model", "aggregate_store"];
/// A crate that these modules of the host know, and no other. SQLite holds three things that have nothing
/// in common.
const OWNED: [(&str, &[&str]); 3] = [
    ("rdkafka", &["log"]),
    ("wasmtime", &["wasm"]),
    ("rusqlite", &["read_model", "aggregate_store", "catalog"]),
];

/// A file that is longer has more than one reason to change, or stands here with its own.
const LINES_MAX: usize = 400;
const LONG: [(&str, &str); 6] = [
    ("host/broker/src/group/membership.rs", "joining, syncing and leaving are one state machine"),
    ("host/broker/src/log/partition.rs", "one lock guards all of a partition's state"),
    ("host/broker/src/topics/mod.rs", "the catalog and its journal change together"),
    ("host/broker/src/wire/tests.rs", "one table: a sample of every request in every version"),
    ("plugin-sdk/src/db/cache.rs", "what may be gathered, and how it is written, is one invariant"),
    ("tests/src/site.rs", "what a test does with an installation, in one place"),
];

/// Folders that hold no source.
const NOT_SOURCE: [&str; 4] = ["target", "lantern-data", "node_modules", "__pycache__"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the workspace")
}

/// A file of the tree, by its path from the root, with `/`.
struct Source {
    path: String,
    text: String,
}

/// Every text file with one of these extensions, in the order of their paths. A link is a file elsewhere.
fn sources(extensions: &[&str]) -> Vec<Source> {
    let mut folders = vec![root().to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the tree can be read") {
            let path = entry.expect("the tree can be read").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                let hidden = name.starts_with('.') && name != ".ci";
                if !hidden && !NOT_SOURCE.contains(&name) && !path.join("CACHEDIR.TAG").exists() {
                    folders.push(path);
                }
            } else if !path.is_symlink()
                && path.extension().is_some_and(|e| extensions.iter().any(|wanted| e == *wanted))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no {extensions:?} under {}", root().display());
    found.into_iter().map(|path| Source { text: read(&path), path: relative(&path) }).collect()
}

fn read(path: &Path) -> String {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
    text.expect("a file of the tree can be read")
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

/// A line without its comment. A `//` inside a text is cut too, which hides nothing that is looked for here.
fn code(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

/// All code of a file without comments, as one text.
fn code_of(text: &str) -> String {
    text.lines().map(|line| code(line).to_owned() + "\n").collect()
}

/// Panics with all broken rules at once.
fn check(broken: Vec<String>) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// The module of the host that a file belongs to; `None` for `lib.rs` and `main.rs`.
fn module(path: &str) -> Option<&str> {
    let inner = path.strip_prefix("host/src/")?;
    let name = inner.split('/').next()?.trim_end_matches(".rs");
    (!matches!(name, "lib" | "main")).then_some(name)
}

/// The modules that a text imports by `crate::`, also in braces.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let own_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        if code[..at].ends_with(own_name) {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => found.extend(heads(list)),
            None => found.extend(head(rest)),
        }
    }
    found
}

/// The first name of each path of a list in braces, whose opening brace has been read.
fn heads(list: &str) -> Vec<String> {
    let mut depth = 0;
    let mut found = Vec::new();
    let mut start = 0;
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.extend(head(list[start..at].trim()));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.extend(head(list[start..at].trim()));
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

fn head(path: &str) -> Option<String> {
    let name: String = path.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

// The rule reads text, so it must read imports as Rust does.
#[test]
fn imports_are_found_in_every_form() {
    let check = |code: &str, expected: &[&str]| {
        assert_eq!(imports(code).iter().map(String::as_str).collect::<Vec<_>>(), expected, "{code}");
    };
    check("use crate::log::Client;", &["log"]);
    check("use crate::{log, wasm::{self, Engine},\n    event};", &["event", "log", "wasm"]);
    check("let x = crate::host::start();", &["host"]);
    check("$crate::Manifest; my_crate::thing", &[]);
}

// Data flows one way, or nothing can be changed without knowing everything.
#[test]
fn imports_of_the_host_point_one_way() {
    let rank = |module: &str| LAYERS.iter().position(|layer| *layer == module);
    let mut broken = Vec::new();
    for Source { path, text } in sources(&["rs"]) {
        let Some(module) = module(&path) else { continue };
        let Some(own) = rank(module) else {
            broken.push(format!("{path}: the module {module} has no layer: put it into LAYERS"));
            continue;
        };
        let code = code_of(&text);
        for import in imports(&code) {
            match rank(&import) {
                Some(_) if module == "config" && COMPOSED.contains(&&*import) => {
                    let uses = code.matches(&format!("{import}::")).count();
                    if uses != code.matches(&format!("{import}::Options")).count() {
                        broken.push(format!("{path}: of {import} only its Options are config's"));
                    }
                }
                Some(other) if other < own => {
                    broken.push(format!("{path}: {module} imports {import}, which is above it"));
                }
                Some(_)
                    if import != module && STRANGERS.contains(&module) && STRANGERS.contains(&&*import) =>
                {
                    broken.push(format!(
                        "{path}: {module} imports {import}; they meet in projection or command"
                    ));
                }
                _ => {}
            }
        }
        // At a module's top, `super` is the crate, and would hide an import.
        if COMPOSED.contains(&module) && path.ends_with("/options.rs") && !imports(&code).is_empty() {
            broken.push(format!("{path}: options that config composes import nothing"));
        }
        let is_top = path == format!("host/src/{module}/mod.rs") || path == format!("host/src/{module}.rs");
        if is_top && code.lines().any(|line| line.starts_with("use super::")) {
            broken.push(format!("{path}: write `use crate::` for what lies outside the module"));
        }
    }
    check(broken);
}

// A new version of one of these must be the business of few.
#[test]
fn rdkafka_wasmtime_and_rusqlite_are_known_only_where_they_belong() {
    let mut broken = Vec::new();
    let mut owners = BTreeSet::new();
    for Source { path, text } in sources(&["rs"]) {
        let Some(module) = module(&path) else { continue };
        let code = code_of(&text);
        for (dependency, modules) in OWNED {
            let used =
                code.contains(&format!("{dependency}::")) || code.contains(&format!("use {dependency}"));
            match used {
                true if modules.contains(&module) => drop(owners.insert(module.to_owned())),
                true => broken.push(format!("{path}: {dependency} belongs to {}", modules.join(", "))),
                false => {}
            }
        }
    }
    check(broken);
    let all = OWNED.iter().map(|(_, modules)| modules.len()).sum::<usize>();
    assert_eq!(owners.len(), all, "only {owners:?} use what they own: is the rule still right?");
}

// A dependency is other people's code in everybody's binary: somebody must have wanted it.
#[test]
fn every_dependency_has_its_reason_beside_it() {
    let mut broken = Vec::new();
    for Source { path, text } in sources(&["toml"]) {
        if !path.ends_with("Cargo.toml") {
            continue;
        }
        let mut listing = false;
        let mut before = "";
        for (number, line) in text.lines().enumerate() {
            if let Some(section) = line.strip_prefix('[') {
                let section = section.trim_end().trim_end_matches(']');
                // The workspace's list only says the version: each crate has its own reason.
                listing = section.ends_with("dependencies") && section != "workspace.dependencies";
            } else if listing && line.contains('=') && !line.starts_with('#') {
                let reason = line.split_once('#').is_some_and(|(_, reason)| !reason.trim().is_empty());
                if !reason && !before.starts_with('#') {
                    broken.push(format!("{path}:{}: `{line}` has no reason", number + 1));
                }
            }
            before = line;
        }
    }
    check(broken);
}

#[test]
fn no_file_is_long_without_a_reason() {
    let mut broken = Vec::new();
    let mut long = BTreeSet::new();
    for Source { path, text } in sources(&["rs"]) {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            if !LONG.iter().any(|(listed, _)| *listed == path) {
                broken
                    .push(format!("{path} has {lines} lines: divide it, or list it in LONG with the reason"));
            }
            long.insert(path);
        }
    }
    // A reason that is no longer needed is taken off the list.
    let stale = LONG.iter().filter(|(listed, _)| !long.contains(*listed));
    broken.extend(stale.map(|(listed, _)| format!("{listed} is in LONG and is not long")));
    check(broken);
}

#[test]
fn every_allow_has_a_reason_and_nothing_is_left_to_do() {
    // Put together here, so that this file does not contain what it looks for.
    let unfinished = [concat!("to", "do!"), concat!("unimple", "mented!"), concat!("dbg", "!(")];
    let mut broken = Vec::new();
    for Source { path, text } in sources(&["rs"]) {
        let code = code_of(&text);
        for word in unfinished {
            if code.contains(word) {
                broken.push(format!("{path} has {word}"));
            }
        }
        for start in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
            for (at, _) in code.match_indices(start) {
                let attribute = code[at..].split_once(")]").map_or(&code[at..], |(attribute, _)| attribute);
                if !attribute.contains("reason") && !code[..at].ends_with(['"', '`']) {
                    let line = code[..at].lines().count();
                    broken.push(format!("{path}:{line}: {attribute}) has no reason"));
                }
            }
        }
    }
    check(broken);
}

/// What is compiled anew and compared, byte for byte, by `every_sdk_passes_its_own_tests`: what plugins in JavaScript and in Python have beside their
/// own code.
const COMPARED: [&str; 2] =
    ["plugin-sdk/javascript/engine.wasm", "plugin-sdk/python/lantern/_native.cpython-314-wasm32-wasi.so"];

// A built plugin in the repository is code that nobody has read.
#[test]
fn no_built_plugin_is_committed() {
    // Whoever owns the folder: a checkout in a container often belongs to another user.
    let git = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "--", "*.wasm", "*.so"])
        .current_dir(root())
        .output();
    match git {
        Ok(output) if output.status.success() => {
            let built = String::from_utf8_lossy(&output.stdout);
            check(built.lines().filter(|path| !COMPARED.contains(path)).map(str::to_owned).collect());
        }
        // Not a checkout: what is left is that git would not take one.
        _ => assert!(read(&root().join(".gitignore")).lines().any(|line| line == "*.wasm")),
    }
}

// Two copies of a contract are two contracts.
#[test]
fn the_contract_exists_once() {
    let files: Vec<String> = sources(&["wit"]).into_iter().map(|source| source.path).collect();
    assert_eq!(files, ["plugin-sdk/wit/lantern.wit"]);
    let declaration = concat!("interface ", "projection {");
    let copies = sources(&["rs", "py", "js", "ts", "go", "c", "h", "zig"]).into_iter();
    check(copies.filter(|source| source.text.contains(declaration)).map(|source| source.path).collect());
}

#[test]
fn every_example_has_a_readme() {
    let mut broken = Vec::new();
    for folder in fs::read_dir(root().join("examples")).expect("there are examples") {
        let folder = folder.expect("the folder can be read").path();
        if folder.is_dir() && !folder.join("README.md").exists() {
            broken.push(format!("{} has no README.md", relative(&folder)));
        }
    }
    check(broken);
}

// A link that leads nowhere tells a reader that nobody reads the page.
#[test]
fn every_relative_link_leads_somewhere() {
    let mut broken = Vec::new();
    for Source { path, text } in sources(&["md"]) {
        let folder = root().join(&path).parent().map(Path::to_owned).unwrap_or_default();
        let mut fenced = false;
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            }
            if fenced || line.starts_with("    ") {
                continue;
            }
            for target in links(line) {
                let file = target.split('#').next().unwrap_or_default();
                let elsewhere = target.contains("://") || target.starts_with("mailto:");
                if !elsewhere && !file.is_empty() && !folder.join(PathBuf::from(file)).exists() {
                    broken.push(format!("{path}:{}: {target} is not there", number + 1));
                }
            }
        }
    }
    check(broken);
}

/// The targets of a line's Markdown links.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(|(at, found)| {
        let rest = &line[at + found.len()..];
        rest.split_once(')').map(|(target, _)| target.split(' ').next().unwrap_or_default())
    })
}
