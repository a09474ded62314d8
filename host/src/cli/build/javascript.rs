//! JavaScript and TypeScript: bundled by esbuild, for the engine that the SDK brings.

use super::toolchain::{self, Registry, Toolchain};
use super::{Compiler, Project};
use super::{npm, tools};
use std::path::PathBuf;
use std::process::Command;

const ESBUILD: Toolchain =
    Toolchain { name: "esbuild-0.28.2", registry: Registry::Npm, packages: &["esbuild@0.28.2"] };

/// What is there without npm.
const OURS: [&str; 1] = ["@lantern/sdk"];

/// Where the tools of npm are.
pub(super) struct JavaScript(PathBuf);

impl JavaScript {
    pub fn open() -> anyhow::Result<JavaScript> {
        toolchain::node()?;
        Ok(JavaScript(ESBUILD.open()?))
    }
}

impl Compiler for JavaScript {
    fn build(&self, project: &Project) -> anyhow::Result<PathBuf> {
        npm::install(project, &OURS)?;
        let out = project.out.join("plugin.wasm");
        let mut node = Command::new("node");
        node.current_dir(&project.dir)
            .arg(project.sdk.join("build.js"))
            .arg("--tools")
            .arg(&self.0)
            .arg("--out")
            .arg(&out)
            .args(["--project", "."]);
        tools::compile_quietly(&mut node, &project.dir)?;
        Ok(out)
    }
}
