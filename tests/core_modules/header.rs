//! `guest/c/carya_host.h` and `guest/c/world`: the contract in C. The header is written by hand, so its types and
//! functions are compared with the contract.

use std::{fmt::Write, path::Path};

use wit_component::{StringEncoding, metadata};
use wit_parser::{PackageId, Resolve, SizeAlign, Type, TypeDefKind, WorldKey};

use super::c::{compile_with_library, has_clang};
use crate::support::{Result, module};

/// The worlds that `carya_guest.h` combines: the imports, and the exports of each macro. Their names must differ, because
/// `wit-component` merges them.
const WORLDS: &str = "
    package carya:c;
    world imports { include carya:host/imports@0.2.0; import carya:host/identity-setter@0.2.0; }
    world controller { export carya:host/read-controller@0.2.0; export carya:host/write-controller@0.2.0; }
    world plain { export carya:host/plain-controller@0.2.0; }
    world on-route { export carya:host/on-route@0.2.0; }
    world before { export carya:host/before@0.2.0; }
    world after { export carya:host/after@0.2.0; }
    world on-error { export carya:host/on-error@0.2.0; }
    world init { export carya:host/model@0.2.0; }
    world reseed { export carya:host/reseed@0.2.0; }
    world actions { export carya:host/actions@0.2.0; }
";

/// The types of the contract, their names in C, and the prefixes of the constants for their cases.
const TYPES: [(&str, &str, &str, &str); 24] = [
    ("database", "value", "carya_value", "CARYA_VALUE_"),
    ("database", "other-value", "carya_other_value", ""),
    ("database", "column", "carya_column", ""),
    ("database", "rows", "carya_rows", ""),
    ("database", "execution", "carya_execution", ""),
    ("database", "statement-result", "carya_statement_result", ""),
    ("database", "dialect", "carya_dialect", "CARYA_"),
    ("database", "db-error-kind", "carya_db_error_kind", "CARYA_ERROR_"),
    ("database", "violation-kind", "carya_violation_kind", "CARYA_"),
    ("database", "violation", "carya_violation", ""),
    ("database", "db-error", "carya_db_error", ""),
    ("database", "delivery", "carya_delivery", "CARYA_"),
    ("types", "header", "carya_pair", ""),
    ("types", "response", "carya_host_response", ""),
    ("types", "body", "carya_host_body", "CARYA_BODY_"),
    ("types", "template", "carya_template_body", ""),
    ("types", "rows-query", "carya_rows_query", ""),
    ("types", "rows-format", "carya_rows_format", "CARYA_ROWS_"),
    ("types", "access-mode", "carya_access", "CARYA_"),
    ("types", "fault", "carya_fault", "CARYA_FAULT_"),
    ("types", "failure", "carya_failure", ""),
    ("request", "form-field", "carya_form_field", ""),
    ("request", "form-error", "carya_form_error", "CARYA_FORM_"),
    ("log", "level", "carya_log_level", "CARYA_LOG_"),
];

/// Parses the contract.
fn contract() -> Result<(Resolve, PackageId)> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit"))?;
    Ok((resolve, package))
}

/// The files in `guest/c/world` are generated. With `UPDATE_BINDINGS` in the environment, this test writes them.
#[test]
fn the_worlds_for_c_are_those_of_the_contract() -> Result {
    let (mut resolve, _) = contract()?;
    let package = resolve.push_str("c.wit", WORLDS)?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest/c/world");
    for (name, &world) in &resolve.packages[package].worlds {
        let content = metadata::encode(&resolve, world, StringEncoding::UTF8, None)?;
        let path = folder.join(name).with_extension("wasm");
        if std::env::var_os("UPDATE_BINDINGS").is_some() {
            std::fs::write(&path, &content)?;
        }
        assert!(
            std::fs::read(&path)? == content,
            "world/{name}.wasm is outdated: run this test with UPDATE_BINDINGS=1"
        );
    }
    Ok(())
}

fn snake(name: &str) -> String {
    name.replace(['-', '.'], "_")
}

/// Returns a source that asserts the layouts of the types and the numbers of the cases, and refers to all functions.
fn source() -> Result<String> {
    let (mut resolve, package) = contract()?;
    let mut sizes = SizeAlign::default();
    sizes.fill(&resolve);
    let mut source = String::from("#include \"carya_guest.h\"\n");
    let mut equal = |left: &str, right: usize| writeln!(source, "_Static_assert({left} == {right}, \"{left}\");");
    for (interface, name, in_c, prefix) in TYPES {
        let id = resolve.interfaces[resolve.packages[package].interfaces[interface]].types[name];
        equal(&format!("sizeof({in_c})"), sizes.size(&Type::Id(id)).size_wasm32())?;
        let cases: Vec<&str> = match &resolve.types[id].kind {
            TypeDefKind::Record(record) => {
                let offsets = sizes.field_offsets(record.fields.iter().map(|field| &field.ty));
                for (field, (offset, _)) in record.fields.iter().zip(offsets) {
                    equal(&format!("offsetof({in_c}, {})", snake(&field.name)), offset.size_wasm32())?;
                }
                continue;
            }
            TypeDefKind::Enum(cases) => cases.cases.iter().map(|case| &*case.name).collect(),
            TypeDefKind::Variant(variant) => variant.cases.iter().map(|case| &*case.name).collect(),
            _ => continue,
        };
        for (number, case) in cases.into_iter().enumerate() {
            equal(&format!("{prefix}{}", snake(case).to_uppercase()), number)?;
        }
    }
    let worlds = resolve.push_str("c.wit", WORLDS)?;
    let imports = &resolve.worlds[resolve.packages[worlds].worlds["imports"]].imports;
    source.push_str("__attribute__((used)) void *const functions[] = {\n");
    for key in imports.keys() {
        let WorldKey::Interface(id) = key else { continue };
        let interface = &resolve.interfaces[*id];
        let name = interface.name.as_deref().ok_or("an interface without a name")?;
        for function in interface.functions.keys() {
            let function = match function.strip_prefix("[method]") {
                Some(method) => snake(method),
                None => format!("{}_{}", snake(name), snake(function)),
            };
            writeln!(source, "    carya_host_{function},")?;
        }
        let resources = interface.types.iter().filter(|(_, id)| resolve.types[**id].kind == TypeDefKind::Resource);
        for (resource, _) in resources {
            writeln!(source, "    carya_host_{resource}_drop,")?;
        }
    }
    source.push_str("};\n");
    Ok(source)
}

#[test]
fn the_header_for_c_has_the_types_and_functions_of_the_contract() -> Result {
    if !has_clang() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let contract = folder.path().join("contract.c");
    std::fs::write(&contract, source()?)?;
    compile_with_library(&contract, folder.path())?;
    // This compares the parameters and results of all functions.
    module::component(&std::fs::read(folder.path().join("notes.wasm"))?)?;
    Ok(())
}
