//! Core modules as a build for wasm32-unknown-unknown makes them: written as text, with the WIT of their world inside.

use std::path::Path;

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::Result;

/// A world of a guest's own: what it imports and exports in `wit/`, as `export plain-controller`.
pub fn embed(wat: &str, world: &str) -> Result<Vec<u8>> {
    let mut module = wat::parse_str(wat)?;
    let mut resolve = Resolve::default();
    let (host, _) = resolve.push_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit"))?;
    let world = world.replace("import ", "import carya:host/").replace("export ", "export carya:host/");
    let world = world.replace(';', "@0.1.0;");
    let package = resolve.push_str("guest.wit", &format!("package my:guest;\nworld guest {{ {world} }}"))?;
    assert_ne!(package, host);
    let world = resolve.select_world(&[package], Some("guest"))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    Ok(module)
}

/// A controller without a transaction, which answers a text and the path that it was asked for.
pub fn echo(text: &str) -> Result<Vec<u8>> {
    let wat = format!(
        r#"(module
            (import "carya:host/request@0.1.0" "path" (func $path (param i32)))
            (memory (export "memory") 1)
            ;; A heap that only grows, behind the answer and its text.
            (global $heap (mut i32) (i32.const 4096))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
                (global.set $heap (i32.add (local.get $at) (local.get 3)))
                (local.get $at))
            (data (i32.const 1024) "{text}")
            ;; ok(response): the status, no headers, a body of the case text.
            (func (export "carya:host/plain-controller@0.1.0#plain") (result i32)
                (local $end i32)
                (call $path (i32.const 512))
                (local.set $end (i32.add (i32.const 1024) (i32.const {length})))
                (memory.copy (local.get $end) (i32.load (i32.const 512)) (i32.load (i32.const 516)))
                (i32.store8 (i32.const 0) (i32.const 0))
                (i32.store16 (i32.const 4) (i32.const 200))
                (i32.store8 (i32.const 16) (i32.const 1))
                (i32.store (i32.const 20) (i32.const 1024))
                (i32.store (i32.const 24) (i32.add (i32.const {length}) (i32.load (i32.const 516))))
                (i32.const 0)))"#,
        length = text.len()
    );
    embed(&wat, "import request; export plain-controller;")
}
