//! Lists the imports of a component that this host does not offer, and the exports that this host does not call. To
//! find out whether the linker defines an item, this module links a component that imports only this item.

use wasm_encoder::{ComponentBuilder, ComponentTypeRef, InstanceType, TypeBounds};
use wasmparser::{Parser, Payload};
use wasmtime::{
    Engine,
    component::{
        Component, Linker, ResourceType,
        types::{ComponentInstance, ComponentItem},
    },
};

use super::{contract::Contract, export::Export, interface, store::StoreData};

/// Version of WASI that the host offers: first as written in the names of interfaces, then as written in messages.
const WASI: (&str, &str) = ("0.2.0", "0.2");

/// Why this host does not offer `wasi:http` 0.3.
const NEW_HTTP: &str =
    "; wasi:http 0.3 stays out while wasmtime calls it experimental, so build the component for wasi:http 0.2";

/// Maximum number of names in a message.
const MAX_NAMES: usize = 8;

/// Part of wasmtime's error for an import that the linker does not define.
const MISSING: &str = "implementation is missing";

/// An item of an interface.
#[derive(Clone, Copy)]
enum Item<'a> {
    Function(&'a str),
    Resource(&'a str),
}

impl Item<'_> {
    fn is_method(&self) -> bool {
        matches!(self, Self::Function(name) if name.starts_with('['))
    }
}

/// Lists the imports of a component that the linker does not define. Returns `None` if the linker defines all imports.
pub(super) fn missing(component: &Component, engine: &Engine, linker: &Linker<StoreData>) -> Option<String> {
    let contract = Contract::get()?;
    let ty = component.component_type();
    let (mut found, mut resources) = (Vec::new(), Vec::new());
    for (name, import) in ty.imports(engine) {
        let ComponentItem::ComponentInstance(instance) = import.ty else {
            // An imported type needs no definition.
            if !matches!(import.ty, ComponentItem::Type(_)) {
                found.push(format!("`{name}`"));
            }
            continue;
        };
        let items = items(&instance, engine, &mut resources);
        if items.is_empty() {
            continue;
        }
        match interface::split(name) {
            Some((short, _)) => match contract.interface(short) {
                Some(known) => found.extend(items.iter().filter_map(|item| match item {
                    Item::Function(item) if !known.functions.contains_key(*item) => Some(part(name, "function", item)),
                    Item::Resource(item) if !known.types.contains_key(*item) => Some(part(name, "resource", item)),
                    _ => None,
                })),
                None => found.push(format!("`{name}`")),
            },
            None => {
                let offers = |name: &str, item: &Item| offers(name, *item, engine, linker);
                // Skip methods: a component that imports a method also imports its resource, and the resource is
                // checked.
                let items: Vec<_> = items.into_iter().filter(|item| !item.is_method()).collect();
                let absent: Vec<_> = items.iter().filter(|item| !offers(name, item)).collect();
                if absent.len() < items.len() {
                    found.extend(absent.into_iter().map(|item| match item {
                        Item::Function(item) => part(name, "function", item),
                        Item::Resource(item) => part(name, "resource", item),
                    }));
                } else {
                    let other = wasi(name).map(|(interface, _)| format!("{interface}@{}", WASI.0));
                    let is_older = other.is_some_and(|other| items.iter().any(|item| offers(&other, item)));
                    found.push(whole(name, is_older));
                }
            }
        }
    }
    sentence(&found)
}

/// Returns the reason why the host could not serve a component that cannot be compiled. Only the names of its imports
/// are known, so the reason can only be that the host offers other versions of them.
pub(super) fn missing_by_name(bytes: &[u8]) -> Option<String> {
    let (mut found, mut names) = (Vec::new(), Vec::new());
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.ok()? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    let name = import.ok()?.name.name;
                    names.push(name);
                    if wasi(name).is_some_and(|(_, version)| !version.starts_with("0.2.")) {
                        found.push(whole(name, true));
                    }
                }
            }
            _ => {}
        }
    }
    interface::another_version(names).or_else(|| sentence(&found))
}

