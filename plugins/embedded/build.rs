//! Compiles the ready-made plugins to WebAssembly, into a target folder of their own: cargo holds the lock of the one that it
//! runs this for. All profiles share it, so that they are compiled once.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const TARGET: &str = "wasm32-unknown-unknown";
const PACKAGE: &str = "lantern-ready-made";
const FILE: &str = "lantern_ready_made.wasm";

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            for line in reason.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let root = here.ancestors().nth(2).ok_or("this crate lies in plugins/embedded of the workspace")?;
    for source in [
        "plugins/ready-made",
        "plugin-sdk/Cargo.toml",
        "plugin-sdk/src",
        "plugin-sdk/contract/src",
        "plugin-sdk/wit",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    ensure_target()?;
    let out = PathBuf::from(variable("OUT_DIR")?);
    let target = shared(&out).join("ready-made");
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .current_dir(root)
        .args(["build", "--release", "--lib", "--locked", "--package", PACKAGE, "--target", TARGET])
        .arg("--target-dir")
        .arg(&target)
        .env("CARGO_PROFILE_RELEASE_LTO", "true")
        .env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
    // What the build around it sets is for the host: its flags, its target, a lint's wrapper of the compiler.
    for name in [
        "CARGO_BUILD_TARGET",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "RUSTC",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTDOC",
        "RUSTFLAGS",
        "TARGET",
    ] {
        cargo.env_remove(name);
    }
    let output = cargo.output().map_err(|error| format!("cargo does not start: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the ready-made plugins do not compile to {TARGET}:\n{said}"));
    }
    let built = target.join(TARGET).join("release").join(FILE);
    fs::copy(&built, out.join("ready_made.wasm"))
        .map(drop)
        .map_err(|error| format!("{}: {error}", built.display()))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set: cargo runs this"))
}

/// The target folder of the build around it, which says of itself that it is one; else the own folder.
fn shared(out: &Path) -> &Path {
    out.ancestors().filter(|folder| folder.join("CACHEDIR.TAG").exists()).last().unwrap_or(out)
}

/// Adds the target where rustup can.
fn ensure_target() -> Result<(), String> {
    if has_target() {
        return Ok(());
    }
    println!("cargo::warning=Rust's target {TARGET} is not installed: running `rustup target add {TARGET}`");
    let added = Command::new("rustup").args(["target", "add", TARGET]).output();
    if has_target() {
        return Ok(());
    }
    let reason = match added {
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => format!("rustup does not start: {error}"),
    };
    Err(format!(
        "Lantern carries plugins that are compiled to {TARGET}, and this target could not be added: {reason}\n\
         Install it with `rustup target add {TARGET}` (https://rustup.rs), or with your distribution's packages (on Debian \
         libstd-rust-dev-wasm32), and build again"
    ))
}

fn has_target() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    output.is_ok_and(|output| {
        let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success() && Path::new(&folder).is_dir()
    })
}
