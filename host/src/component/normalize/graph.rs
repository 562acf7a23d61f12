//! The core instances of a component, and the core items that they exchange.

use std::collections::HashMap;

use wasm_encoder::{
    CanonicalFunctionSection,
    reencode::{Error, Reencode, ReencodeComponent},
};
use wasmparser::{CanonicalFunction, ComponentAlias, Export, Instance, InstantiationArg, Payload};

use super::{
    module::{Module, Space, Spaces, at},
    reason::NotMerged,
};

/// The core part of a component.
#[derive(Default)]
pub(super) struct Graph<'a> {
    pub(super) modules: Vec<Module<'a>>,
    /// The instances of core modules, in the order of instantiation.
    pub(super) nodes: Vec<Node>,
    pub(super) canonicals: Vec<Canonical>,
    /// All core instances, by their index.
    instances: Vec<Exports<'a>>,
    /// The items in the core index spaces of the component.
    pub(super) items: Spaces<Vec<Item>>,
    /// The number of barriers so far.
    barriers: usize,
}

/// An instance of a core module.
pub(super) struct Node {
    pub(super) module: usize,
    /// The item for each import of the module.
    pub(super) imports: Vec<Item>,
    /// Index of this core instance.
    pub(super) instance: usize,
    /// The number of barriers before this instance, which must stay on its side of each of them. A barrier is a
    /// definition that may call functions, such as an instance of a component, or that needs earlier instances and keeps
    /// its place, such as a lifted function.
    pub(super) barriers: usize,
}

/// A function that a canonical definition makes.
pub(super) struct Canonical {
    pub(super) function: CanonicalFunction,
    /// The core items that the definition refers to.
    pub(super) uses: Vec<Item>,
}

/// A core item, identified by its definition. If an instance exports an imported item, the export is that item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Item {
    /// Defined by the module of a node, with this index in the module.
    Defined(usize, Space, u32),
    /// A function made by a canonical definition, such as a lowered function.
    Canonical(usize),
}

/// The exports of a core instance.
enum Exports<'a> {
    /// The exports of a node.
    Node(usize),
    /// Items under the names that the component gives them.
    Named(HashMap<&'a str, Item>),
}

