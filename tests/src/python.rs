//! Python with packages that are not this machine's own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::site::transcript;
use crate::target;

/// What plugins in Python are tested and checked with.
const TESTING: &str = "pytest==9.2.0\nmypy==2.4.1\n";

/// The interpreter of a virtual environment with pytest and mypy.
///
/// # Errors
///
/// As [`with_packages`].
pub fn for_tests() -> Result<PathBuf> {
    with_packages("pytest", TESTING)
}

/// The interpreter of a virtual environment with these packages, one in a line as pip takes them. It is made once, and again
/// when they change.
///
/// # Errors
///
/// Where Python 3 has neither venv nor pip, or a package cannot be fetched.
pub fn with_packages(name: &str, requirements: &str) -> Result<PathBuf> {
    let venv = target::cache_dir()?.join(format!("{name}-venv"));
    let python = venv.join("bin/python");
    let installed = venv.join("requirements.txt");
    let _lock = target::lock(&format!("{name}-venv"))?;
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == requirements) {
        return Ok(python);
    }
    let run = |command: &mut Command| -> Result<()> {
        let output = command.output()?;
        ensure!(output.status.success(), "{}", transcript(&output));
        Ok(())
    };
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(requirements.lines().filter(|line| !line.starts_with('#'))))?;
    fs::write(installed, requirements)?;
    Ok(python)
}
