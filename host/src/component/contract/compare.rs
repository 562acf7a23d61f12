//! Compares types of a component with types of the contract, member by member. Parameters named `here` belong to the
//! contract, parameters named `there` to the component.

use std::collections::BTreeMap;

use wasmtime::component::{
    ResourceType,
    types::{self, ComponentFunc},
};
use wit_parser::{Function, Handle, Resolve, Type, TypeDefKind, TypeId};

/// The parsed contract, and the resources that the component imports from it.
pub(super) struct Comparison<'a> {
    resolve: &'a Resolve,
    /// The resources that the component imports from the contract, by name.
    resources: &'a BTreeMap<String, ResourceType>,
}

/// Returns the types that a type contains directly.
pub(super) fn members(kind: &TypeDefKind) -> Vec<Type> {
    match kind {
        TypeDefKind::Record(record) => record.fields.iter().map(|field| field.ty).collect(),
        TypeDefKind::Variant(variant) => variant.cases.iter().filter_map(|case| case.ty).collect(),
        TypeDefKind::Tuple(tuple) => tuple.types.clone(),
        TypeDefKind::Option(ty) | TypeDefKind::List(ty) | TypeDefKind::Type(ty) => vec![*ty],
        TypeDefKind::Result(result) => result.ok.into_iter().chain(result.err).collect(),
        TypeDefKind::Handle(Handle::Own(id) | Handle::Borrow(id)) => vec![Type::Id(*id)],
        _ => Vec::new(),
    }
}

impl<'a> Comparison<'a> {
    pub(super) fn new(resolve: &'a Resolve, resources: &'a BTreeMap<String, ResourceType>) -> Self {
        Self { resolve, resources }
    }

    /// Returns whether two types are the same, including all types inside them.
    fn same(&self, here: &Type, there: &types::Type) -> bool {
        match (here, there) {
            (Type::Id(id), there) => self.same_definition(*id, there),
            (Type::Bool, types::Type::Bool)
            | (Type::U8, types::Type::U8)
            | (Type::U16, types::Type::U16)
            | (Type::U32, types::Type::U32)
            | (Type::U64, types::Type::U64)
            | (Type::S8, types::Type::S8)
            | (Type::S16, types::Type::S16)
            | (Type::S32, types::Type::S32)
            | (Type::S64, types::Type::S64)
            | (Type::F32, types::Type::Float32)
            | (Type::F64, types::Type::Float64)
            | (Type::Char, types::Type::Char)
            | (Type::String, types::Type::String) => true,
            _ => false,
        }
    }

    fn same_option(&self, here: Option<&Type>, there: Option<&types::Type>) -> bool {
        match (here, there) {
            (None, None) => true,
            (Some(here), Some(there)) => self.same(here, there),
            _ => false,
        }
    }

    pub(super) fn same_definition(&self, id: TypeId, there: &types::Type) -> bool {
        let is_resource = |id: &TypeId, there: &ResourceType| {
            let name = self.resolve.types[*id].name.as_deref();
            name.and_then(|name| self.resources.get(name)) == Some(there)
        };
        match (&self.resolve.types[id].kind, there) {
            (TypeDefKind::Type(here), there) => self.same(here, there),
            (TypeDefKind::List(here), types::Type::List(there)) => self.same(here, &there.ty()),
            (TypeDefKind::Option(here), types::Type::Option(there)) => self.same(here, &there.ty()),
            (TypeDefKind::Result(here), types::Type::Result(there)) => {
                self.same_option(here.ok.as_ref(), there.ok().as_ref())
                    && self.same_option(here.err.as_ref(), there.err().as_ref())
            }
            (TypeDefKind::Tuple(here), types::Type::Tuple(there)) => {
                here.types.len() == there.types().len()
                    && here.types.iter().zip(there.types()).all(|(here, there)| self.same(here, &there))
            }
            (TypeDefKind::Handle(Handle::Own(here)), types::Type::Own(there)) => is_resource(here, there),
            (TypeDefKind::Handle(Handle::Borrow(here)), types::Type::Borrow(there)) => is_resource(here, there),
            (here, there) => match (named(here), found(there)) {
                (Some((kind, here)), Some((other, there))) => {
                    kind == other
                        && here.len() == there.len()
                        && here.iter().zip(&there).all(|((name, here), (other, there))| {
                            name == other && self.same_option(here.as_ref(), there.as_ref())
                        })
                }
                _ => false,
            },
        }
    }

