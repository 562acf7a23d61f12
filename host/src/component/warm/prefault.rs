//! Adds a start function to a component that writes to pages of its memory, without changing their content.

use std::ops::Range;

use wasm_encoder::{
    BlockType, CodeSection, Component, Function, FunctionSection, MemArg, Module, RawSection, SectionId, StartSection,
    TypeSection, ValType,
    reencode::{Reencode, RoundtripReencoder},
};
use wasmparser::{Parser, Payload, TypeRef};
use wasmtime::{
    Result,
    error::{Context, bail, ensure},
};

use super::super::normalize;

/// Sections of a core module that follow the start section.
const AFTER_START: [SectionId; 4] = [SectionId::Element, SectionId::DataCount, SectionId::Code, SectionId::Data];

const MALFORMED: &str = "it is malformed";

/// Returns the component with a start function that writes to the pages of `regions`. `page` is the size of a page in
/// bytes.
///
/// # Errors
///
/// Returns the reason if the component does not have exactly one memory, or if the core module that defines the memory
/// cannot have the start function.
pub(super) fn prefault(component: &[u8], regions: &[Range<u32>], page: u32) -> Result<Vec<u8>> {
    let mut written = Component::new();
    let mut memories = 0;
    for section in normalize::sections(component)? {
        let Some((id, range)) = section.as_section() else { continue };
        let bytes = component.get(range).context(MALFORMED)?;
        let module = match section {
            Payload::ModuleSection { .. } => module(bytes, regions, page)?,
            _ => None,
        };
        memories += usize::from(module.is_some());
        written.section(&RawSection { id, data: module.as_deref().unwrap_or(bytes) });
    }
    ensure!(memories == 1, "{memories} of its core modules define a memory");
    Ok(written.finish())
}

/// Returns the core module with the start function, or `None` if the module defines no memory.
fn module(bytes: &[u8], regions: &[Range<u32>], page: u32) -> Result<Option<Vec<u8>>> {
    let (mut types, mut functions, mut code) = (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    let (mut imported, mut imports_memory, mut has_start) = (0, false, false);
    let (mut memories, mut sections) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        match &payload {
            Payload::TypeSection(section) => {
                for ty in section.clone().into_iter_err_on_gc_types() {
                    types.ty().func_type(&RoundtripReencoder.func_type(ty?)?);
                }
            }
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports() {
                    let ty = import?.ty;
                    imported += u32::from(matches!(ty, TypeRef::Func(_) | TypeRef::FuncExact(_)));
                    imports_memory |= matches!(ty, TypeRef::Memory(_));
                }
            }
            Payload::FunctionSection(section) => {
                RoundtripReencoder.parse_function_section(&mut functions, section.clone())?;
            }
            Payload::MemorySection(section) => memories = section.clone().into_iter().collect::<Result<_, _>>()?,
            Payload::StartSection { .. } => has_start = true,
            Payload::CodeSectionEntry(body) => _ = code.raw(bytes.get(body.range()).context(MALFORMED)?),
            _ => {}
        }
        sections.extend(payload.as_section());
    }
    let memory = match &*memories {
        [] => return Ok(None),
        [memory] if !imports_memory => memory,
        _ => bail!("a core module has several memories"),
    };
    let end = regions.last().map_or(0, |region| u64::from(region.end) * u64::from(page));
    ensure!(!memory.memory64 && end <= memory.initial << 16, "its memory starts with less than {end} bytes");
    ensure!(!has_start, "the core module with its memory has a start function");
    ensure!(!functions.is_empty(), "the core module with its memory has no functions");
    let start = StartSection { function_index: imported + functions.len() };
    functions.function(types.len());
    types.ty().function([], []);
    code.function(&writes(regions, page));

    let mut written = Module::new();
    let mut is_started = false;
    for (id, range) in sections {
        if !is_started && AFTER_START.map(u8::from).contains(&id) {
            is_started = true;
            written.section(&start);
        }
        match id {
            _ if id == u8::from(SectionId::Type) => written.section(&types),
            _ if id == u8::from(SectionId::Function) => written.section(&functions),
            _ if id == u8::from(SectionId::Code) => written.section(&code),
            _ => written.section(&RawSection { id, data: bytes.get(range).context(MALFORMED)? }),
        };
    }
    Ok(Some(written.finish()))
}

