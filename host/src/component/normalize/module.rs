//! A core module, as far as merging needs it.

use std::{
    collections::{BTreeSet, HashMap},
    ops::{Index, IndexMut},
};

use wasm_encoder::ExportKind;
use wasmparser::{DataKind, ElementKind, ExternalKind, FuncType, Import, Parser, Payload, TypeRef, ValType};

use super::reason::NotMerged;

/// An index space of a core module, or of the core items of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Space {
    Func,
    Table,
    Memory,
    Global,
}

/// One value for each index space.
#[derive(Debug, Clone, Default)]
pub(super) struct Spaces<T>([T; 4]);

/// A core module of a component.
pub(super) struct Module<'a> {
    pub(super) bytes: &'a [u8],
    /// The sections, and the function bodies of the code section.
    pub(super) sections: Vec<Payload<'a>>,
    pub(super) types: Vec<FuncType>,
    pub(super) imports: Vec<Import<'a>>,
    /// The position in `imports` of each imported item. Imported items are the first of their index space.
    pub(super) imported: Spaces<Vec<usize>>,
    /// The number of items in each index space, with the imported ones.
    pub(super) items: Spaces<u32>,
    pub(super) exports: HashMap<&'a str, (Space, u32)>,
    /// A name for each exported item.
    pub(super) names: HashMap<(Space, u32), &'a str>,
    /// The tables and memories that instantiation writes to, by active segments.
    pub(super) written: BTreeSet<(Space, u32)>,
    pub(super) elements: u32,
    pub(super) data: u32,
    pub(super) has_start: bool,
    /// How many instances the component makes of this module.
    pub(super) instances: usize,
}

impl<'a> Module<'a> {
    /// Reads a core module. `bytes` is the whole module.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, NotMerged> {
        let mut module = Self {
            bytes,
            sections: Vec::new(),
            types: Vec::new(),
            imports: Vec::new(),
            imported: Spaces::default(),
            items: Spaces::default(),
            exports: HashMap::new(),
            names: HashMap::new(),
            written: BTreeSet::new(),
            elements: 0,
            data: 0,
            has_start: false,
            instances: 0,
        };
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload?;
            module.add(&payload)?;
            module.sections.push(payload);
        }
        Ok(module)
    }

    fn add(&mut self, payload: &Payload<'a>) -> Result<(), NotMerged> {
        match payload {
            Payload::TypeSection(types) => {
                for ty in types.clone().into_iter_err_on_gc_types() {
                    let ty = ty.map_err(|_| NotMerged::Proposal)?;
                    if ty.params().iter().chain(ty.results()).any(is_concrete) {
                        return Err(NotMerged::Proposal);
                    }
                    self.types.push(ty);
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.clone().into_imports() {
                    self.import(import?)?;
                }
            }
            Payload::FunctionSection(functions) => self.items[Space::Func] += functions.count(),
            Payload::TableSection(tables) => self.items[Space::Table] += tables.count(),
            Payload::MemorySection(memories) => self.items[Space::Memory] += memories.count(),
            Payload::GlobalSection(globals) => self.items[Space::Global] += globals.count(),
            Payload::TagSection(_) => return Err(NotMerged::Proposal),
            Payload::ExportSection(exports) => {
                for export in exports.clone() {
                    let export = export?;
                    let item = (Space::of(export.kind)?, export.index);
                    self.exports.insert(export.name, item);
                    self.names.entry(item).or_insert(export.name);
                }
            }
            Payload::StartSection { .. } => self.has_start = true,
            Payload::ElementSection(elements) => {
                self.elements = elements.count();
                for element in elements.clone() {
                    if let ElementKind::Active { table_index, .. } = element?.kind {
                        self.written.insert((Space::Table, table_index.unwrap_or(0)));
                    }
                }
            }
            Payload::DataSection(data) => {
                self.data = data.count();
                for segment in data.clone() {
                    if let DataKind::Active { memory_index, .. } = segment?.kind {
                        self.written.insert((Space::Memory, memory_index));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn import(&mut self, import: Import<'a>) -> Result<(), NotMerged> {
        let space = match import.ty {
            TypeRef::Func(_) => Space::Func,
            TypeRef::Table(_) => Space::Table,
            TypeRef::Memory(_) => Space::Memory,
            TypeRef::Global(_) => Space::Global,
            TypeRef::Tag(_) | TypeRef::FuncExact(_) => return Err(NotMerged::Proposal),
        };
        self.imported[space].push(self.imports.len());
        self.items[space] += 1;
        self.imports.push(import);
        Ok(())
    }
}

/// Returns the item with an index that a component contains.
pub(super) fn at<T>(items: &[T], index: u32) -> Result<&T, NotMerged> {
    items.get(index as usize).ok_or(NotMerged::Malformed)
}

/// Returns whether a type is a reference to a type of the module.
fn is_concrete(ty: &ValType) -> bool {
    ty.as_reference_type().is_some_and(|reference| reference.is_concrete_type_ref())
}

impl Space {
    pub(super) const ALL: [Self; 4] = [Self::Func, Self::Table, Self::Memory, Self::Global];

    pub(super) fn of(kind: ExternalKind) -> Result<Self, NotMerged> {
        match kind {
            ExternalKind::Func => Ok(Self::Func),
            ExternalKind::Table => Ok(Self::Table),
            ExternalKind::Memory => Ok(Self::Memory),
            ExternalKind::Global => Ok(Self::Global),
            ExternalKind::Tag | ExternalKind::FuncExact => Err(NotMerged::Proposal),
        }
    }

    pub(super) fn export_kind(self) -> ExportKind {
        match self {
            Self::Func => ExportKind::Func,
            Self::Table => ExportKind::Table,
            Self::Memory => ExportKind::Memory,
            Self::Global => ExportKind::Global,
        }
    }
}

impl<T> Index<Space> for Spaces<T> {
    type Output = T;

    fn index(&self, space: Space) -> &T {
        &self.0[space as usize]
    }
}

impl<T> IndexMut<Space> for Spaces<T> {
    fn index_mut(&mut self, space: Space) -> &mut T {
        &mut self.0[space as usize]
    }
}
