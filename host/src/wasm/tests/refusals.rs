//! What is not a plugin is refused with a sentence that says what is missing or too much, and never by a panic.

use super::*;
use proptest::prelude::*;

fn check_bytes(input: &[u8], parts: &[&str]) {
    let refusal = match engine().compile(input) {
        Err(error) => error,
        Ok(component) => Instance::new(engine(), &component, Recorder::default(), &Limits::default())
            .map(|_| ())
            .expect_err("it was taken"),
    };
    let message = refusal.to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} has no {part:?}");
    }
}

fn check(text: &str, parts: &[&str]) {
    check_bytes(&wat::parse_str(text).unwrap(), parts);
}

#[test]
fn what_is_not_webassembly_is_refused_by_its_beginning() {
    check_bytes(b"", &["empty", "really a .wasm file?"]);
    check_bytes(b"#!/bin/sh\nexit 1\n", &["starts with \"#!/bin/sh\\nexit", "really a .wasm file?"]);
    check_bytes(b"\x7fELF\x02\x01", &["\\x7fELF"]);
    check_bytes(b" (module)", &["text form"]);
}

#[test]
fn a_damaged_file_is_refused_with_the_position() {
    let whole = guest(ECHO, "");
    check_bytes(&whole[..whole.len() - 10], &["damaged", "offset"]);
    check_bytes(b"\0asm", &["damaged"]);
    let component = crate::wasm::to_component(&whole).unwrap();
    check_bytes(&component[..component.len() - 10], &["damaged", "offset"]);
}

#[test]
fn a_module_that_lacks_an_export_is_refused_by_its_name() {
    check("(module)", &["lantern:plugin/meta@0.1.0", "describe", "it exports nothing"]);
    let renamed = guest_text(ECHO, "").replace("projection@0.1.0#apply", "projection@0.1.0#aply");
    check(&renamed, &["lantern:plugin/projection@0.1.0", "apply", "aply"]);
}

#[test]
fn a_module_whose_export_has_another_type_is_refused() {
    let other = guest_text(ECHO, "")
        .replace("(param $events i32)", "(param $events i64)")
        .replace(ECHO, "i32.const 0");
    check(&other, &["lantern:plugin/projection@0.1.0", "apply", "type mismatch"]);
}

#[test]
fn a_module_that_imports_something_else_is_refused() {
    let with = |module: &str| {
        guest_text(ECHO, "")
            .replace("(memory (export", &format!("(import \"{module}\" \"f\" (func)) (memory (export"))
    };
    check(&with("wasi_unstable"), &["wasi_unstable", "not given", "preview 1"]);
    check(&with("wasi_snapshot_preview1"), &["wasi_snapshot_preview1", "f"]);
    check(&with("env"), &["imports env.f", "lantern:plugin/sql"]);
    check(&with("lantern:plugin/sql@0.1.0"), &["lantern:plugin/sql@0.1.0"]);
    check(
        &with("acme:mail/send@1.0.0"),
        &["imports acme:mail/send@1.0.0", "may import lantern:plugin/logger"],
    );
}

#[test]
fn a_component_that_imports_something_else_is_refused() {
    check(
        r#"(component
            (import "wasi:http/types@0.2.0" (instance (export "f" (func))))
            (import "wasi:cli/environment@0.3.0" (instance))
            (import "lantern:plugin/logger@0.1.0" (instance)))"#,
        &["imports wasi:http/types@0.2.0, wasi:cli/environment@0.3.0, which", "--disable http"],
    );
    check(
        r#"(component (import "lantern:plugin/logger@0.2.0" (instance)))"#,
        &["lantern:plugin/logger@0.2.0"],
    );
}

/// A component with the contract's names.
fn component(apply_type: &str, describe_core: &str, more: &str) -> String {
    format!(
        r#"(component
            {more}
            (core module $m
                (memory (export "memory") 1)
                (func (export "describe") (result i32) {describe_core})
                (func (export "apply") (param i32) (result i32) (i32.const 0)))
            (core instance $i (instantiate $m))
            (func $describe (result string) (canon lift (core func $i "describe") (memory $i "memory")))
            (func $apply {apply_type} (canon lift (core func $i "apply")))
            (instance $meta (export "describe" (func $describe)))
            (instance $projection (export "apply" (func $apply)))
            (export "lantern:plugin/meta@0.1.0" (instance $meta))
            (export "lantern:plugin/projection@0.1.0" (instance $projection)))"#
    )
}

#[test]
fn a_component_of_another_world_is_refused_with_what_it_exports() {
    check("(component)", &["does not export lantern:plugin/meta@0.1.0#describe", "exports nothing"]);
    let other = component(r#"(param "n" u32) (result u32)"#, "(i32.const 0)", "")
        .replace("lantern:plugin/projection@0.1.0", "acme:game/player@2.0.0");
    check(&other, &["lantern:plugin/projection@0.1.0#apply", "acme:game/player@2.0.0#apply"]);
}

#[test]
fn a_component_whose_export_has_another_type_is_refused() {
    let other = component(r#"(param "events" u32) (result u32)"#, "(i32.const 0)", "");
    check(&other, &["lantern:plugin/projection@0.1.0#apply", "expected `list` found `u32`"]);
}

#[test]
fn a_component_whose_import_has_another_type_is_refused() {
    let import =
        r#"(import "lantern:plugin/logger@0.1.0" (instance (export "write" (func (param "level" string)))))"#;
    let other = component(r#"(param "events" u32) (result u32)"#, "(i32.const 0)", import);
    check(&other, &["lantern:plugin/logger@0.1.0", "write"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    // Whatever is saved in the plugins folder, the host stands.
    #[test]
    fn damaged_plugins_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = guest(ECHO, "");
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        // Taken or refused: a changed constant is another plugin.
        let _ = engine().compile(&bytes);
    }
}
