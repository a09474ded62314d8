//! The contract can be met without an SDK.

use super::plugins::{Kind, all};
use anyhow::{Result, ensure};
use lantern_tests::site::{binary, transcript};
use lantern_tests::target;
use std::process::Command;

// What is said of other languages than those that have an SDK: one page of C is enough.
#[test]
fn a_page_of_c_without_libc_and_sdk_is_a_plugin() -> Result<()> {
    // Where C can be built, its toolchain is there by now.
    if !all(Kind::Projection)?.iter().any(|built| built.language == "c") {
        return Ok(());
    }
    let example = target::tests_dir().join("../examples/by-hand");
    let output =
        Command::new(binary()?).arg("test").arg(&example).current_dir(target::cache_dir()?).output()?;
    ensure!(output.status.success(), "{}", transcript(&output));
    Ok(())
}
