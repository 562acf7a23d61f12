//! Compares the behaviour of components with that of their merged form.

mod cases;
mod conditions;
mod random;

use std::sync::{Arc, Mutex};

use wasmparser::{Parser, Payload, Validator, WasmFeatures};
use wasmtime::{
    Config, Engine, Store, StoreContextMut, WasmBacktrace,
    component::{Component, Linker, Val, types::ComponentItem},
};

use super::{NotMerged, normalize};

/// The observable behaviour of a component.
#[derive(Debug, PartialEq, Eq)]
struct Behaviour {
    instance: Result<(), Trap>,
    /// The calls of its imports.
    log: Vec<u32>,
    /// The results of its exports.
    results: Vec<(String, Result<u32, Trap>)>,
}

/// A message, and the names of the functions in the backtrace.
#[derive(Debug, PartialEq, Eq)]
struct Trap(String, Vec<String>);

impl From<wasmtime::Error> for Trap {
    fn from(error: wasmtime::Error) -> Self {
        let frames = error.downcast_ref::<WasmBacktrace>().map_or(&[][..], WasmBacktrace::frames);
        let names = frames.iter().map(|frame| frame.func_name().unwrap_or_default().to_owned()).collect();
        Self(error.root_cause().to_string(), names)
    }
}

fn engine() -> Engine {
    let mut config = Config::new();
    // The components are tiny, and a test makes many of them.
    config.memory_reservation(0).memory_guard_size(0).cranelift_opt_level(wasmtime::OptLevel::None);
    Engine::new(&config).expect("these settings are valid")
}

/// Instantiates a component and calls its exported functions, which take nothing and return a `u32`, in their order.
fn run(engine: &Engine, component: &[u8]) -> wasmtime::Result<Behaviour> {
    let component = Component::new(engine, component)?;
    let log: Arc<Mutex<Vec<u32>>> = Arc::default();
    let mut linker = Linker::new(engine);
    let calls = log.clone();
    linker.root().func_wrap("log", move |_: StoreContextMut<'_, ()>, (number,): (u32,)| {
        calls.lock().map(|mut calls| calls.push(number)).map_err(|_| wasmtime::Error::msg("poisoned"))
    })?;
    let calls = log.clone();
    linker.root().func_wrap("print", move |_: StoreContextMut<'_, ()>, (text,): (String,)| {
        let number = text.bytes().fold(0, |number, byte| number * 256 + u32::from(byte));
        calls.lock().map(|mut calls| calls.push(number)).map_err(|_| wasmtime::Error::msg("poisoned"))
    })?;
    let mut store = Store::new(engine, ());
    let (mut results, mut made) = (Vec::new(), Ok(()));
    match linker.instantiate(&mut store, &component) {
        Err(error) => made = Err(error.into()),
        Ok(instance) => {
            for (name, export) in component.component_type().exports(engine) {
                let ComponentItem::ComponentFunc(_) = export.ty else { continue };
                let function = instance.get_func(&mut store, name).expect("it is exported");
                let mut values = [Val::Bool(false)];
                let result = function.call(&mut store, &[], &mut values).map_err(Trap::from);
                let number = result.map(|()| if let [Val::U32(number)] = values { number } else { u32::MAX });
                results.push((name.to_owned(), number));
                if results.last().is_some_and(|(_, result)| result.is_err()) {
                    // An instance that trapped cannot be entered again.
                    break;
                }
            }
        }
    }
    let log = log.lock().map(|log| log.clone()).unwrap_or_default();
    Ok(Behaviour { instance: made, log, results })
}

/// Returns the number of core modules in a component and in its components.
fn modules(component: &[u8]) -> usize {
    let sections = Parser::new(0).parse_all(component).map_while(Result::ok);
    sections.filter(|section| matches!(section, Payload::ModuleSection { .. })).count()
}

/// Returns the types, imports, exports and custom sections of a component, byte for byte.
fn interface(component: &[u8]) -> Vec<(u8, &[u8])> {
    let sections = super::sections(component).unwrap_or_default();
    let is_interface = |section: &&Payload<'_>| {
        matches!(
            section,
            Payload::ComponentTypeSection(_) | Payload::ComponentImportSection(_) | Payload::ComponentExportSection(_)
        ) || matches!(section, Payload::CustomSection(custom) if custom.name() != "component-name")
    };
    let bytes = |section: &Payload<'_>| section.as_section().map(|(id, range)| (id, &component[range]));
    sections.iter().filter(is_interface).filter_map(bytes).collect()
}

/// Normalizes a component, and compares the behaviour of both. Returns the number of core modules after it.
fn normalized(engine: &Engine, text: &str) -> Result<usize, NotMerged> {
    let original = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"));
    Validator::new_with_features(WasmFeatures::all()).validate_all(&original).unwrap_or_else(|error| panic!("{error}"));
    let merged = normalize(&original)?;
    let before = run(engine, &original).unwrap_or_else(|error| panic!("{error:?}"));
    let after = run(engine, &merged).unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(after, before, "{text}");
    assert_eq!(interface(&merged), interface(&original), "{text}");
    Ok(modules(&merged))
}
