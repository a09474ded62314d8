//! Python, by componentize-py.

use super::toolchain::{self, Registry, Toolchain};
use super::tools;
use super::{Compiler, Project};
use std::path::PathBuf;
use std::process::Command;

const COMPONENTIZE: Toolchain = Toolchain {
    name: "componentize-py-0.25.1",
    registry: Registry::Pypi,
    packages: &["componentize-py==0.25.1"],
};

/// Where componentize-py is.
pub(super) struct Python(PathBuf);

impl Python {
    pub fn open() -> anyhow::Result<Python> {
        toolchain::python()?;
        Ok(Python(COMPONENTIZE.open()?))
    }
}

impl Compiler for Python {
    fn build(&self, project: &Project) -> anyhow::Result<PathBuf> {
        let out = project.out.join("plugin.wasm");
        let mut python = Command::new("python3");
        python
            .current_dir(&project.dir)
            .env("PYTHONPATH", std::env::join_paths([&project.sdk, &self.0])?)
            .args(["-m", "lantern.build", "--wit"])
            .arg(&project.wit)
            .arg("--out")
            .arg(&out)
            .args(["--project", "."]);
        tools::compile_quietly(&mut python, &project.dir)?;
        Ok(out)
    }
}
