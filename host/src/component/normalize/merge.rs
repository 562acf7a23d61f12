//! Makes one core module of several.
//!
//! The merged module has the definitions of all modules, in the order of their instantiation. If a module imports an
//! item of another one, both use the same definition. Segments keep their order. WebAssembly writes all element segments
//! before the first data segment. That is not observable: they write to different items, and if a segment traps, there
//! is no instance.

use std::collections::{BTreeMap, HashMap};

use wasm_encoder::{
    CodeSection, ConstExpr, DataCountSection, DataSection, ElementSection, Elements, EntityType, ExportSection,
    FunctionSection, GlobalSection, ImportSection, MemorySection, NameMap, NameSection, TableSection, TypeSection,
    reencode::Reencode,
};
use wasmparser::{FuncType, KnownCustom, Name, NameSectionReader, Payload};

use super::{
    graph::{Graph, Item},
    indices::Indices,
    module::{Module, Space, Spaces},
    reason::NotMerged,
};

/// A merged core module. The name of an import is its position in `imports`, in the module with the empty name.
pub(super) struct Merged {
    pub(super) module: Vec<u8>,
    pub(super) imports: Vec<Item>,
}

/// Merges the modules of `nodes`. The name of an export is its position in `exports`.
pub(super) fn merge(graph: &Graph<'_>, nodes: &[usize], exports: &[Item]) -> Result<Merged, NotMerged> {
    let mut merger = Merger::new(graph);
    let mut parts = Vec::new();
    for node in nodes {
        let types = merger.types(*node)?;
        parts.push((*node, types.clone(), merger.imports(*node, types, nodes)?));
    }
    // In an index space, imported items precede all others.
    for node in nodes {
        merger.define(*node);
    }
    for (node, types, imports) in parts {
        merger.enter(node, types, &imports);
        merger.sections(node)?;
    }
    merger.finish(exports)
}

/// The sections of the merged module.
struct Merger<'a> {
    graph: &'a Graph<'a>,
    types: TypeSection,
    imports: ImportSection,
    functions: FunctionSection,
    tables: TableSection,
    memories: MemorySection,
    globals: GlobalSection,
    elements: ElementSection,
    code: CodeSection,
    data: DataSection,
    names: BTreeMap<u32, &'a str>,
    /// The index of each type.
    known_types: HashMap<&'a FuncType, u32>,
    /// The index of each import. If modules import a memory with different limits, there is an import for each of them.
    known_imports: HashMap<Item, Vec<(EntityType, u32)>>,
    imported: Vec<Item>,
    /// The index of each item that a merged module defines.
    defined: HashMap<Item, u32>,
    /// The number of items in each index space.
    counts: Spaces<u32>,
    indices: Indices,
}

impl<'a> Merger<'a> {
    fn new(graph: &'a Graph<'a>) -> Self {
        Self {
            graph,
            types: TypeSection::new(),
            imports: ImportSection::new(),
            functions: FunctionSection::new(),
            tables: TableSection::new(),
            memories: MemorySection::new(),
            globals: GlobalSection::new(),
            elements: ElementSection::new(),
            code: CodeSection::new(),
            data: DataSection::new(),
            names: BTreeMap::new(),
            known_types: HashMap::new(),
            known_imports: HashMap::new(),
            imported: Vec::new(),
            defined: HashMap::new(),
            counts: Spaces::default(),
            indices: Indices::default(),
        }
    }

    /// Adds the types of a module. Returns their indices.
    fn types(&mut self, node: usize) -> Result<Vec<u32>, NotMerged> {
        let mut indices = Vec::new();
        for ty in &self.graph.module(node).types {
            let index = match self.known_types.get(ty) {
                Some(index) => *index,
                None => {
                    let index = self.types.len();
                    self.types.ty().func_type(&self.indices.func_type(ty.clone())?);
                    self.known_types.insert(ty, index);
                    index
                }
            };
            indices.push(index);
        }
        Ok(indices)
    }

    /// Adds the imports of a module from outside the group. Returns the index of each import, or `None` if the group
    /// defines the item.
    fn imports(&mut self, node: usize, types: Vec<u32>, nodes: &[usize]) -> Result<Vec<Option<u32>>, NotMerged> {
        self.indices.types = types;
        let mut indices = Vec::new();
        for (import, item) in self.graph.module(node).imports.iter().zip(&self.graph.nodes[node].imports) {
            indices.push(match item {
                Item::Defined(definer, ..) if nodes.contains(definer) => None,
                _ => {
                    let ty = self.indices.entity_type(import.ty)?;
                    Some(self.import(*item, ty))
                }
            });
        }
        Ok(indices)
    }