impl<'a> Graph<'a> {
    /// Reads the sections of a component.
    pub(super) fn read(component: &'a [u8], sections: &[Payload<'a>]) -> Result<Self, NotMerged> {
        let mut graph = Self::default();
        for section in sections {
            graph.add(component, section)?;
        }
        Ok(graph)
    }

    fn add(&mut self, component: &'a [u8], section: &Payload<'a>) -> Result<(), NotMerged> {
        match section {
            Payload::ModuleSection { unchecked_range, .. } => {
                let module = component.get(unchecked_range.clone()).ok_or(NotMerged::Malformed)?;
                self.modules.push(Module::read(module)?);
            }
            Payload::InstanceSection(instances) => {
                for instance in instances.clone() {
                    let exports = match instance? {
                        Instance::Instantiate { module_index, args } => self.instantiate(module_index, &args)?,
                        Instance::FromExports(exports) => Exports::Named(self.named(&exports)?),
                    };
                    self.instances.push(exports);
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases.clone() {
                    if let ComponentAlias::CoreInstanceExport { kind, instance_index, name } = alias? {
                        let item = self.export(instance_index, name)?;
                        self.items[Space::of(kind)?].push(item);
                    }
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions.clone() {
                    self.define(function?)?;
                }
            }
            Payload::ComponentInstanceSection(_) | Payload::ComponentStartSection { .. } => self.barriers += 1,
            _ => {}
        }
        Ok(())
    }

    fn instantiate(&mut self, index: u32, args: &[InstantiationArg<'a>]) -> Result<Exports<'a>, NotMerged> {
        let args: HashMap<_, _> = args.iter().map(|arg| (arg.name, arg.index)).collect();
        let module = at(&self.modules, index)?;
        let import = |import: &wasmparser::Import<'a>| {
            let instance = args.get(import.module).ok_or(NotMerged::Malformed)?;
            self.export(*instance, import.name)
        };
        let imports = module.imports.iter().map(import).collect::<Result<_, _>>()?;
        let (module, instance) = (index as usize, self.instances.len());
        // A start function may call any function, so nothing moves across it.
        let has_start = self.modules[module].has_start;
        self.barriers += usize::from(has_start);
        self.nodes.push(Node { module, imports, instance, barriers: self.barriers });
        self.barriers += usize::from(has_start);
        self.modules[module].instances += 1;
        Ok(Exports::Node(self.nodes.len() - 1))
    }

    fn named(&self, exports: &[Export<'a>]) -> Result<HashMap<&'a str, Item>, NotMerged> {
        let named = |export: &Export<'a>| {
            let item = at(&self.items[Space::of(export.kind)?], export.index)?;
            Ok((export.name, *item))
        };
        exports.iter().map(named).collect()
    }

    fn define(&mut self, function: CanonicalFunction) -> Result<(), NotMerged> {
        let mut uses = Vec::new();
        let push = |item| {
            uses.push(item);
            0
        };
        encode(&function, &self.items, push)?;
        match function {
            // Defines a function of the component.
            CanonicalFunction::Lift { .. } => self.barriers += 1,
            _ if uses.iter().any(|item| matches!(item, Item::Canonical(_))) => return Err(NotMerged::Chain),
            _ => self.items[Space::Func].push(Item::Canonical(self.canonicals.len())),
        }
        self.canonicals.push(Canonical { function, uses });
        Ok(())
    }

    /// Returns the item that a core instance exports under a name.
    fn export(&self, instance: u32, name: &str) -> Result<Item, NotMerged> {
        match at(&self.instances, instance)? {
            Exports::Named(items) => items.get(name).copied().ok_or(NotMerged::Malformed),
            Exports::Node(node) => {
                let (space, index) = self.module(*node).exports.get(name).ok_or(NotMerged::Malformed)?;
                Ok(self.item(*node, *space, *index))
            }
        }
    }

    /// Returns the item that has this index in the module of a node.
    pub(super) fn item(&self, node: usize, space: Space, index: u32) -> Item {
        match self.module(node).imported[space].get(index as usize) {
            Some(import) => self.nodes[node].imports[*import],
            None => Item::Defined(node, space, index),
        }
    }

    /// Returns the module of a node.
    pub(super) fn module(&self, node: usize) -> &Module<'a> {
        &self.modules[self.nodes[node].module]
    }
}

impl Item {
    pub(super) fn space(self) -> Space {
        match self {
            Self::Defined(_, space, _) => space,
            Self::Canonical(_) => Space::Func,
        }
    }
}

/// Encodes a canonical definition. `index` returns the new index of a core item that the definition refers to.
pub(super) fn encode(
    function: &CanonicalFunction,
    items: &Spaces<Vec<Item>>,
    index: impl FnMut(Item) -> u32,
) -> Result<CanonicalFunctionSection, NotMerged> {
    let mut section = CanonicalFunctionSection::new();
    Renumber { items, index }.parse_component_canonical(&mut section, function.clone())?;
    Ok(section)
}

struct Renumber<'a, F> {
    items: &'a Spaces<Vec<Item>>,
    index: F,
}

impl<F: FnMut(Item) -> u32> Renumber<'_, F> {
    fn renumber(&mut self, space: Space, index: u32) -> Result<u32, Error<NotMerged>> {
        let item = at(&self.items[space], index).map_err(Error::UserError)?;
        Ok((self.index)(*item))
    }
}

impl<F: FnMut(Item) -> u32> Reencode for Renumber<'_, F> {
    type Error = NotMerged;

    fn function_index(&mut self, index: u32) -> Result<u32, Error<NotMerged>> {
        self.renumber(Space::Func, index)
    }

    fn memory_index(&mut self, index: u32) -> Result<u32, Error<NotMerged>> {
        self.renumber(Space::Memory, index)
    }

    fn table_index(&mut self, index: u32) -> Result<u32, Error<NotMerged>> {
        self.renumber(Space::Table, index)
    }
}

impl<F: FnMut(Item) -> u32> ReencodeComponent for Renumber<'_, F> {}
