//! The contract can be met without an SDK.

use super::plugins::{Kind, all};
use anyhow::{Result, ensure};
use lantern_tests::native;
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
    let run = |command: &mut Command| -> Result<()> {
        let output = command.current_dir(target::cache_dir()?).output()?;
        ensure!(output.status.success(), "{}", transcript(&output));
        Ok(())
    };
    run(Command::new(binary()?).arg("test").arg(&example))?;

    // `lantern build` offers a libc. By the README's other commands there is none.
    let zig = native::toolchains()?.join("ziglang-*[0-9]/ziglang/zig");
    let script = format!(
        "compiler='clang --target=wasm32'; \
         for zig in {} zig; do command -v $zig && compiler=\"$zig cc -target wasm32-freestanding\" && break; done; \
         $compiler -O2 -s -nostdlib -fno-builtin -Wl,--no-entry -o by-hand.wasm {}",
        zig.display(),
        example.join("turnstiles.c").display()
    );
    run(Command::new("sh").args(["-c", &script]))?;
    run(Command::new(binary()?).args(["test", "by-hand.wasm", "--tests"]).arg(example.join("tests")))
}
