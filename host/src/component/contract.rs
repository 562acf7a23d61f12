//! Describes how the types and functions of a component differ from the contract in `wit/`. Wasmtime checks whether
//! they match, but its error does not name the types.

mod compare;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::LazyLock,
};

use wasmtime::{
    Engine,
    component::{
        Component,
        types::{ComponentFunc, ComponentInstance, ComponentItem, Type},
    },
};
use wit_parser::{Function, Interface, PackageId, Resolve, SourceMap, TypeDefKind, TypeId};

use self::compare::Comparison;
use super::interface::{is_compatible, split};

/// The files in `wit/`.
const FILES: [(&str, &str); 9] = [
    ("actions.wit", include_str!("../../../wit/actions.wit")),
    ("controller.wit", include_str!("../../../wit/controller.wit")),
    ("database.wit", include_str!("../../../wit/database.wit")),
    ("hook.wit", include_str!("../../../wit/hook.wit")),
    ("model.wit", include_str!("../../../wit/model.wit")),
    ("request.wit", include_str!("../../../wit/request.wit")),
    ("reseed.wit", include_str!("../../../wit/reseed.wit")),
    ("types.wit", include_str!("../../../wit/types.wit")),
    ("world.wit", include_str!("../../../wit/world.wit")),
];

/// Maximum number of interfaces that a message lists as users of a type.
const MAX_USERS: usize = 3;

/// The contract, parsed.
pub(super) struct Contract {
    resolve: Resolve,
    package: PackageId,
}

/// An interface of the contract, as a component imports or exports it.
struct Part<'a> {
    /// Full name in the component.
    name: String,
    interface: &'a Interface,
    types: Vec<(String, Type)>,
    functions: Vec<(String, ComponentFunc)>,
    is_export: bool,
}

impl Contract {
    /// Returns the contract, which the first call parses. Returns `None` if [`FILES`] cannot be parsed, which is
    /// possible only if the bindings were generated from other files.
    pub(super) fn get() -> Option<&'static Self> {
        static CONTRACT: LazyLock<Option<Contract>> = LazyLock::new(|| Contract::new().ok());
        CONTRACT.as_ref()
    }

    fn new() -> Result<Self, String> {
        let mut files = SourceMap::default();
        FILES.iter().for_each(|(name, text)| files.push(Path::new(name), *text));
        let group = files.parse().map_err(|(_, error)| error.to_string())?;
        let mut resolve = Resolve::default();
        let package = resolve.push_group(group).map_err(|error| error.to_string())?;
        Ok(Self { resolve, package })
    }

    /// Returns the interface with this short name.
    pub(super) fn interface(&self, name: &str) -> Option<&Interface> {
        Some(&self.resolve.interfaces[*self.resolve.packages[self.package].interfaces.get(name)?])
    }

    /// Describes how the types and functions of a component differ from the contract. Returns `None` if no difference
    /// was found.
    pub(super) fn drift(&self, component: &Component, engine: &Engine) -> Option<String> {
        let (parts, mut found) = self.parts(component, engine);
        let resources = resources(component, engine);
        let compare = Comparison::new(&self.resolve, &resources);
        let mut types: BTreeMap<TypeId, String> = BTreeMap::new();
        for part in &parts {
            for (name, there) in &part.types {
                let Some(here) = part.interface.types.get(name).map(|id| self.origin(*id)) else { continue };
                if !compare.same_definition(here, there) {
                    types.entry(here).or_insert_with(|| compare.describe(here, there));
                }
            }
        }
        // A type that contains a differing type differs too, so report only the innermost types.
        let innermost = |id: &TypeId| {
            let inside = self.inside(wit_parser::Type::Id(*id));
            !types.keys().any(|other| other != id && inside.contains(other))
        };
        for (id, how) in types.iter().filter(|(id, _)| innermost(id)) {
            let name = self.resolve.types[*id].name.as_deref().unwrap_or_default();
            found.push(format!("type `{name}` differs: {how}{}", self.users(*id, &parts)));
        }
        for part in &parts {
            for (name, there) in &part.functions {
                let Some(here) = part.interface.functions.get(name) else { continue };
                let is_explained = self.inside_function(here).iter().any(|id| types.contains_key(id));
                if let Some(how) = compare.function(here, there).filter(|_| !is_explained) {
                    found.push(format!("function `{name}` of `{}` differs: {how}", part.name));
                }
            }
            let missing = |name: &&String| part.is_export && !part.functions.iter().any(|(other, _)| other == *name);
            for name in part.interface.functions.keys().filter(missing) {
                found.push(format!("`{}` is exported without the function `{name}`", part.name));
            }
        }
        found.dedup();
        (!found.is_empty()).then(|| found.join("; "))
    }

    /// Returns the interfaces of the contract that a component imports or exports, and an error message for each item
    /// that has the name of such an interface but is not an interface.
    fn parts<'a>(&'a self, component: &Component, engine: &Engine) -> (Vec<Part<'a>>, Vec<String>) {
        let ty = component.component_type();
        let imports = ty.imports(engine).map(|(name, item)| (name.to_owned(), item.ty, false));
        let exports = ty.exports(engine).map(|(name, item)| (name.to_owned(), item.ty, true));
        let (mut parts, mut found) = (Vec::new(), Vec::new());
        for (name, item, is_export) in imports.chain(exports) {
            let known = split(&name).filter(|(_, version)| is_compatible(version));
            let Some(interface) = known.and_then(|(short, _)| self.interface(short)) else { continue };
            match item {
                ComponentItem::ComponentInstance(instance) => {
                    parts.push(Part::new(name, interface, &instance, engine, is_export));
                }
                _ => found.push(format!("`{name}` is not an interface")),
            }
        }
        (parts, found)
    }

    /// Resolves aliases of a type.
    fn origin(&self, id: TypeId) -> TypeId {
        match self.resolve.types[id].kind {
            TypeDefKind::Type(wit_parser::Type::Id(other)) => self.origin(other),
            _ => id,
        }
    }

    /// Returns a type and all types inside it.
    fn inside(&self, ty: wit_parser::Type) -> BTreeSet<TypeId> {
        let (mut found, mut todo) = (BTreeSet::new(), vec![ty]);
        while let Some(ty) = todo.pop() {
            let wit_parser::Type::Id(id) = ty else { continue };
            let id = self.origin(id);
            if found.insert(id) {
                todo.extend(compare::members(&self.resolve.types[id].kind));
            }
        }
        found
    }

    fn inside_function(&self, function: &Function) -> BTreeSet<TypeId> {
        let types = function.params.iter().map(|param| param.ty).chain(function.result);
        types.flat_map(|ty| self.inside(ty)).collect()
    }

    /// Lists the interfaces of the component in which a function uses a type, as the end of an error message.
    fn users(&self, id: TypeId, parts: &[Part]) -> String {
        let uses = |part: &&Part| {
            let known = part.functions.iter().filter_map(|(name, _)| part.interface.functions.get(name));
            known.into_iter().any(|function| self.inside_function(function).contains(&id))
        };
        let names: Vec<_> = parts.iter().filter(uses).map(|part| format!("`{}`", part.name)).collect();
        match names.as_slice() {
            [] => String::new(),
            names if names.len() <= MAX_USERS => format!(" (used by {})", names.join(", ")),
            names => {
                let more = names.len() - MAX_USERS;
                format!(" (used by {} and {more} more)", names[..MAX_USERS].join(", "))
            }
        }
    }
}

