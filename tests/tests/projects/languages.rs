//! What `lantern new` makes.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use lantern_tests::native;
use lantern_tests::report::{say, skip};
use serde_json::Value;

use crate::Desk;

const KINDS: [&str; 4] = ["projection", "aggregate", "upcaster", "process-manager"];

/// A language as `--lang` has it.
pub struct Language {
    pub name: &'static str,
    /// What has to be installed: each of these commands succeeds.
    needs: &'static [&'static str],
    /// What to install if one does not.
    install: &'static str,
    /// The kinds that are built: all where that is quick. A projection is begun by every page under docs/getting-started. Of the
    /// others only the native tests are run.
    kinds: &'static [&'static str],
    /// Runs the native unit tests of a project in its folder, where there are any.
    native: Option<&'static str>,
    /// Whether those are linked with the system's SQLite.
    sqlite: bool,
}

pub const LANGUAGES: [Language; 8] = [
    Language {
        name: "rust",
        needs: &["cargo --version"],
        install: "Rust: https://rustup.rs",
        kinds: &KINDS,
        native: Some("cargo test --quiet --release"),
        sqlite: false,
    },
    Language {
        name: "go",
        needs: &["go version | grep -Eq 'go1\\.(2[4-9]|[3-9][0-9])'"],
        install: "Go 1.24 or newer: https://go.dev/doc/install",
        kinds: &KINDS,
        native: Some("go test ./..."),
        sqlite: false,
    },
    Language {
        name: "python",
        needs: &["python3 -m pip --version", "python3 -c 'import tomllib'"],
        install: "Python 3.11 or newer with pip: apt-get install python3-pip",
        kinds: &["aggregate", "upcaster", "process-manager"],
        native: Some(PYTHON_TESTS),
        sqlite: false,
    },
    Language {
        name: "javascript",
        needs: &[NODE, "npm --version"],
        install: "Node.js 20 or newer with npm: https://nodejs.org",
        kinds: &["aggregate", "upcaster", "process-manager"],
        native: Some("npm install --silent --no-audit --no-fund && npm test"),
        sqlite: false,
    },
    Language {
        name: "typescript",
        needs: &[NODE, "npm --version"],
        install: "Node.js 20 or newer with npm: https://nodejs.org",
        kinds: &KINDS,
        native: Some(TYPESCRIPT_TESTS),
        sqlite: false,
    },
    Language {
        name: "assemblyscript",
        needs: &[NODE, "npm --version"],
        install: "Node.js 20 or newer with npm: https://nodejs.org",
        kinds: &KINDS,
        native: None,
        sqlite: false,
    },
    Language {
        name: "c",
        needs: &["python3 -m pip --version"],
        install: "Python 3.10 or newer with pip, from which Zig comes: apt-get install python3-pip",
        kinds: &KINDS,
        native: Some(
            "cc -std=c11 -Wall -Wextra -Werror -I.lantern/sdk/c -o .lantern/test *.c .lantern/sdk/c/lantern_test.c -lsqlite3 && \
             .lantern/test",
        ),
        sqlite: true,
    },
    Language {
        name: "zig",
        needs: &["python3 -m pip --version"],
        install: "Python 3.10 or newer with pip, from which Zig comes: apt-get install python3-pip",
        kinds: &KINDS,
        native: Some(ZIG_TESTS),
        sqlite: true,
    },
];

/// With SQLite, and no SDK but the one that `lantern build` has written.
pub const C_TESTS: &str = "cc -std=c11 -Wall -Wextra -Werror -I.lantern/sdk/c -o .lantern/test src/*.c \
     .lantern/sdk/c/lantern_test.c -lsqlite3 && .lantern/test";

const NODE: &str = "node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)'";

pub const PYTHON_TESTS: &str = "PYTHONDONTWRITEBYTECODE=1 $PYTEST -q -p no:cacheprovider tests";