/// Lists the exports of a component of which this host calls none. Ignores other exports if it calls at least one.
pub(super) fn not_called(exports: &[String]) -> Option<String> {
    let is_called = |name: &String| Export::find(name).is_some();
    (!exports.is_empty() && !exports.iter().any(is_called)).then(|| {
        let names: Vec<_> = exports.iter().map(|name| format!("`{name}`")).collect();
        let controller = Export::ReadController.interface();
        format!(
            "exports {}, which this host does not call, and no interface that it calls; export an interface of its \
             `wit/`, such as `{controller}`",
            enumerate(&names)
        )
    })
}

/// Describes an error of the linker for an interface of WASI that is imported with different types.
pub(super) fn differs(error: &wasmtime::Error) -> String {
    // The first line of wasmtime's error names the interface. Its causes name the item and the type.
    let first = error.to_string();
    let name = first.split('`').nth(1).unwrap_or(&first);
    let causes: Vec<_> = error.chain().skip(1).map(ToString::to_string).collect();
    format!("imports `{name}` with other types than this host offers: {}", causes.join(": "))
}

/// Returns the functions and resources of an imported instance that a linker must define, and adds its resources to
/// `resources`. Omits a resource that `resources` contains already: an earlier interface defines it, and this interface
/// only refers to it by `use`.
fn items<'a>(instance: &'a ComponentInstance, engine: &'a Engine, resources: &mut Vec<ResourceType>) -> Vec<Item<'a>> {
    let item = |(name, item): (&'a str, wasmtime::component::types::ComponentExtern<'a>)| match item.ty {
        ComponentItem::ComponentFunc(_) => Some(Item::Function(name)),
        ComponentItem::Resource(resource) => (!resources.contains(&resource)).then(|| {
            resources.push(resource);
            Item::Resource(name)
        }),
        _ => None,
    };
    instance.exports(engine).filter_map(item).collect()
}

/// Returns whether the linker defines an item of an interface, regardless of its type.
fn offers(interface: &str, item: Item<'_>, engine: &Engine, linker: &Linker<StoreData>) -> bool {
    let mut instance = InstanceType::new();
    match item {
        Item::Function(name) => {
            instance.ty().function().params::<[(&str, wasm_encoder::ComponentValType); 0], _>([]).result(None);
            instance.export(name, ComponentTypeRef::Func(0));
        }
        Item::Resource(name) => drop(instance.export(name, ComponentTypeRef::Type(TypeBounds::SubResource))),
    }
    let mut component = ComponentBuilder::default();
    let ty = component.type_instance(None, &instance);
    component.import(interface, ComponentTypeRef::Instance(ty));
    let probe = Component::from_binary(engine, &component.finish());
    let linked = probe.and_then(|probe| linker.instantiate_pre(&probe).map(drop));
    // The linker only reports an error about the type of an item that it defines.
    linked.map_or_else(|error| !format!("{error:#}").contains(MISSING), |()| true)
}

/// Splits a name such as `wasi:cli/environment@0.2.0` into interface and version.
fn wasi(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("wasi:").and(name.split_once('@'))
}

fn whole(name: &str, is_offered_in_another_version: bool) -> String {
    if is_offered_in_another_version {
        format!("`{name}` (version {} is offered)", WASI.1)
    } else {
        format!("`{name}`")
    }
}

fn part(interface: &str, kind: &str, item: &str) -> String {
    format!("{kind} `{item}` of `{interface}`")
}

fn sentence(names: &[String]) -> Option<String> {
    let is_new_http = names.iter().any(|name| name.starts_with("`wasi:http/") && name.contains("@0.3."));
    let reason = if is_new_http { NEW_HTTP } else { "" };
    (!names.is_empty()).then(|| format!("imports {}, which this host does not offer{reason}", enumerate(names)))
}

/// Joins names: `a`, `b` and `c`.
fn enumerate(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] if names.len() <= MAX_NAMES => format!("{} and {last}", first.join(", ")),
        _ => format!("{} and {} more", names[..MAX_NAMES].join(", "), names.len() - MAX_NAMES),
    }
}
