//! The tests that each SDK has in its own language.

use super::plugins::{Kind, all};
use anyhow::{Result, ensure};
use lantern_tests::native;
use lantern_tests::python;
use lantern_tests::report::{say, skip};
use lantern_tests::site::transcript;
use lantern_tests::target;
use std::fs;
use std::process::Command;
use std::thread;

/// An SDK's folder, and what is run there.
pub struct Sdk {
    pub folder: &'static str,
    /// The languages that have to be here for it.
    pub languages: &'static [&'static str],
    /// Whether they are linked with the system's SQLite.
    pub sqlite: bool,
    /// Where it may write is `OUT`, a folder of its own that is kept.
    pub script: &'static str,
}

const SDKS: [Sdk; 13] = [
    Sdk { folder: "go", languages: &["go"], sqlite: false, script: "go vet ./... && go test ./..." },
    Sdk {
        folder: "python",
        languages: &["python"],
        sqlite: false,
        script: "PYTHONPATH=. $PYTEST -q -p no:cacheprovider tests",
    },
    Sdk {
        folder: "python",
        languages: &["python"],
        sqlite: false,
        // With the core, compiled for this machine: it does what the Python does that it stands for.
        script: "mkdir -p $OUT/core/python && cp -r lantern tests $OUT/core/python && cp -r ../wit $OUT/core && \
                 cc -std=c11 -O2 -Wall -Wextra -Werror -fPIC -shared -fvisibility=hidden -o $OUT/core/python/lantern/_native.abi3.so native/*.c && \
                 cd $OUT/core/python && PYTHONPATH=. $PYTEST -q -p no:cacheprovider tests",
    },
    Sdk {
        folder: "python",
        languages: &["python", "zig"],
        sqlite: false,
        // It is kept as it is compiled for plugins, so that nobody who writes one has to do that.
        script: "core=_native.cpython-314-wasm32-wasi.so && \
                 python3 native/build.py --zig $TOOLCHAINS/ziglang-*[0-9]/ziglang/zig --out $OUT/$core && \
                 if [ -n \"$LANTERN_TESTS_BLESS\" ]; then cp $OUT/$core lantern; fi && cmp $OUT/$core lantern/$core || \
                 { echo 'the core is not what its sources give: LANTERN_TESTS_BLESS=1 cargo test -p lantern-tests --test languages sdk'; exit 1; }",
    },
    Sdk {
        folder: "python",
        languages: &["python"],
        sqlite: false,
        // The SDK, and what is written with it as its users check it.
        script: "$MYPY --cache-dir $OUT/mypy lantern tests && \
                 for project in template/* ../../examples/weather; do \
                   (cd $project && MYPYPATH=$SOURCE $MYPY --config-file= --strict --cache-dir $OUT/mypy .) || exit 1; done",
    },
    Sdk {
        folder: "javascript",
        languages: &["javascript"],
        sqlite: false,
        script: "TOOLS=$(echo $TOOLCHAINS/esbuild-*[0-9]) node --stack-size=4000 --test test/*.js",
    },
    Sdk {
        folder: "javascript",
        languages: &["javascript", "zig"],
        sqlite: false,
        // The engine is kept as it is compiled, so that nobody who writes a plugin has to do that.
        script: "node engine/build.js --zig $TOOLCHAINS/ziglang-*[0-9]/ziglang/zig --cache $OUT/quickjs --out $OUT/engine.wasm && \
                 if [ -n \"$LANTERN_TESTS_BLESS\" ]; then cp $OUT/engine.wasm .; fi && cmp $OUT/engine.wasm engine.wasm || \
                 { echo 'engine.wasm is not what its sources give: LANTERN_TESTS_BLESS=1 cargo test -p lantern-tests --test languages sdk'; exit 1; }",
    },
    Sdk {
        folder: "javascript",
        languages: &["typescript"],
        sqlite: false,
        // What it declares is what its users compile against.
        script: "test -x $OUT/node_modules/.bin/tsc || npm install --silent --no-audit --no-fund --ignore-scripts --prefix $OUT \
                   typescript@$(node -p 'require(\"./package.json\").devDependencies.typescript'); \
                 $OUT/node_modules/.bin/tsc -p test",
    },
    Sdk {
        folder: "assemblyscript",
        languages: &["assemblyscript"],
        sqlite: false,
        script: "TOOLS=$(echo $TOOLCHAINS/assemblyscript-*[0-9]) node --test test/*.mjs",
    },
    Sdk {
        folder: "c",
        languages: &["c"],
        sqlite: false,
        script: "cc -std=c11 -Wall -Werror -o $OUT/vectors test/vectors.c && $OUT/vectors ../wit/vectors",
    },
    Sdk { folder: "c", languages: &["c"], sqlite: true, script: "sh test/harness.sh $OUT" },
    Sdk {
        folder: "zig",
        languages: &["zig"],
        sqlite: false,
        script: "$TOOLCHAINS/ziglang-*[0-9]/ziglang/zig test --cache-dir $OUT/zig --dep lantern --dep events --dep ops --dep rows \
                 -Mroot=test/vectors.zig -Mlantern=src/lantern.zig -Mevents=../wit/vectors/events.json \
                 -Mops=../wit/vectors/ops.json -Mrows=../wit/vectors/rows.json",
    },
    Sdk {
        folder: "zig",
        languages: &["zig"],
        sqlite: true,
        script: "$TOOLCHAINS/ziglang-*[0-9]/ziglang/zig test --cache-dir $OUT/zig --dep lantern \
                 -Mroot=test/harness.zig -Mlantern=src/lantern.zig -lc -lsqlite3",
    },
];