impl<'a> Part<'a> {
    fn new(
        name: String,
        interface: &'a Interface,
        instance: &ComponentInstance,
        engine: &Engine,
        is_export: bool,
    ) -> Self {
        let (mut types, mut functions) = (Vec::new(), Vec::new());
        for (name, item) in instance.exports(engine) {
            match item.ty {
                ComponentItem::Type(ty) => types.push((name.to_owned(), ty)),
                ComponentItem::ComponentFunc(function) => functions.push((name.to_owned(), function)),
                _ => {}
            }
        }
        Self { name, interface, types, functions, is_export }
    }
}

/// Returns the resources of the contract that a component imports, by name.
fn resources(component: &Component, engine: &Engine) -> BTreeMap<String, wasmtime::component::ResourceType> {
    let ty = component.component_type();
    let mut found = BTreeMap::new();
    for (name, item) in ty.imports(engine) {
        let (Some(_), ComponentItem::ComponentInstance(instance)) = (split(name), item.ty) else { continue };
        for (name, item) in instance.exports(engine) {
            if let ComponentItem::Resource(ty) = item.ty {
                found.insert(name.to_owned(), ty);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{super::export::Export, *};

    #[test]
    fn the_contract_consists_of_all_files_in_wit() -> Result<(), String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
        let names = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
        let names: BTreeSet<_> =
            names.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        assert_eq!(names, FILES.iter().map(|(name, _)| (*name).to_owned()).collect());
        let contract = Contract::new()?;
        assert!(contract.interface("database").is_some() && contract.interface("files").is_none());
        Ok(())
    }

    #[test]
    fn the_host_calls_every_export_of_the_contract() -> Result<(), String> {
        let contract = Contract::new()?;
        let world = contract.resolve.packages[contract.package].worlds["everything"];
        let exports = contract.resolve.worlds[world].exports.keys();
        let exports: BTreeSet<_> = exports.map(|key| contract.resolve.name_world_key(key)).collect();
        let called = Export::ALL.into_iter().filter(|export| export.is_of_contract());
        assert_eq!(exports, called.map(Export::interface).collect());
        Ok(())
    }
}