    /// Describes how two different types differ.
    pub(super) fn describe(&self, id: TypeId, there: &types::Type) -> String {
        let here = &self.resolve.types[id].kind;
        let (Some((kind, here)), Some((other, there))) = (named(here), found(there)) else {
            return format!("it is {} in the component, {} in the host", word(there), self.structure(here));
        };
        if kind != other {
            return format!("it is {other} in the component, {kind} in the host");
        }
        let member = if kind == "a record" { "field" } else { "case" };
        let mut found = Vec::new();
        for (name, _) in there.iter().filter(|(name, _)| !here.iter().any(|(other, _)| other == name)) {
            found.push(format!("only the component has the {member} `{name}`"));
        }
        for (name, ours) in &here {
            match there.iter().find(|(other, _)| other == name) {
                None => found.push(format!("the component has no {member} `{name}`")),
                Some((_, theirs)) if !self.same_option(ours.as_ref(), theirs.as_ref()) => {
                    let nothing = || "nothing".to_owned();
                    let theirs = theirs.as_ref().map_or_else(nothing, word);
                    let ours = ours.as_ref().map_or_else(nothing, |ty| self.word(ty));
                    found.push(format!("{member} `{name}` is {theirs} in the component, {ours} in the host"));
                }
                Some(_) => {}
            }
        }
        match found.is_empty() {
            true => format!("its {member}s are in another order"),
            false => found.join(", "),
        }
    }

    /// Describes how two functions differ. Returns `None` if they are equal.
    pub(super) fn function(&self, here: &Function, there: &ComponentFunc) -> Option<String> {
        let (ours, theirs) = (here.params.len(), there.params().len());
        if ours != theirs {
            return Some(format!("it has {theirs} parameters in the component, {ours} in the host"));
        }
        let differing = here.params.iter().zip(there.params()).find(|(here, (_, there))| !self.same(&here.ty, there));
        if let Some((here, (_, there))) = differing {
            let (name, there, here) = (&here.name, word(&there), self.word(&here.ty));
            return Some(format!("parameter `{name}` is {there} in the component, {here} in the host"));
        }
        let result = there.results().next();
        if !self.same_option(here.result.as_ref(), result.as_ref()) {
            let there = result.as_ref().map_or_else(|| "nothing".to_owned(), word);
            let here = here.result.as_ref().map_or_else(|| "nothing".to_owned(), |ty| self.word(ty));
            return Some(format!("it returns {there} in the component, {here} in the host"));
        }
        there.async_().then(|| "it is async in the component".to_owned())
    }

    /// Formats a type of the contract as in WIT.
    fn word(&self, ty: &Type) -> String {
        let Type::Id(id) = ty else { return primitive(ty).to_owned() };
        let definition = &self.resolve.types[*id];
        match &definition.name {
            Some(name) => format!("`{name}`"),
            None => self.structure(&definition.kind),
        }
    }

    fn structure(&self, kind: &TypeDefKind) -> String {
        let option = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), |ty| self.word(ty));
        match kind {
            TypeDefKind::List(ty) => format!("list<{}>", self.word(ty)),
            TypeDefKind::Option(ty) => format!("option<{}>", self.word(ty)),
            TypeDefKind::Result(result) => format!("result<{}, {}>", option(&result.ok), option(&result.err)),
            TypeDefKind::Tuple(tuple) => {
                format!("tuple<{}>", tuple.types.iter().map(|ty| self.word(ty)).collect::<Vec<_>>().join(", "))
            }
            TypeDefKind::Handle(Handle::Own(id)) => self.word(&Type::Id(*id)),
            TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", self.word(&Type::Id(*id))),
            other => format!("a {}", other.as_str()),
        }
    }
}

