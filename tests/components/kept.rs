//! A component that was built for the contract 0.2.0 and is kept. It imports all functions of this contract, so a host
//! that serves it serves every controller for 0.2.0. Later versions 0.2.x may only add functions.
//!
//! Until 0.2.0 is released, this command writes the component again from `kept/guest.wat` and `wit/`:
//!
//! ```sh
//! UPDATE_KEPT=1 cargo test --locked -p carya --test carya components::kept
//! ```

use std::{
    collections::BTreeSet,
    fmt::Write,
    path::{Path, PathBuf},
};

use wit_component::{DecodedWasm, decode};
use wit_parser::{
    LiftLowerAbi, ManglingAndAbi, Resolve, ResourceIntrinsic, TypeDefKind, WasmImport, WorldId, WorldItem,
    abi::WasmType,
};

use crate::support::{App, Result, module};

/// Version of the contract that the component was built for.
const VERSION: &str = "0.2.0";

/// The functions of a controller, as WebAssembly text.
const SOURCE: &str = include_str!("kept/guest.wat");

const CONFIG: &str = r#"
    [model]
    migrations = "migrations"
    [component.it]
    path = "it.wasm"
    [[route]]
    path = "/"
    component = "it"
"#;

const TABLE: (&str, &str) =
    ("migrations/0001_marks.sql", "CREATE TABLE marks (mark VARCHAR(100) PRIMARY KEY NOT NULL)");

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/components/kept").join(format!("controller-{VERSION}.wasm"))
}

/// Reads the kept component, after it was built again if `UPDATE_KEPT` is set.
fn kept() -> Result<Vec<u8>> {
    if std::env::var_os("UPDATE_KEPT").is_some() {
        std::fs::write(path(), build()?)?;
    }
    Ok(std::fs::read(path())?)
}

/// Returns the contract with a world that has all imports that the host offers.
fn contract() -> Result<(Resolve, WorldId)> {
    module::world(&[], &[], "include everything;")
}

/// Builds the component for the present contract.
fn build() -> Result<Vec<u8>> {
    let (resolve, everything) = contract()?;
    let version = resolve.packages.iter().find_map(|(_, package)| package.name.version.as_ref());
    assert!(version.is_some_and(|version| version.to_string() == VERSION), "{version:?}: a released component is kept");
    let (mut world, mut imports) = (String::new(), String::new());
    for (key, import) in &resolve.worlds[everything].imports {
        let WorldItem::Interface { id, .. } = import else { continue };
        let name = resolve.interfaces[*id].name.as_deref().ok_or("an interface without a name")?;
        write!(world, "import {name};")?;
        let interface = Some(key);
        let sync = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);
        let mut add = |import, params: &[WasmType], results: &[WasmType]| -> Result {
            let (module, item) = resolve.wasm_import_name(sync, import);
            write!(imports, "(import {module:?} {item:?} (func $\"{name}.{item}\"")?;
            for (what, types) in [("param", params), ("result", results)] {
                let types: Vec<_> = types.iter().map(|ty| core(*ty)).collect();
                write!(imports, " ({what} {})", types.join(" "))?;
            }
            Ok(writeln!(imports, "))")?)
        };
        for func in resolve.interfaces[*id].functions.values() {
            let signature = resolve.wasm_signature(sync.import_variant(), func);
            add(WasmImport::Func { interface, func }, &signature.params, &signature.results)?;
        }
        for resource in resolve.interfaces[*id].types.values().copied() {
            if matches!(resolve.types[resource].kind, TypeDefKind::Resource) {
                let intrinsic = ResourceIntrinsic::ImportedDrop;
                add(WasmImport::ResourceIntrinsic { interface, resource, intrinsic }, &[WasmType::I32], &[])?;
            }
        }
    }
    world += "export read-controller; export write-controller;";
    module::component(&module::embed(&format!("(module {imports} {SOURCE})"), &world)?)
}

/// Returns the name of a type of core WebAssembly. Addresses have 32 bits.
fn core(ty: WasmType) -> &'static str {
    match ty {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
    }
}

/// Returns the functions that a world imports, such as `request.path`.
fn imported(resolve: &Resolve, world: WorldId) -> BTreeSet<String> {
    let interfaces = resolve.worlds[world].imports.values().filter_map(|import| match import {
        WorldItem::Interface { id, .. } => Some(&resolve.interfaces[*id]),
        _ => None,
    });
    let functions = interfaces.flat_map(|interface| {
        let name = interface.name.clone().unwrap_or_default();
        interface.functions.keys().map(move |function| format!("{name}.{function}"))
    });
    functions.collect()
}

#[tokio::test]
async fn a_kept_component_still_answers() -> Result {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("it.wasm"), kept()?)?;
    let app = App::start_in(folder, CONFIG, &[TABLE], &[]).await?;
    let answer = app.get("/").await?;
    assert_eq!(
        (answer.status, &*answer.text(), answer.header("content-type")),
        (200, r#"{"n":0}"#, "application/json")
    );
    let answer = app.post("/", "hickory").await?;
    assert_eq!((answer.status, &*answer.text()), (201, "hickory"));
    assert_eq!(app.post("/", "hickory").await?.status, 500, "the key exists");
    assert_eq!(app.get("/").await?.text(), r#"{"n":1}"#);
    Ok(())
}

#[test]
fn the_kept_component_imports_the_whole_contract() -> Result {
    let bytes = kept()?;
    assert!(bytes.len() < 100_000, "{} bytes", bytes.len());
    let DecodedWasm::Component(of_component, world) = decode(&bytes)? else { return Err("no component".into()) };
    let (contract, everything) = contract()?;
    let (found, offered) = (imported(&of_component, world), imported(&contract, everything));
    let lost: Vec<_> = found.difference(&offered).collect();
    assert!(lost.is_empty(), "the contract has lost {lost:?}");
    // Later versions of the contract have more functions.
    if carya::component::VERSION == VERSION {
        let added: Vec<_> = offered.difference(&found).collect();
        assert!(added.is_empty(), "not in the kept component: {added:?}; build it again, see this file");
    }
    assert!(found.contains("database.[method]writer.execute-batch") && found.contains("current.get"), "{found:?}");
    Ok(())
}
