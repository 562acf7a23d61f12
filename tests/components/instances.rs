//! Components that the host cannot instantiate: too much memory, too large tables, or a start function that fails.

use std::time::{Duration, Instant};

use super::{refused, reloaded, serve};
use crate::support::{App, Result, Wrong, check, module};

/// Builds a controller from a core module with additional `items`, as WebAssembly text.
fn component(items: &str) -> Result<Vec<u8>> {
    let wat = format!(
        r#"(module
            {items}
            (func (export "carya:host/plain-controller@0.2.0#plain") (result i32) unreachable))"#
    );
    module::embed(&wat, "export plain-controller;")
}

/// Builds a controller with a core module that has memories of `pages` pages each.
fn module_with_memories(memories: usize, pages: u32) -> Result<Vec<u8>> {
    let more = format!("(memory {pages})").repeat(memories - 1);
    component(&format!(r#"(memory (export "memory") {pages}) {more}"#))
}

/// Additional items of a module, and texts that the error message must contain. The limit of memory is 64 MiB.
const CASES: [(&str, &[&str]); 10] = [
    (
        r#"(memory (export "memory") 1025)"#,
        &["its initial memory of 67174400 bytes is more than `memory` = 67108864 bytes", "component.it.memory"],
    ),
    (
        r#"(memory (export "memory") 20000)"#,
        &["needs more than this host gives an instance: memory has a minimum byte size of 1310720000 which exceeds"],
    ),
    (
        r#"(memory (export "memory") 1) (memory 1) (memory 1) (memory 1) (memory 1)"#,
        &["needs more than this host gives an instance: defined memories count of 5 exceeds"],
    ),
    (
        r#"(memory (export "memory") 1) (func $start unreachable) (start $start)"#,
        &["cannot be instantiated: its start function trapped: wasm trap: wasm `unreachable` instruction executed"],
    ),
    (
        r#"(memory (export "memory") 1) (func (export "_initialize") unreachable)"#,
        &["cannot be instantiated: its start function trapped: "],
    ),
    (
        r#"(memory (export "memory") 1) (func $start (loop (br 0))) (start $start)"#,
        &["cannot be instantiated: its start function did not end within `timeout` = 500ms (component.it.timeout)"],
    ),
    (
        r#"(memory (export "memory") 1) (func $start (loop (drop (memory.grow (i32.const 16))) (br 0))) (start $start)"#,
        &["its start function did not end within `timeout` = 500ms", "67108864 allowed: component.it.memory"],
    ),
    (
        r#"(memory (export "memory") 1)
           (func $start (if (i32.lt_s (memory.grow (i32.const 2000)) (i32.const 0)) (then unreachable))) (start $start)"#,
        &[
            "its start function trapped: ",
            "out of memory: 131137536 bytes requested, 67108864 allowed: component.it.memory",
        ],
    ),
    (r#"(memory (export "memory") 1) (func $start (call $start)) (start $start)"#, &["call stack exhausted"]),
    (r#"(memory (export "memory") 1) (table 200000 funcref)"#, &["needs more than this host gives", "200000"]),
];

#[tokio::test]
async fn every_command_reports_the_reason() -> Result {
    let mut wrong = Wrong::default();
    for (items, expected) in CASES {
        let reason = refused(&component(items)?).await?;
        println!("{reason}");
        for expected in expected {
            check!(wrong, reason.contains(expected), "{items}: {expected:?} is not in: {reason}");
        }
        check!(wrong, reason.len() < 600, "{items:?}: more than a few lines: {reason}");
    }
    Ok(())
}

/// `memory` limits the sum of the memories of all core modules in a component.
#[tokio::test]
async fn the_memories_of_all_modules_are_counted() -> Result {
    let component = |modules: usize, pages: u32| -> Result<Vec<u8>> {
        let module = |i| format!("(core module $m{i} (memory {pages})) (core instance (instantiate $m{i}))");
        Ok(wat::parse_str(format!("(component {})", (0..modules).map(module).collect::<String>()))?)
    };
    let reason = refused(&component(2, 600)?).await?;
    assert!(reason.contains("its initial memory of 78643200 bytes is more than `memory` = 67108864 bytes"), "{reason}");
    let reason = refused(&component(5, 1)?).await?;
    assert!(reason.contains("needs more than this host gives an instance: ") && reason.contains("5 Wasm"), "{reason}");
    assert!(reason.ends_with("exceeds the configured maximum of 4"), "{reason}");
    let reason = refused(&module_with_memories(2, 600)?).await?;
    assert!(reason.contains("its initial memory of 78643200 bytes is more than `memory` = 67108864 bytes"), "{reason}");
    Ok(())
}

#[tokio::test]
async fn reports_data_outside_the_memory() -> Result {
    let reason = refused(&component(r#"(memory (export "memory") 1) (data (i32.const 65536) "x")"#)?).await?;
    assert!(reason.contains("cannot be instantiated: ") && reason.contains("out of bounds"), "{reason}");
    Ok(())
}

/// A component with a larger `memory` in the configuration may need more than the default.
#[tokio::test]
async fn each_component_has_its_own_limits() -> Result {
    let config = r#"
        [component.large]
        path = "it.wasm"
        memory = "128MiB"
        [[route]]
        path = "/"
        component = "large"
        transaction = "none"
    "#;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("it.wasm"), component(r#"(memory (export "memory") 1025)"#)?)?;
    let app = App::start_in(folder, config, &[], &[]).await?;
    assert_eq!(app.get("/").await?.status, 500, "it is called, and traps");
    Ok(())
}

/// A start function can call imports of the host, although no request exists at that time.
#[tokio::test]
async fn a_start_function_may_call_the_host() -> Result {
    let wat = r#"(module
        (import "carya:host/request@0.2.0" "path" (func $path (param i32)))
        (import "carya:host/request@0.2.0" "body" (func $body (param i32)))
        (import "carya:host/context@0.2.0" "set" (func $set (param i32 i32 i32 i32 i32)))
        (import "carya:host/log@0.2.0" "write" (func $log (param i32 i32 i32)))
        (import "carya:host/config@0.2.0" "get" (func $get (param i32 i32 i32)))
        (memory (export "memory") 1)
        (data (i32.const 1024) "from the start function")
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
        (func (export "_initialize")
            (call $path (i32.const 0))
            (call $body (i32.const 0))
            (call $set (i32.const 1024) (i32.const 4) (i32.const 1024) (i32.const 4) (i32.const 0))
            (call $get (i32.const 1024) (i32.const 4) (i32.const 0))
            (call $log (i32.const 2) (i32.const 1024) (i32.const 23)))
        (func (export "carya:host/plain-controller@0.2.0#plain") (result i32) unreachable))"#;
    let world = "import request; import context; import log; import config; export plain-controller;";
    let config =
        "[component.it]\npath = \"it.wasm\"\n[[route]]\npath = \"/\"\ncomponent = \"it\"\ntransaction = \"none\"\n";
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("it.wasm"), module::embed(wat, world)?)?;
    let app = App::start_in(folder, config, &[], &[]).await?;
    let line = app.log.wait_for("from the start function").await?;
    assert_eq!(line["component"], "it");
    assert_eq!(app.get("/").await?.status, 500, "it is called, and traps");
    Ok(())
}

#[tokio::test]
async fn a_reload_keeps_what_is_served() -> Result {
    let app = serve().await?;
    let endless = r#"(memory (export "memory") 1) (func $start (loop (br 0))) (start $start)"#;
    let message = reloaded(&app, &component(endless)?).await?;
    assert!(message.contains("its start function did not end within `timeout` = 500ms"), "{message}");
    assert_ne!(app.get("/items").await?.status, 503);
    Ok(())
}

/// The start functions of four components end at their timeouts of 500 ms, and the whole check ends within 4 s.
#[tokio::test]
async fn endless_start_functions_take_no_more_than_their_time() -> Result {
    let folder = tempfile::tempdir()?;
    let endless = component(r#"(memory (export "memory") 1) (func $start (loop (br 0))) (start $start)"#)?;
    std::fs::write(folder.path().join("it.wasm"), endless)?;
    let config: String =
        (0..4).map(|i| format!("[component.c{i}]\npath = \"it.wasm\"\ntimeout = \"500ms\"\n")).collect();
    super::write(folder.path(), &config, &[])?;
    let begun = Instant::now();
    let said = super::refusal(folder.path(), &["check"]).await?;
    assert_eq!(said.matches("did not end within `timeout`").count(), 4, "{said}");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
    Ok(())
}
