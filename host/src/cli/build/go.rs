//! Go's own compiler.

use super::tools::{self, Program};
use super::{Compiler, Project};
use std::path::PathBuf;
use std::process::Command;

const GO: Program = Program {
    name: "go",
    version: &["version"],
    // The first that exports functions to WebAssembly's host.
    at_least: (1, 24),
    install: "Install Go 1.24 or newer: https://go.dev/doc/install, `brew install go`, or from your distribution if it \
              is new enough",
};

/// What is hot in the SDK, as Go finds a program's own profile by its name. `plugin-sdk/go/lantern/bench_test.go` says how it is made.
const PROFILE: &str = "default.pgo";

pub(super) struct Go;

impl Go {
    pub fn open() -> anyhow::Result<Go> {
        GO.check().map(|()| Go)
    }
}

impl Compiler for Go {
    fn build(&self, project: &Project) -> anyhow::Result<PathBuf> {
        let out = project.out.join("plugin.wasm");
        let mut go = Command::new(GO.name);
        go.current_dir(&project.dir)
            .env("GOOS", "wasip1")
            .env("GOARCH", "wasm")
            .env("CGO_ENABLED", "0")
            // What every engine has; without them the code is larger and slower.
            .env("GOWASM", "satconv,signext")
            .args(["build", "-buildmode=c-shared", "-buildvcs=false", "-trimpath", "-ldflags=-w"]);
        let profile = project.sdk.join(PROFILE);
        if profile.exists() && !project.dir.join(PROFILE).exists() {
            go.arg("-pgo").arg(profile);
        }
        go.arg("-o").arg(&out).arg(".");
        tools::compile(&mut go, &project.dir)?;
        Ok(out)
    }
}