/// Returns a function that stores the first byte of each page again.
fn writes(regions: &[Range<u32>], page: u32) -> Function {
    let address = 0;
    let mut function = Function::new([(1, ValType::I32)]);
    let mut body = function.instructions();
    let byte = MemArg { offset: 0, align: 0, memory_index: 0 };
    for region in regions {
        body.i32_const((region.start * page).cast_signed()).local_set(address).loop_(BlockType::Empty);
        body.local_get(address).local_get(address).i32_load8_u(byte).i32_store8(byte);
        body.local_get(address).i32_const(page.cast_signed()).i32_add().local_tee(address);
        body.i32_const((region.end * page).cast_signed()).i32_lt_u().br_if(0).end();
    }
    body.end();
    function
}

#[cfg(test)]
mod tests {
    use wasmtime::{Engine, Instance, Store};

    use super::{super::pages, *};

    #[test]
    fn writes_to_the_pages_without_changing_their_content() -> Result<()> {
        let page = rustix::param::page_size() as u32;
        let text = r#"
            (module
              (type (func (param i32) (result i32)))
              (memory (export "memory") 20)
              (table (export "table") 1 funcref)
              (func (export "load") (type 0) (i32.load8_u (local.get 0)))
              (elem (i32.const 0) func 0)
              (data (i32.const 0) "abc"))"#;
        let changed = module(&wat::parse_str(text)?, &[0..1, 2..4, 19..20], page)?.context("there is a memory")?;
        let engine = Engine::default();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &wasmtime::Module::new(&engine, changed)?, &[])?;
        let memory = instance.get_memory(&mut store, "memory").context("there is a memory")?;
        assert_eq!(pages::written(memory.data(&store))?, [0, 2, 3, 19]);
        assert_eq!(memory.data(&store)[..4], *b"abc\0");
        let load = instance.get_typed_func::<i32, i32>(&mut store, "load")?;
        assert_eq!(load.call(&mut store, 1)?, i32::from(b'b'));
        Ok(())
    }

    #[test]
    fn changes_the_module_of_a_component_that_has_the_memory() -> Result<()> {
        let rows = [
            ("(core module (memory 1) (func))", ""),
            ("(core module (func)) (core module (memory 1) (func)) (component)", ""),
            (r#"(core module (import "" "" (memory 1)) (func)) (core module (memory 1) (func))"#, ""),
            ("", "0 of its core modules define a memory"),
            (
                "(core module (memory 1) (func)) (core module (memory 1) (func))",
                "2 of its core modules define a memory",
            ),
            ("(component (core module (memory 1) (func)))", "0 of its core modules define a memory"),
            ("(core module (memory 1) (memory 1) (func))", "several memories"),
            (r#"(core module (import "" "" (memory 1)) (memory 1) (func))"#, "several memories"),
            ("(core module (memory 1) (func $f) (start $f))", "has a start function"),
            ("(core module (memory 1))", "has no functions"),
            ("(core module (memory i64 1) (func))", "starts with less than 65536 bytes"),
            ("(core module (memory 0) (func))", "starts with less than 65536 bytes"),
            ("(core module (rec (type (func)) (type (func))) (memory 1) (func))", "gc proposal"),
        ];
        for (text, expected) in rows {
            let component = wat::parse_str(format!("(component {text})"))?;
            match prefault(&component, &[0..1, 2..16], 4096) {
                Ok(changed) => {
                    assert_eq!(expected, "", "{text}");
                    wasmparser::validate(&changed)?;
                    let has_start = Parser::new(0)
                        .parse_all(&changed)
                        .any(|section| matches!(section, Ok(Payload::StartSection { .. })));
                    assert!(has_start, "{text}");
                }
                Err(error) => {
                    let found = format!("{error:#}");
                    assert!(!expected.is_empty() && found.contains(expected), "{text}: {found}");
                }
            }
        }
        Ok(())
    }
}