/// Kind of a type that has named members, with the names and types of these members.
type Named<T> = (&'static str, Vec<(String, Option<T>)>);

fn named(kind: &TypeDefKind) -> Option<Named<Type>> {
    Some(match kind {
        TypeDefKind::Record(record) => {
            ("a record", record.fields.iter().map(|field| (field.name.clone(), Some(field.ty))).collect())
        }
        TypeDefKind::Variant(variant) => {
            ("a variant", variant.cases.iter().map(|case| (case.name.clone(), case.ty)).collect())
        }
        TypeDefKind::Enum(cases) => ("an enum", cases.cases.iter().map(|case| (case.name.clone(), None)).collect()),
        TypeDefKind::Flags(flags) => ("flags", flags.flags.iter().map(|flag| (flag.name.clone(), None)).collect()),
        _ => return None,
    })
}

fn found(ty: &types::Type) -> Option<Named<types::Type>> {
    Some(match ty {
        types::Type::Record(record) => {
            ("a record", record.fields().map(|field| (field.name.to_owned(), Some(field.ty))).collect())
        }
        types::Type::Variant(variant) => {
            ("a variant", variant.cases().map(|case| (case.name.to_owned(), case.ty)).collect())
        }
        types::Type::Enum(cases) => ("an enum", cases.names().map(|name| (name.to_owned(), None)).collect()),
        types::Type::Flags(flags) => ("flags", flags.names().map(|name| (name.to_owned(), None)).collect()),
        _ => return None,
    })
}

fn primitive(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::U32 => "u32",
        Type::U64 => "u64",
        Type::S8 => "s8",
        Type::S16 => "s16",
        Type::S32 => "s32",
        Type::S64 => "s64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::ErrorContext => "error-context",
        Type::Id(_) => "a type",
    }
}

/// Formats a type of a component as in WIT. Wasmtime does not provide the names of a component's types.
fn word(ty: &types::Type) -> String {
    let option = |ty: Option<types::Type>| ty.as_ref().map_or_else(|| "_".to_owned(), word);
    let plain = match ty {
        types::Type::List(list) => return format!("list<{}>", word(&list.ty())),
        types::Type::Option(inner) => return format!("option<{}>", word(&inner.ty())),
        types::Type::Result(result) => return format!("result<{}, {}>", option(result.ok()), option(result.err())),
        types::Type::Tuple(tuple) => {
            return format!("tuple<{}>", tuple.types().map(|ty| word(&ty)).collect::<Vec<_>>().join(", "));
        }
        types::Type::Bool => "bool",
        types::Type::S8 => "s8",
        types::Type::U8 => "u8",
        types::Type::S16 => "s16",
        types::Type::U16 => "u16",
        types::Type::S32 => "s32",
        types::Type::U32 => "u32",
        types::Type::S64 => "s64",
        types::Type::U64 => "u64",
        types::Type::Float32 => "f32",
        types::Type::Float64 => "f64",
        types::Type::Char => "char",
        types::Type::String => "string",
        types::Type::Record(_) => "a record",
        types::Type::Variant(_) => "a variant",
        types::Type::Enum(_) => "an enum",
        types::Type::Flags(_) => "flags",
        types::Type::Own(_) => "a resource",
        types::Type::Borrow(_) => "a borrowed resource",
        types::Type::Map(_) => "a map",
        types::Type::Future(_) => "a future",
        types::Type::Stream(_) => "a stream",
        types::Type::ErrorContext => "error-context",
        types::Type::FixedLengthList(_) => "a list of fixed length",
    };
    plain.to_owned()
}
