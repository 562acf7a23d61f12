//! Builds components without the source of a guest: core modules written as WebAssembly text, with the WIT of their world
//! embedded. Also generates the bindings of guests in C.

use std::path::Path;

use wit_bindgen_core::Files;
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve, SourceMap, WorldId};

use super::Result;

/// Parses the contract after `edits`, each of which replaces one text by another, and the world of a guest. `world` lists
/// imports, exports and included worlds of the contract without package and version (`export plain-controller;`), and
/// those of other `packages` by their full names.
pub fn world(edits: &[(&str, &str)], packages: &[&str], world: &str) -> Result<(Resolve, WorldId)> {
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
        false => format!("{}@{version};", text.replacen(' ', " carya:host/", 1)),
    };
    let world: String = world.split(';').map(str::trim).filter(|text| !text.is_empty()).map(ours).collect();
    let package = resolve.push_str("guest.wit", &format!("package my:guest;\nworld guest {{ {world} }}"))?;
    let world = resolve.select_world(&[package], Some("guest"))?;
    Ok((resolve, world))
}

/// Compiles a module and embeds a world in it. `text` lists the imports and exports, see [`world`].
pub fn embed(wat: &str, text: &str) -> Result<Vec<u8>> {
    let (resolve, world) = world(&[], &[], text)?;
    let mut module = wat::parse_str(wat)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    Ok(module)
}

/// Makes a component of a module with an embedded world.
pub fn component(module: &[u8]) -> Result<Vec<u8>> {
    Ok(ComponentEncoder::default().validate(true).module(module)?.encode()?)
}

/// Builds a component for a world of the contract after `edits`, see [`world`]. The component can be instantiated, and its
/// functions trap.
pub fn built_for(edits: &[(&str, &str)], packages: &[&str], text: &str) -> Result<Vec<u8>> {
    let (resolve, world) = world(edits, packages, text)?;
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    component(&module)
}

/// Generates bindings in C with `wit-bindgen` for the world `guest`. `text` lists its imports and exports, see [`world`].
/// Returns the names and contents of the files: a header, a source, and an object that contains the WIT.
pub fn c_bindings(text: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let (mut resolve, world) = world(&[], &[], text)?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files)?;
    Ok(files.iter().map(|(name, content)| (name.to_owned(), content.to_owned())).collect())
}

/// Builds a controller without a transaction that responds with `text` and the path of the request.
pub fn echo(text: &str) -> Result<Vec<u8>> {
    let wat = format!(
        r#"(module
            (import "carya:host/request@0.2.0" "path" (func $path (param i32)))
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
            (func (export "carya:host/plain-controller@0.2.0#plain") (result i32)
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
