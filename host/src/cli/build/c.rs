//! C, by the system's clang if it has all that WebAssembly needs, else by Zig, which brings it.

use super::tools;
use super::zig::Zig;
use super::{Compiler, Project};
use crate::cli::language::c_files;
use anyhow::bail;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// For speed, without names of things to debug; warnings are shown.
const FLAGS: [&str; 6] = ["-mexec-model=reactor", "-std=c11", "-O2", "-Wall", "-Wextra", "-s"];
/// Needs the C library, its headers, the linker and the compiler's own library: Debian has a package of each.
const PROBE: &str = "#include <stdlib.h>\nvoid *probe(void) { return malloc(1); }\n";
const HEADER: &str = "lantern.h";
/// Ends the name of a file that is a test, to be run natively.
const TEST_SUFFIX: &str = "_test.c";

pub(super) enum C {
    Clang,
    Zig(Zig),
}

impl C {
    pub fn open() -> anyhow::Result<C> {
        if clang_works() { Ok(C::Clang) } else { Ok(C::Zig(Zig::open()?)) }
    }

    fn command(&self, project: &Project) -> Command {
        match self {
            C::Clang => {
                let mut clang = Command::new("clang");
                clang.current_dir(&project.dir).arg("--target=wasm32-wasi");
                clang
            }
            C::Zig(zig) => {
                let mut command = zig.command(project);
                command.args(["cc", "-target", "wasm32-wasi"]);
                command
            }
        }
    }
}

impl Compiler for C {
    fn build(&self, project: &Project) -> anyhow::Result<PathBuf> {
        let out = project.out.join("plugin.wasm");
        let mut sources = c_files(&project.dir);
        sources.retain(|path| !path.to_string_lossy().ends_with(TEST_SUFFIX));
        if sources.is_empty() {
            bail!("{} has only tests: a plugin's source is *.c or src/*.c", project.dir.display());
        }
        let mut compiler = self.command(project);
        compiler.args(FLAGS).arg("-I").arg(&project.sdk).arg("-o").arg(&out);
        // A plugin that meets the contract by itself exports what the SDK would export too.
        if mentions_sdk(&project.dir) {
            compiler.arg(project.sdk.join("lantern.c"));
        }
        // As they are called from the project's folder, where the compiler runs, so that its messages are short.
        compiler.args(sources.iter().map(|source| source.strip_prefix(&project.dir).unwrap_or(source)));
        tools::compile(&mut compiler, &project.dir)?;
        Ok(out)
    }
}

/// Whether a source or a header of the project includes the SDK.
fn mentions_sdk(dir: &Path) -> bool {
    let files = [dir.to_owned(), dir.join("src")].into_iter().flat_map(fs::read_dir).flatten().flatten();
    files
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "c" || kind == "h"))
        .any(|path| {
            fs::read(path).is_ok_and(|text| text.windows(HEADER.len()).any(|part| part == HEADER.as_bytes()))
        })
}

/// Whether the system's clang makes WebAssembly with a C library.
fn clang_works() -> bool {
    let clang = Command::new("clang")
        .args(["--target=wasm32-wasi", "-mexec-model=reactor", "-x", "c", "-", "-o", "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut clang) = clang else { return false };
    // One that does not read it fails, which is the answer.
    let _ = clang.stdin.take().map(|mut stdin| stdin.write_all(PROBE.as_bytes()));
    clang.wait().is_ok_and(|status| status.success())
}
