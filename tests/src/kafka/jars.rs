//! Kafka's jars, fetched by Maven once and kept in cargo's target folder.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

use crate::target;

/// What Kafka 4 needs to run its server.
const JAVA_VERSION_MIN: u32 = 17;

/// The plugin with its version, so that every Maven resolves the same.
const COPY_DEPENDENCIES: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// The folder with the jars that `tests/kafka/pom.xml` names; asks Maven where they are not there
/// yet or the file has changed.
///
/// # Errors
///
/// Where Java is missing or too old, or Maven is missing or cannot resolve them.
pub(super) fn fetch() -> Result<PathBuf> {
    let java = java_version()?;
    ensure!(java >= JAVA_VERSION_MIN, "found Java {java}");

    let pom = target::tests_dir().join("kafka/pom.xml");
    let wanted = fs::read_to_string(&pom)?;
    let cache = target::cache_dir()?;
    let jars = cache.join("kafka-jars");
    // The tests of several binaries may run at once.
    let _lock = target::lock("kafka-jars")?;
    if fs::read_to_string(jars.join("pom.xml")).is_ok_and(|fetched| fetched == wanted) {
        return Ok(jars);
    }

    // Filled beside it and renamed, so that a half-fetched folder is never taken for a whole one.
    let partial = cache.join("kafka-jars.partial");
    for stale in [&partial, &jars] {
        if stale.exists() {
            fs::remove_dir_all(stale)?;
        }
    }
    let output = run(Command::new("mvn")
        .args(["--batch-mode", "--quiet", "--file"])
        .arg(&pom)
        .arg(COPY_DEPENDENCIES)
        .arg("-DincludeScope=runtime")
        .arg(format!("-DoutputDirectory={}", partial.display())))?;
    ensure!(
        output.status.success(),
        "mvn cannot fetch Kafka: {}",
        String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or("it does not say why")
    );
    fs::write(partial.join("pom.xml"), wanted)?;
    fs::rename(&partial, &jars)?;
    Ok(jars)
}

fn java_version() -> Result<u32> {
    let output = run(Command::new("java").arg("-version"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    parse_java_version(&said).with_context(|| format!("java -version said {said:?}"))
}

/// The feature version in the first quotes: 17 of `"17.0.15"`, 21 of `"21-ea"`, 1 of the ancient
/// `"1.8.0_422"`.
fn parse_java_version(said: &str) -> Option<u32> {
    let version = said.split('"').nth(1)?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn run(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::parse_java_version;

    // Distributions print the version differently; a misread one would skip every Kafka test.
    #[test]
    fn the_java_version_is_read_from_what_java_prints() {
        let check = |said, version| assert_eq!(parse_java_version(said), version, "{said}");
        check("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime", Some(17));
        check("openjdk version \"21\" 2023-09-19", Some(21));
        check("openjdk version \"25-ea\" 2025-09-16", Some(25));
        check("java version \"1.8.0_422\"", Some(1));
        check("command not found", None);
    }
}
