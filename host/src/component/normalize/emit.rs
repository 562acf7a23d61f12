//! Writes a component with merged core modules.
//!
//! All definitions of the component, such as types, imports and exports, stay as they are and in their order. A core
//! definition is written when another definition needs it. Core definitions that nothing needs any more disappear.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    slice,
};

use wasm_encoder::{
    Alias, Component, ComponentAliasSection, ComponentSectionId, InstanceSection, ModuleArg, RawSection,
    reencode::{ReencodeComponent, RoundtripReencoder},
};
use wasmparser::{CanonicalFunction, ComponentAlias, Payload};

use super::{
    graph::{Graph, Item, encode},
    groups::Group,
    merge::{Merged, merge},
    module::Spaces,
    reason::NotMerged,
};

/// Writes a component with these groups of core instances. `nested` has the bytes of its component sections.
pub(super) fn emit(
    bytes: &[u8],
    sections: &[Payload<'_>],
    nested: &[Vec<u8>],
    graph: &Graph<'_>,
    groups: &[Group],
) -> Result<Vec<u8>, NotMerged> {
    let mut emitter = Emitter::new(graph, groups);
    let mut nested = nested.iter();
    let (mut instances, mut canonicals) = (0, 0);
    for section in sections {
        match section {
            Payload::ModuleSection { .. } => {}
            Payload::InstanceSection(section) => {
                instances += section.count() as usize;
                emitter.groups(instances)?;
            }
            Payload::ComponentSection { .. } => {
                let data = nested.next().ok_or(NotMerged::Malformed)?;
                emitter.component.section(&RawSection { id: ComponentSectionId::Component.into(), data });
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases.clone() {
                    let alias = alias?;
                    if !matches!(alias, ComponentAlias::CoreInstanceExport { .. }) {
                        emitter.alias(RoundtripReencoder.component_alias(alias).map_err(|_| NotMerged::Malformed)?);
                    }
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions.clone() {
                    if let CanonicalFunction::Lift { .. } = function? {
                        emitter.canonical(canonicals)?;
                    }
                    canonicals += 1;
                }
            }
            // Its indices of core definitions are no longer valid.
            Payload::CustomSection(custom) if custom.name() == "component-name" => {}
            _ => {
                if let Some((id, range)) = section.as_section() {
                    let data = bytes.get(range).ok_or(NotMerged::Malformed)?;
                    emitter.component.section(&RawSection { id, data });
                }
            }
        }
    }
    Ok(emitter.component.finish())
}

struct Emitter<'a> {
    graph: &'a Graph<'a>,
    /// The groups that have not been written.
    groups: slice::Iter<'a, Group>,
    component: Component,
    /// The index of the written core instance of each node.
    instances: HashMap<usize, u32>,
    /// The name under which a merged module exports an item.
    names: HashMap<Item, String>,
    /// The index of each written module that stays as it is.
    modules: HashMap<usize, u32>,
    /// The index of each written item.
    items: HashMap<Item, u32>,
    /// The number of written items in each core index space.
    item_count: Spaces<u32>,
    module_count: u32,
    instance_count: u32,
}

impl<'a> Emitter<'a> {
    fn new(graph: &'a Graph<'a>, groups: &'a [Group]) -> Self {
        Self {
            graph,
            groups: groups.iter(),
            component: Component::new(),
            instances: HashMap::new(),
            names: HashMap::new(),
            modules: HashMap::new(),
            items: HashMap::new(),
            item_count: Spaces::default(),
            module_count: 0,
            instance_count: 0,
        }
    }

    /// Writes the groups whose place is among the first `instances` core instances.
    fn groups(&mut self, instances: usize) -> Result<(), NotMerged> {
        while let Some(group) = self.groups.as_slice().first().filter(|group| group.place < instances) {
            self.groups.next();
            let instance = match group.nodes[..] {
                [node] => self.single(node)?,
                _ => self.merged(&group.nodes)?,
            };
            self.instances.extend(group.nodes.iter().map(|node| (*node, instance)));
        }
        Ok(())
    }

    /// Writes an instance of a module that stays as it is.
    fn single(&mut self, node: usize) -> Result<u32, NotMerged> {
        let graph = self.graph;
        let module = graph.module(node);
        let mut args: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (import, item) in module.imports.iter().zip(&graph.nodes[node].imports) {
            args.entry(import.module).or_default().push((import.name, *item));
        }
        let index = match self.modules.get(&graph.nodes[node].module) {
            Some(index) => *index,
            None => {
                let index = self.module(module.bytes);
                self.modules.insert(graph.nodes[node].module, index);
                index
            }
        };
        self.instance(index, args)
    }

    /// Merges the modules of a group, and writes the merged module and its instance.
    fn merged(&mut self, nodes: &[usize]) -> Result<u32, NotMerged> {
        let exports = exports(self.graph, nodes);
        let Merged { module, imports } = merge(self.graph, nodes, &exports)?;
        self.names.extend(exports.into_iter().enumerate().map(|(name, item)| (item, name.to_string())));
        let names: Vec<_> = (0..imports.len()).map(|name| name.to_string()).collect();
        let items = names.iter().map(String::as_str).zip(imports).collect();
        let index = self.module(&module);
        self.instance(index, BTreeMap::from([("", items)]))
    }

    fn module(&mut self, data: &[u8]) -> u32 {
        self.component.section(&RawSection { id: ComponentSectionId::CoreModule.into(), data });
        next(&mut self.module_count)
    }

    /// Writes an instance of a module, with an instance of exports for each argument.
    fn instance(&mut self, module: u32, args: BTreeMap<&str, Vec<(&str, Item)>>) -> Result<u32, NotMerged> {
        let mut instances = Vec::new();
        for (name, items) in args {
            let mut exports = Vec::new();
            for (name, item) in items {
                exports.push((name, item.space().export_kind(), self.item(item)?));
            }
            let mut section = InstanceSection::new();
            section.export_items(exports);
            self.component.section(&section);
            instances.push((name, ModuleArg::Instance(next(&mut self.instance_count))));
        }
        let mut section = InstanceSection::new();
        section.instantiate(module, instances);
        self.component.section(&section);
        Ok(next(&mut self.instance_count))
    }

    /// Returns the index of an item in its core index space. Writes the definition of the item if needed.
    fn item(&mut self, item: Item) -> Result<u32, NotMerged> {
        if let Some(index) = self.items.get(&item) {
            return Ok(*index);
        }
        match item {
            Item::Canonical(canonical) => self.canonical(canonical)?,
            Item::Defined(node, space, index) => {
                let graph = self.graph;
                let merged = self.names.get(&item).cloned();
                let name = merged.as_deref().or_else(|| graph.module(node).names.get(&(space, index)).copied());
                let alias = Alias::CoreInstanceExport {
                    instance: *self.instances.get(&node).ok_or(NotMerged::Malformed)?,
                    kind: space.export_kind(),
                    name: name.ok_or(NotMerged::Malformed)?,
                };
                self.alias(alias);
            }
        }
        let index = next(&mut self.item_count[item.space()]);
        self.items.insert(item, index);
        Ok(index)
    }

    fn canonical(&mut self, canonical: usize) -> Result<(), NotMerged> {
        let canonical = &self.graph.canonicals[canonical];
        for item in &canonical.uses {
            self.item(*item)?;
        }
        let section = encode(&canonical.function, &self.graph.items, |item| self.items[&item])?;
        self.component.section(&section);
        Ok(())
    }

    fn alias(&mut self, alias: Alias<'_>) {
        let mut section = ComponentAliasSection::new();
        section.alias(alias);
        self.component.section(&section);
    }
}

/// Returns the items of a group that the rest of the component uses.
fn exports(graph: &Graph<'_>, nodes: &[usize]) -> Vec<Item> {
    let others = graph.nodes.iter().enumerate().filter(|(node, _)| !nodes.contains(node));
    let imports = others.flat_map(|(_, node)| &node.imports);
    let options = graph.canonicals.iter().flat_map(|canonical| &canonical.uses);
    let is_of_group = |item: &&Item| matches!(item, Item::Defined(node, ..) if nodes.contains(node));
    let exports: BTreeSet<_> = imports.chain(options).filter(is_of_group).copied().collect();
    exports.into_iter().collect()
}

/// Returns a count, and increments it.
fn next(count: &mut u32) -> u32 {
    let index = *count;
    *count += 1;
    index
}