// Every SDK reads and writes the frames of plugin-sdk/wit/vectors, and what people test their plugins with works.
#[test]
fn every_sdk_passes_its_own_tests() -> Result<()> {
    check_all("sdks", &SDKS)
}

/// Runs those of the languages that are here, side by side.
pub fn check_all(what: &str, sdks: &[Sdk]) -> Result<()> {
    // Also fetches the compilers.
    let here: Vec<&str> = all(Kind::Upcaster)?.iter().map(|built| built.language.as_str()).collect();
    let is_here = |sdk: &&Sdk| sdk.languages.iter().all(|language| here.contains(language));
    let failed: Vec<String> = thread::scope(|scope| {
        let running: Vec<_> =
            sdks.iter().filter(is_here).map(|sdk| scope.spawn(move || check(what, sdk))).collect();
        running
            .into_iter()
            .filter_map(|sdk| {
                sdk.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a check has panicked"))).err()
            })
            .map(|error| format!("{error:#}"))
            .collect()
    });
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

fn check(what: &str, sdk: &Sdk) -> Result<()> {
    if sdk.sqlite && !native::sqlite_is_there() {
        return Ok(());
    }
    let mut command = Command::new("sh");
    // The crates' own folder is that of all.
    let name = if sdk.folder == "." { "rust" } else { sdk.folder };
    let out = target::cache_dir()?.join(what).join(name);
    fs::create_dir_all(&out)?;
    if sdk.folder == "python" {
        match python::for_tests() {
            Ok(python) => command
                .env("PYTEST", format!("{} -m pytest", python.display()))
                .env("MYPY", format!("{} -m mypy", python.display())),
            Err(error) => {
                skip(&format!("Python 3 with venv and pip: apt-get install python3-venv ({error:#})"));
                return Ok(());
            }
        };
    }
    let source = target::tests_dir().join("../plugin-sdk").join(sdk.folder).canonicalize()?;
    let output = command
        .args(["-c", sdk.script])
        .current_dir(&source)
        .env("SOURCE", &source)
        .env("LICENSE", target::tests_dir().join("../LICENSE"))
        .env("TOOLCHAINS", native::toolchains()?)
        .env("OUT", out)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()?;
    ensure!(output.status.success(), "the SDK in {}: {}", sdk.folder, transcript(&output));
    say(&format!("{}: {}", sdk.folder, sdk.script));
    Ok(())
}
