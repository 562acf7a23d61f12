//! Merges the core modules of a component when the host loads it, so that its instances start faster.
//!
//! A component of an interpreter with shared libraries has a core module for each library. These modules import
//! functions, a memory, a table and offsets from each other. For each instance, wasmtime resolves these imports and
//! writes each element of an imported table. A merged module has resolved imports. Its table is defined in the same
//! module and has constant offsets, so wasmtime initializes an element when a function call needs it.
//!
//! | guest | core modules | instantiation |
//! |---|---|---|
//! | Python | 14 -> 2 | 836 -> 20 us |
//! | JavaScript (QuickJS) | 8 -> 4 | 96 -> 14 us |
//! | Rust | 3 -> 2 | 8 -> 5 us |
//!
//! [`graph`] reads the core instances of a component. [`groups`] decides which of them become one. [`merge`] makes one
//! module of each group, and [`emit`] writes the component. Types, imports and exports of the component stay byte for
//! byte. A merged module keeps the names of functions for backtraces, and loses all other custom sections.

mod emit;
mod graph;
mod groups;
mod indices;
mod merge;
mod module;
mod reason;
#[cfg(test)]
mod tests;

use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, FromReader, Parser, Payload, SectionLimited, Validator, WasmFeatures,
};

use self::graph::Graph;
pub(super) use self::reason::NotMerged;

/// Version of the merged form, for caches of compiled code. Increment it when the output for a component changes.
pub(super) const VERSION: u32 = 1;

/// Maximum depth of nested components whose core modules are merged. Deeper components stay as they are.
const MAX_DEPTH: usize = 8;

/// Merges the core modules of a component, and those of each nested component.
///
/// # Errors
///
/// Returns the reason why the component stays as it is. [`NotMerged::Malformed`] has no details, because the compiler
/// reports them.
pub(super) fn normalize(component: &[u8]) -> Result<Vec<u8>, NotMerged> {
    // The compiler validates the bodies of functions. A body has the same meaning in a merged module.
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    for section in Parser::new(0).parse_all(component) {
        let section = section?;
        validator.payload(&section)?;
        if passes_modules(section)? {
            return Err(NotMerged::Modules);
        }
    }
    rewrite(component, 0)
}

/// Returns whether a section of a component refers to a core module other than to instantiate a module of the same
/// component.
fn passes_modules(section: Payload<'_>) -> Result<bool, BinaryReaderError> {
    match section {
        Payload::ComponentImportSection(imports) => {
            any(imports, |import| matches!(import.ty, ComponentTypeRef::Module(_)))
        }
        Payload::ComponentExportSection(exports) => any(exports, |export| is_module(export.kind)),
        Payload::ComponentAliasSection(aliases) => any(aliases, |alias| match alias {
            ComponentAlias::InstanceExport { kind, .. } => is_module(*kind),
            ComponentAlias::Outer { kind, .. } => *kind == ComponentOuterAliasKind::CoreModule,
            ComponentAlias::CoreInstanceExport { .. } => false,
        }),
        Payload::ComponentInstanceSection(instances) => any(instances, |instance| match instance {
            ComponentInstance::Instantiate { args, .. } => args.iter().any(|arg| is_module(arg.kind)),
            ComponentInstance::FromExports(exports) => exports.iter().any(|export| is_module(export.kind)),
        }),
        _ => Ok(false),
    }
}

fn is_module(kind: ComponentExternalKind) -> bool {
    kind == ComponentExternalKind::Module
}

/// Returns whether a condition holds for an item of a section.
fn any<'a, T: FromReader<'a>>(
    section: SectionLimited<'a, T>,
    condition: impl Fn(&T) -> bool,
) -> Result<bool, BinaryReaderError> {
    for item in section {
        if condition(&item?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Merges the core modules of a component, and those of each component in it. `depth` is the number of components around
/// this one.
fn rewrite(component: &[u8], depth: usize) -> Result<Vec<u8>, NotMerged> {
    let sections = sections(component)?;
    let (mut nested, mut reason) = (Vec::new(), None);
    let mut is_changed = false;
    for section in &sections {
        let Payload::ComponentSection { unchecked_range, .. } = section else { continue };
        let bytes = component.get(unchecked_range.clone()).ok_or(NotMerged::Malformed)?;
        let rewritten = if depth < MAX_DEPTH { rewrite(bytes, depth + 1) } else { Err(NotMerged::Single) };
        is_changed |= rewritten.is_ok();
        nested.push(rewritten.unwrap_or_else(|nested| {
            reason = reason.max(Some(nested));
            bytes.to_vec()
        }));
    }
    let graph = Graph::read(component, &sections)?;
    let groups = groups::find(&graph);
    is_changed |= groups.iter().any(|group| group.nodes.len() > 1);
    match is_changed {
        true => emit::emit(component, &sections, &nested, &graph, &groups),
        false => Err(groups::obstacle(&graph).max(reason.unwrap_or(NotMerged::Single))),
    }
}

/// Returns the sections of a component, without those of the core modules and components in it.
pub(super) fn sections(component: &[u8]) -> Result<Vec<Payload<'_>>, BinaryReaderError> {
    let (mut sections, mut depth) = (Vec::new(), 0_usize);
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        let opens = matches!(payload, Payload::ModuleSection { .. } | Payload::ComponentSection { .. });
        let closes = matches!(payload, Payload::End(_));
        if depth == 0 {
            sections.push(payload);
        }
        depth = (depth + usize::from(opens)).saturating_sub(usize::from(closes));
    }
    Ok(sections)
}