/// Their project's own script, with the SDK that `npm install` would link.
pub const LINKED_TESTS: &str = "mkdir -p node_modules/@lantern && ln -sfn ../../.lantern/sdk/javascript node_modules/@lantern/sdk && npm test";

/// The same, types first. What they are compiled with is installed once, beside the projects, in the versions that each names.
pub const TYPESCRIPT_TESTS: &str = "test -d ../node_modules || npm install --silent --no-audit --no-fund --ignore-scripts --prefix .. \
     $(node -p 'Object.entries(require(\"./package.json\").devDependencies).map((of) => of.join(\"@\")).join(\" \")') && \
     mkdir -p node_modules/@lantern && ln -sfn ../../.lantern/sdk/javascript node_modules/@lantern/sdk && npm test";

/// By the compiler of the path, else by the one that `lantern build` has fetched.
pub const ZIG_TESTS: &str = "PATH=\"$PATH:$(echo $TOOLCHAINS/ziglang-*[0-9]/ziglang)\" && zig build test";

impl Language {
    /// Its native tests, if what they need is there. If it is not, that is said.
    pub fn native(&self) -> Option<&'static str> {
        self.native.filter(|_| !self.sqlite || native::sqlite_is_there())
    }

    /// Whether it can be built here, and is wanted by `LANTERN_TESTS_LANGUAGES`. If it cannot, that is said.
    pub fn is_there(&self) -> bool {
        let wanted = std::env::var("LANTERN_TESTS_LANGUAGES").unwrap_or_default();
        if !wanted.is_empty() && !wanted.split(',').any(|name| name == self.name) {
            return false;
        }
        let works = |command: &&str| {
            let done = Command::new("sh")
                .args(["-c", command])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            done.is_ok_and(|status| status.success())
        };
        let is_there = self.needs.iter().all(works);
        if !is_there {
            skip(self.install);
        }
        is_there
    }
}

// What people are given to begin with must work before they have changed anything.
#[test]
fn a_new_project_is_built_and_passes_its_own_tests_in_every_language() -> Result<()> {
    let mut broken = Vec::new();
    for language in LANGUAGES.iter().filter(|language| language.is_there()) {
        let desk = Desk::new()?;
        let native = language.native();
        for kind in KINDS {
            let begun = Instant::now();
            if let Err(error) = check(&desk, language, kind, native) {
                broken.push(format!("{kind} in {}: {error:#}", language.name));
            }
            say(&format!("{kind} in {}: {:.1} s", language.name, begun.elapsed().as_secs_f64()));
        }
    }
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(())
}

fn check(desk: &Desk, language: &Language, kind: &str, native: Option<&str>) -> Result<()> {
    let name = format!("my-{kind}");
    let lang = language.name;
    desk.run(&format!("lantern new {name} --lang {lang} --kind {kind}"))?;
    if language.kinds.contains(&kind) {
        check_built(desk, &name, kind)?;
    }
    if let Some(native) = native {
        desk.run(&format!("cd {name} && {native}"))?;
    }
    // What is written beside the source is not for git.
    let ignored = fs::read_to_string(desk.folder().join(&name).join(".gitignore"))?;
    if !ignored.lines().any(|line| line.trim_matches('/') == "plugins") {
        bail!("its .gitignore lets plugins be committed");
    }
    Ok(())
}

fn check_built(desk: &Desk, name: &str, kind: &str) -> Result<()> {
    let built = desk.run(&format!("cd {name} && lantern build --json"))?;
    let built: Value = serde_json::from_str(&built).with_context(|| built.clone())?;
    ensure!(built["name"] == name, "it calls itself {built}");
    let expected = match kind {
        "aggregate" => "commands",
        "upcaster" => "upcaster",
        _ => "projection",
    };
    ensure!(built["kind"] == expected, "it is {built}");
    desk.run(&format!("cd {name} && lantern test"))?;
    Ok(())
}
