//! Exports, imports, capabilities and costs of a compiled component. `carya` shows all of them to users, and also
//! compares the exports and imports of an old and a new generation.

use super::{
    engine::{Engine, TABLE_KEPT_READY},
    export::Export,
    interface::{self, CURRENT},
    served::ServedRoutes,
};

/// Exports and imports of a component, and the capabilities that follow from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Exported interfaces, in alphabetical order: `carya:host/before@0.2.0`.
    pub exports: Vec<String>,
    /// Imported interfaces, in alphabetical order.
    pub imports: Vec<String>,
    /// Descriptions of the capabilities, to be shown to users.
    pub summary: Vec<String>,
    /// Routes that its functions serve.
    pub routes: ServedRoutes,
    /// Reasons why new instances are expensive, with remedies.
    pub expenses: Vec<String>,
}

impl Capabilities {
    pub(super) fn of(component: &wasmtime::component::Component, routes: ServedRoutes, engine: &Engine) -> Self {
        let ty = component.component_type();
        let mut exports: Vec<_> = ty.exports(&engine.wasmtime).map(|(name, _)| name.to_owned()).collect();
        let mut imports: Vec<_> = ty.imports(&engine.wasmtime).map(|(name, _)| name.to_owned()).collect();
        // The order in a component depends on the linker.
        exports.sort();
        imports.sort();
        let summary = summarize(&exports, &imports);
        Self { exports, imports, summary, routes, expenses: expenses(component, engine.reset.max_ahead()) }
    }

    /// Returns the reason why the host cannot serve the component, if it was built for another version of the contract.
    pub(super) fn another_version(&self) -> Option<String> {
        interface::another_version(self.imports.iter().chain(&self.exports).map(String::as_str))
    }

    /// Returns whether the component can request a handle to the database in each call.
    pub fn imports_current(&self) -> bool {
        self.imports.iter().any(|name| is(name, CURRENT))
    }
}

/// Returns whether `name` is the full name of an interface.
fn is(name: &str, interface: &str) -> bool {
    name.split('@').next() == Some(interface)
}

/// Describes the capabilities that exports and imports give a component.
fn summarize(exports: &[String], imports: &[String]) -> Vec<String> {
    let found: Vec<_> = exports.iter().filter_map(|name| Export::find(name)).collect();
    let exported = Export::ALL.into_iter().filter(|export| found.contains(export));
    let mut summary: Vec<_> = exported.map(Export::capability).collect();
    if summary.is_empty() {
        summary.push("nothing: it exports no interface that this host calls");
    }
    let grants = [
        (
            CURRENT,
            "read the database of a read-only request, and write to that of a read/write request, in each call inside the \
             transaction, by the import `current`",
        ),
        (
            "wasi:http/outgoing-handler",
            "imports outbound HTTP, and may send requests only to the destinations in its `http` that the host allows",
        ),
        ("carya:host/identity-setter", "set the identity of the client as a hook"),
        ("wasi:sockets/", "imports sockets, but the host permits no connection"),
        ("wasi:filesystem/", "imports files, but the host provides none"),
    ];
    let has = |prefix: &str| imports.iter().any(|name| name.starts_with(prefix));
    summary.extend(grants.iter().filter(|(prefix, _)| has(prefix)).map(|(_, words)| *words));
    summary.into_iter().map(str::to_owned).collect()
}

/// Lists reasons why new instances are expensive, with remedies.
fn expenses(component: &wasmtime::component::Component, max_ahead: usize) -> Vec<String> {
    let Some(needs) = component.resources_required() else { return Vec::new() };
    let mut found = Vec::new();
    let memory = needs.max_initial_memory_size.unwrap_or(0) << 16;
    if memory > max_ahead as u64 {
        found.push(format!(
            "an instance starts with {} KiB of memory; the host makes instances with at most {} KiB ahead of their requests. \
             Link it with a smaller stack (`-z stack-size=131072 --stack-first`) and less static data; or, if it is an \
             interpreter, set `warm` for it; or, if you trust it, `reuse`",
            memory >> 10,
            max_ahead >> 10
        ));
    }
    let table = needs.max_initial_table_size.unwrap_or(0);
    let ready = (TABLE_KEPT_READY / size_of::<usize>()) as u64;
    if table > ready {
        found.push(format!(
            "an instance starts with a table of {table} functions; the host keeps {ready} ready. Link it with less code \
             (`lto = true`, `opt-level = \"s\"`); or, if you trust it, set `reuse` for it"
        ));
    }
    found
}
