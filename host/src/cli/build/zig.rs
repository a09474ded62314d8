//! Zig's own compiler, which compiles C too.

use super::toolchain::{Registry, Toolchain};
use super::tools;
use super::{Compiler, Project};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Zig of this version, as PyPI has it.
const ZIGLANG: Toolchain =
    Toolchain { name: "ziglang-0.17.1", registry: Registry::Pypi, packages: &["ziglang==0.17.1"] };
/// Every 0.x of Zig is another language.
const VERSION: &str = "0.17.";

/// Where Zig is.
pub(super) struct Zig(PathBuf);

impl Zig {
    pub fn open() -> anyhow::Result<Zig> {
        if has_version("zig") {
            return Ok(Zig("zig".into()));
        }
        Ok(Zig(ZIGLANG.open()?.join("ziglang/zig")))
    }

    /// Zig in the project's folder, with its cache in the folder of what is built.
    pub fn command(&self, project: &Project) -> Command {
        let mut zig = Command::new(&self.0);
        zig.current_dir(&project.dir).env("ZIG_LOCAL_CACHE_DIR", project.out.join("zig-cache"));
        zig
    }
}

/// Not `zig build`, which compiles its own runner first, for minutes; a project's build.zig is for its tests. The
/// SDK's code is trusted with what it has checked itself, the project's is checked as it runs.
impl Compiler for Zig {
    fn build(&self, project: &Project) -> anyhow::Result<PathBuf> {
        let out = project.out.join("plugin.wasm");
        let mut emit = OsString::from("-femit-bin=");
        emit.push(&out);
        let mut sdk = OsString::from("-Mlantern=");
        sdk.push(project.sdk.join("src/lantern.zig"));
        let mut zig = self.command(project);
        zig.args(["build-exe", "-target", "wasm32-freestanding", "-fno-entry", "-rdynamic", "-fstrip"])
            .args(["--name", "plugin"])
            .arg(emit)
            .args(["-OReleaseSafe", "--dep", "lantern", "-Mroot=src/main.zig", "-OReleaseFast"])
            .arg(sdk);
        tools::compile(&mut zig, &project.dir)?;
        Ok(out)
    }
}

fn has_version(zig: impl AsRef<Path>) -> bool {
    let output = Command::new(zig.as_ref()).arg("version").stdin(Stdio::null()).output();
    output.is_ok_and(|output| output.stdout.starts_with(VERSION.as_bytes()))
}
