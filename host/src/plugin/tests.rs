//! A file becomes a plugin, or a message that names the file.

use super::*;

/// A core module whose `describe` runs `body`, with a text at 64.
fn guest(body: &str, text: &str) -> Vec<u8> {
    wat::parse_str(guest_text(body, text)).unwrap()
}

fn guest_text(body: &str, text: &str) -> String {
    let escaped = text.replace('"', "\\\"");
    format!(
        r#"(module
            (import "lantern:plugin/logger@0.1.0" "write" (func $log (param i32 i32 i32)))
            (import "lantern:plugin/sql@0.1.0" "prepare" (func $prepare (param i32 i32 i32)))
            (memory (export "memory") 1)
            (data (i32.const 64) "{escaped}")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 2048))
            (func (export "lantern:plugin/projection@0.1.0#apply") (param i32 i32) (result i32) unreachable)
            (func $deep (call $deep) (call $deep))
            (func (export "lantern:plugin/meta@0.1.0#describe") (result i32)
                (i32.store (i32.const 32) (i32.const 64))
                (i32.store (i32.const 36) (i32.const {}))
                {body}
                (i32.const 32)))"#,
        text.len()
    )
}

fn load(bytes: &[u8]) -> Result<Plugin, Error> {
    Plugin::load(&Engine::new(None).unwrap(), bytes, "plugins/orders.wasm", &Limits::default())
}

fn check_refused(bytes: &[u8], part: &str) {
    let message = load(bytes).map(|_| ()).unwrap_err().to_string();
    assert!(message.starts_with("plugins/orders.wasm: ") && message.contains(part), "{message}");
}

#[test]
fn a_plugin_is_what_it_says_of_itself() {
    let bytes = guest("", r#"{"name":"orders","version":"1.2.0","topics":["shop"]}"#);
    let plugin = load(&bytes).unwrap();
    assert_eq!((plugin.name.as_str(), plugin.manifest.version.as_str()), ("orders", "1.2.0"));
    assert_eq!(plugin.digest, Digest::of(&bytes));
    assert_eq!(plugin.digest.to_string().len(), 64);
}

// A plugin that does not load never replaces one that works, and its author learns which file and why.
#[test]
fn a_file_that_is_no_plugin_is_refused_by_name() {
    check_refused(b"not wasm", "it starts with \"not wasm\"");
    check_refused(&guest("unreachable", ""), "does not describe itself");
    check_refused(&guest("", "no JSON"), "manifest");
    check_refused(&guest("", r#"{"name":"../up","topics":["shop"]}"#), "`name`");
}

// What its manifest asks for and a handler never gets is refused when it is loaded, not passed over.
#[test]
fn a_command_handler_is_known_by_its_exports_and_held_to_its_manifest() {
    let handler = |manifest: &str| {
        let text = guest_text("", manifest);
        let projection = r#"(func (export "lantern:plugin/projection@0.1.0#apply") (param i32 i32) (result i32) unreachable)"#;
        let commands = r#"
            (func (export "lantern:plugin/commands@0.1.0#decide") (param i32 i32) (result i32) unreachable)
            (func (export "lantern:plugin/commands@0.1.0#evolve") (param i32 i32 i32 i32 i32) (result i32) unreachable)"#;
        let sql = r#"(import "lantern:plugin/sql@0.1.0" "prepare" (func $prepare (param i32 i32 i32)))"#;
        wat::parse_str(text.replace(projection, commands).replace(sql, "")).unwrap()
    };
    let plugin = load(&handler(r#"{"name":"account","topics":["accounts"]}"#)).unwrap();
    assert_eq!(plugin.kind, Kind::Commands);
    check_refused(&handler(r#"{"name":"account","topics":["a","b"]}"#), "`topics` has several");
    check_refused(
        &handler(r#"{"name":"account","topics":["a"],"schema":["CREATE TABLE t (x)"]}"#),
        "`schema`",
    );
    let projection = load(&guest("", r#"{"name":"orders","topics":["shop"]}"#)).unwrap();
    assert_eq!(projection.kind, Kind::Projection);
}

// Plugins are loaded from threads of any stack, as a runtime's are; a stack that overflows outside the
// engine's watch would end the process.
#[test]
fn a_plugin_that_uses_its_whole_stack_is_refused_on_a_thread_with_little() {
    let deep = guest("(call $deep)", "").to_vec();
    let loading = std::thread::Builder::new().stack_size(256 << 10).spawn(move || {
        let limits = Limits { stack_bytes_max: 2 << 20, ..Limits::default() };
        let engine = Engine::with_limits(None, &limits).unwrap();
        Plugin::load(&engine, &deep, "deep.wasm", &limits).map(|_| ()).unwrap_err().to_string()
    });
    let message = loading.unwrap().join().unwrap();
    assert!(message.contains("stack_bytes_max"), "{message}");
}

// There is no read model yet: a plugin that asks for one while it describes itself is told so, not trapped.
#[test]
fn there_is_no_database_while_a_plugin_describes_itself() {
    let asks = r#"
        (call $prepare (i32.const 64) (i32.const 8) (i32.const 1024))
        (if (i32.eqz (i32.load8_u (i32.const 1024))) (then unreachable))"#;
    load(&guest(asks, r#"{"name":"orders","topics":["shop"]}"#)).unwrap();
}

#[test]
fn a_file_is_read_whole_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.wasm");
    let message = read(&path).unwrap_err().to_string();
    assert!(message.contains("orders.wasm") && message.contains("cannot be read"), "{message}");
    std::fs::write(&path, b"bytes").unwrap();
    assert_eq!(read(&path).unwrap(), b"bytes");
    // A file with a hole: as long as too large a plugin, and nothing on the disk.
    File::options().write(true).open(&path).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
    assert!(matches!(read(&path), Err(Error::TooLarge { .. })));
}
