//! Zig's own build tool, which compiles C too.

use super::toolchain::{Registry, Toolchain};
use super::tools;
use super::{Compiler, Project};
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

impl Compiler for Zig {
    fn build(&self, project: &Project) -> anyhow::Result<PathBuf> {
        let mut zig = self.command(project);
        zig.args(["build", "--release=fast", "--prefix"]).arg(&project.out);
        tools::compile(&mut zig, &project.dir)?;
        Ok(project.out.join("plugin.wasm"))
    }
}

fn has_version(zig: impl AsRef<Path>) -> bool {
    let output = Command::new(zig.as_ref()).arg("version").stdin(Stdio::null()).output();
    output.is_ok_and(|output| output.stdout.starts_with(VERSION.as_bytes()))
}