    fn import(&mut self, item: Item, ty: EntityType) -> u32 {
        let known = self.known_imports.entry(item).or_default();
        if let Some((_, index)) = known.iter().find(|(known, _)| *known == ty) {
            return *index;
        }
        let index = self.counts[item.space()];
        self.counts[item.space()] += 1;
        known.push((ty, index));
        self.imports.import("", &self.imported.len().to_string(), ty);
        self.imported.push(item);
        index
    }

    /// Numbers the items that a module defines.
    fn define(&mut self, node: usize) {
        let module = self.graph.module(node);
        for space in Space::ALL {
            for index in module.imported[space].len() as u32..module.items[space] {
                self.defined.insert(Item::Defined(node, space, index), self.counts[space]);
                self.counts[space] += 1;
            }
        }
    }

    /// Makes the indices of a module the current ones.
    fn enter(&mut self, node: usize, types: Vec<u32>, imports: &[Option<u32>]) {
        let module = self.graph.module(node);
        self.indices.types = types;
        self.indices.elements = self.elements.len()..self.elements.len() + module.elements;
        self.indices.data = self.data.len()..self.data.len() + module.data;
        for space in Space::ALL {
            let import = |index: u32| imports[*module.imported[space].get(index as usize)?];
            let index = |index| import(index).unwrap_or_else(|| self.defined[&self.graph.item(node, space, index)]);
            self.indices.items[space] = (0..module.items[space]).map(index).collect();
        }
    }

    /// Adds the sections of a module.
    fn sections(&mut self, node: usize) -> Result<(), NotMerged> {
        let (module, indices) = (self.graph.module(node), &mut self.indices);
        for section in &module.sections {
            match section {
                Payload::FunctionSection(functions) => {
                    indices.parse_function_section(&mut self.functions, functions.clone())?
                }
                Payload::TableSection(tables) => indices.parse_table_section(&mut self.tables, tables.clone())?,
                Payload::MemorySection(memories) => {
                    indices.parse_memory_section(&mut self.memories, memories.clone())?
                }
                Payload::GlobalSection(globals) => {
                    let first = module.imported[Space::Global].len() as u32;
                    for (index, global) in (first..).zip(globals.clone()) {
                        let global = global?;
                        let value = indices.fold(&global.init_expr)?;
                        let ty = indices.global_type(global.ty)?;
                        self.globals.global(ty, &ConstExpr::extended(value.iter().cloned()));
                        if !ty.mutable {
                            let index = indices.global_index(index)?;
                            indices.constants.insert(index, value);
                        }
                    }
                }
                Payload::ElementSection(elements) => {
                    indices.parse_element_section(&mut self.elements, elements.clone())?
                }
                Payload::CodeSectionEntry(body) => indices.parse_function_body(&mut self.code, body.clone())?,
                Payload::DataSection(data) => indices.parse_data_section(&mut self.data, data.clone())?,
                Payload::CustomSection(custom) => {
                    if let KnownCustom::Name(names) = custom.as_known() {
                        add_names(&mut self.names, module, indices, names);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn finish(mut self, exports: &[Item]) -> Result<Merged, NotMerged> {
        let mut section = ExportSection::new();
        for (name, item) in exports.iter().enumerate() {
            section.export(&name.to_string(), item.space().export_kind(), self.defined[item]);
        }
        if !self.indices.referenced.is_empty() {
            let functions: Vec<_> = self.indices.referenced.into_iter().collect();
            self.elements.declared(Elements::Functions(functions.into()));
        }
        let mut module = wasm_encoder::Module::new();
        module
            .section(&self.types)
            .section(&self.imports)
            .section(&self.functions)
            .section(&self.tables)
            .section(&self.memories)
            .section(&self.globals)
            .section(&section)
            .section(&self.elements);
        if !self.data.is_empty() {
            module.section(&DataCountSection { count: self.data.len() });
        }
        module.section(&self.code).section(&self.data);
        let mut functions = NameMap::new();
        for (index, name) in self.names {
            functions.append(index, name);
        }
        let mut names = NameSection::new();
        names.functions(&functions);
        module.section(&names);
        Ok(Merged { module: module.finish(), imports: self.imported })
    }
}

/// Adds the names of the functions that a module defines. Ignores the rest of a malformed section, as compilers do.
fn add_names<'a>(
    names: &mut BTreeMap<u32, &'a str>,
    module: &Module<'a>,
    indices: &Indices,
    section: NameSectionReader<'a>,
) {
    let imported = module.imported[Space::Func].len();
    for subsection in section.into_iter().map_while(Result::ok) {
        let Name::Function(functions) = subsection else { continue };
        for function in functions.into_iter().map_while(Result::ok) {
            let index = function.index as usize;
            if let Some(index) = indices.items[Space::Func].get(index).filter(|_| index >= imported) {
                names.insert(*index, function.name);
            }
        }
    }
}
