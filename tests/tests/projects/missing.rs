//! Tools that are missing: whoever builds a plugin for the first time lacks one of them.

use anyhow::{Result, ensure};

use crate::Desk;

/// Stands for rustup's part of Rust: the target is there when `std` is. Everything else is asked of the real rustc.
const RUSTC: &str = r#"#!/bin/sh
if [ "$1 $2" = "--print target-libdir" ]; then echo "$DESK/std"; else exec "$REAL" "$@"; fi
"#;
/// Written by a shell: a file that this process has open for writing cannot be started meanwhile.
const SETUP: &str = r#"
mkdir -p fake tiny/src
printf '%s' "$FAKE_RUSTC" > fake/rustc
printf '#!/bin/sh\necho "$@" > "$DESK/asked"\n%s\n' "$FAKE_RUSTUP" > fake/rustup
chmod +x fake/*
printf '[package]\nname = "tiny"\nedition = "2024"\n[lib]\ncrate-type = ["cdylib"]\n[workspace]\n' > tiny/Cargo.toml
echo 'compile_error!("so far it has come");' > tiny/src/lib.rs
export REAL="$(command -v rustc)" RUSTC="$DESK/fake/rustc" PATH="$DESK/fake:$PATH"
lantern build tiny 2>&1
echo "status $?"
cat asked
"#;

// Nearly every Rust lacks the target. It comes by itself where it can, and where it cannot, the reason is rustup's own.
#[test]
fn rusts_target_is_added_by_rustup_or_told_how_to_be() -> Result<()> {
    let check = |rustup: &str, words: &[&str]| -> Result<()> {
        let desk = Desk::new()?;
        let mut shell = desk.shell(SETUP)?;
        let output =
            shell.env("DESK", desk.folder()).env("FAKE_RUSTC", RUSTC).env("FAKE_RUSTUP", rustup).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(said.contains("running `rustup target add wasm32-unknown-unknown`"), "{said}");
        ensure!(said.ends_with("status 1\ntarget add wasm32-unknown-unknown\n"), "{said}");
        ensure!(words.iter().all(|word| said.contains(word)), "it should say {words:?}: {said}");
        Ok(())
    };
    // The compiler is asked then, and has its own complaint.
    check("mkdir \"$DESK/std\"", &["so far it has come", "tiny does not compile"])?;
    let what_to_do = "Install it with `rustup target add wasm32-unknown-unknown` (https://rustup.rs)";
    check(
        "echo 'error: no network today' >&2; exit 1",
        &["could not be added. rustup says:\nerror: no network today", what_to_do],
    )?;
    check("true", &["could not be added. rustup says:", what_to_do])
}

// Without pip nothing can be fetched, which is not the network's fault; an old Python fails in the middle of a build.
#[test]
fn a_python_without_pip_or_too_old_is_told_apart_from_a_network_that_is_away() -> Result<()> {
    let check = |version: &str, words: &[&str]| -> Result<()> {
        let script = format!(
            "lantern new app --lang python && mkdir fake && cat > fake/python3 <<'END' && chmod +x fake/python3 &&
#!/bin/sh
if [ \"$1\" = --version ]; then echo 'Python {version}'; else echo \"$0: No module named pip\" >&2; exit 1; fi
END
PATH=\"$PWD/fake:$PATH\" XDG_CACHE_HOME=\"$PWD/cache\" lantern build app 2>&1 || echo \"status $?\""
        );
        let said = Desk::new()?.run(&script)?;
        ensure!(said.ends_with("status 1\n") && !said.contains("network"), "{said}");
        ensure!(words.iter().all(|word| said.contains(word)), "it should say {words:?}: {said}");
        Ok(())
    };
    check("3.11.2", &["No module named pip", "Install pip for this Python: `apt install python3-pip`"])?;
    check("3.10.12", &["`python3` is 3.10, and 3.11 or newer is needed"])
}
