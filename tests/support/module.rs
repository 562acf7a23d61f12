//! Components without a guest's source: core modules written as text, with the WIT of their world inside.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve, SourceMap, WorldId};

use super::Result;

/// The contract after `edits`, each of which replaces a text by another, and a guest's own world: what it imports and
/// exports of the contract, as `export plain-controller;`, and by full names of other `packages`.
fn world(edits: &[(&str, &str)], packages: &[&str], world: &str) -> Result<(Resolve, WorldId)> {
    let mut files = SourceMap::default();
    let mut pending = edits.to_vec();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit"))? {
        let path = entry?.path();
        let mut text = std::fs::read_to_string(&path)?;
        pending.retain(|(from, to)| {
            let is_here = text.contains(from);
            text = text.replacen(from, to, 1);
            !is_here
        });
        files.push(&path, text);
    }
    assert!(pending.is_empty(), "not in the contract: {pending:?}");
    let mut resolve = Resolve::default();
    let group = files.parse().map_err(|(_, error)| error.to_string())?;
    let version = group.main.name.version.clone().ok_or("the contract has no version")?;
    resolve.push_group(group)?;
    for text in packages {
        resolve.push_str("other.wit", text)?;
    }
    let ours = |text: &str| match text.contains(':') {
        true => format!("{text};"),
        false => format!(
            "{}@{version};",
            text.replace("import ", "import carya:host/").replace("export ", "export carya:host/")
        ),
    };
    let world: String = world.split(';').map(str::trim).filter(|text| !text.is_empty()).map(ours).collect();
    let package = resolve.push_str("guest.wit", &format!("package my:guest;\nworld guest {{ {world} }}"))?;
    let world = resolve.select_world(&[package], Some("guest"))?;
    Ok((resolve, world))
}

/// A core module with the WIT of a world inside.
pub fn embed(wat: &str, text: &str) -> Result<Vec<u8>> {
    let (resolve, world) = world(&[], &[], text)?;
    let mut module = wat::parse_str(wat)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    Ok(module)
}

/// A component of a world of the contract after `edits`, and of other packages; see [`world`]. It can be instantiated, and
/// its functions trap.
pub fn built_for(edits: &[(&str, &str)], packages: &[&str], text: &str) -> Result<Vec<u8>> {
    let (resolve, world) = world(edits, packages, text)?;
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    Ok(ComponentEncoder::default().validate(true).module(&module)?.encode()?)
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
