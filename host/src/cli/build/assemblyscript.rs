//! AssemblyScript, by its own compiler of npm.

use super::toolchain::{self, Registry, Toolchain};
use super::{Compiler, Project};
use super::{npm, tools};
use std::path::PathBuf;
use std::process::Command;

const ASC: Toolchain = Toolchain {
    name: "assemblyscript-0.28.20",
    registry: Registry::Npm,
    packages: &["assemblyscript@0.28.20"],
};
/// What is there without npm.
const OURS: [&str; 2] = ["@lantern/sdk-assemblyscript", "assemblyscript"];

/// Where the compiler is.
pub(super) struct AssemblyScript(PathBuf);

impl AssemblyScript {
    pub fn open() -> anyhow::Result<AssemblyScript> {
        toolchain::node()?;
        Ok(AssemblyScript(ASC.open()?))
    }
}

impl Compiler for AssemblyScript {
    fn build(&self, project: &Project) -> anyhow::Result<PathBuf> {
        npm::install(project, &OURS)?;
        let out = project.out.join("plugin.wasm");
        let mut node = Command::new("node");
        node.current_dir(&project.dir)
            .arg(project.sdk.join("build.mjs"))
            .arg("--tools")
            .arg(&self.0)
            .arg("--out")
            .arg(&out);
        tools::compile_quietly(&mut node, &project.dir)?;
        Ok(out)
    }
}
