//! Loaded components: their exports, and the capabilities that follow from these.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use wasmtime::{
    Store,
    component::{self, Instance, InstancePre},
};

use super::{
    contract,
    engine::{self, Engine},
    instances::InstancePool,
    store::StoreData,
    wit::exports::carya::host::{
        actions, after, before, model, on_error, on_route, plain_controller, read_controller, write_controller,
    },
};
use crate::config::{self, Access};

/// The package that this host implements.
pub const PACKAGE: &str = "carya:host";
/// Its version.
pub const VERSION: &str = "0.1.0";

/// A component that is ready to be instantiated.
#[derive(Clone)]
pub struct Component {
    /// Who it is, as its guests' imports see it.
    pub identity: Arc<Identity>,
    pub(super) exports: Exports,
    pub(super) instances: Arc<InstancePool>,
    /// How long one call may take.
    pub timeout: Duration,
    /// SHA-256 of the file.
    pub digest: String,
    /// Whether its code was in the cache.
    pub cached: bool,
    /// What it exports, imports and may do.
    pub capabilities: Capabilities,
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Component")
            .field("identity", &self.identity)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// What a component's imports need to know of it.
#[derive(Debug)]
pub struct Identity {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Its settings.
    pub settings: BTreeMap<String, String>,
    /// Whether it can run actions.
    pub runs_actions: bool,
    pub(super) memory: usize,
}

/// An export that is not what the host calls.
#[derive(Debug, thiserror::Error)]
#[error("`{interface}`: {error:#}")]
pub struct Mismatch {
    /// Its full name.
    pub(super) interface: String,
    /// The error of wasmtime, which names no types.
    pub(super) error: wasmtime::Error,
}

/// Lists the interfaces that the host calls, each with its bindings.
macro_rules! exports {
    ($($field:ident: $bindings:ident, $interface:literal;)*) => {
        /// The calls that a component answers, each with its place in the component.
        #[derive(Default, Clone)]
        pub(super) struct Exports {
            $(pub(super) $field: Option<$bindings::GuestIndices>,)*
        }

        impl Exports {
            /// Finds what a component exports of the contract. Fails if an interface lacks its function.
            pub(super) fn of(pre: &InstancePre<StoreData>) -> Result<Self, Mismatch> {
                Ok(Self {
                    $($field: {
                        let interface = interface($interface);
                        let is_there = pre.component().get_export_index(None, &interface).is_some();
                        let indices = is_there.then(|| $bindings::GuestIndices::new(pre)).transpose();
                        indices.map_err(|error| Mismatch { interface, error })?
                    },)*
                })
            }

            /// Compares the types of all exports of an instance with the contract's.
            pub(super) fn check(&self, store: &mut Store<StoreData>, instance: &Instance) -> Result<(), Mismatch> {
                $(if let Some(indices) = &self.$field {
                    let loaded = indices.load(&mut *store, instance);
                    loaded.map_err(|error| Mismatch { interface: interface($interface), error })?;
                })*
                Ok(())
            }
        }
    };
}

exports! {
    read: read_controller, "read-controller";
    write: write_controller, "write-controller";
    plain: plain_controller, "plain-controller";
    on_route: on_route, "on-route";
    before: before, "before";
    after: after, "after";
    on_error: on_error, "on-error";
    model: model, "model";
    actions: actions, "actions";
}

/// What a component exports, imports, and may do by that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Interfaces it exports, as `carya:host/before@0.1.0`.
    pub exports: Vec<String>,
    /// Interfaces it imports.
    pub imports: Vec<String>,
    /// In words.
    pub summary: Vec<String>,
    /// Why each of its instances costs much, and what to do about it.
    pub expenses: Vec<String>,
}

impl Capabilities {
    pub(super) fn of(component: &component::Component, engine: &Engine) -> Self {
        let ty = component.component_type();
        let exports: Vec<_> = ty.exports(&engine.wasmtime).map(|(name, _)| name.to_owned()).collect();
        let imports: Vec<_> = ty.imports(&engine.wasmtime).map(|(name, _)| name.to_owned()).collect();
        let summary = summarize(&exports, &imports);
        Self { exports, imports, summary, expenses: expenses(component, engine.kept_ready) }
    }
}

/// What exports and imports mean.
fn summarize(exports: &[String], imports: &[String]) -> Vec<String> {
    let exports = |wanted: &str| {
        let mut names = exports.iter().filter_map(|name| contract::split(name));
        names.any(|(short, version)| short == wanted && contract::is_compatible(version))
    };
    let mut summary = Vec::new();
    match (exports("read-controller"), exports("write-controller")) {
        (true, true) => summary.push("controller: reads and writes"),
        (true, false) => summary.push("controller: reads only"),
        (false, true) => summary.push("controller: writes"),
        (false, false) => {}
    }
    let roles = [
        ("plain-controller", "controller without a transaction"),
        ("on-route", "hook before routing; may change the access mode"),
        ("before", "hook before the controller"),
        ("after", "hook after the controller; may change the answer"),
        ("on-error", "hook on failures; may answer them"),
        ("model", "model: writes at start"),
        ("actions", "runs actions after the transaction"),
    ];
    summary.extend(roles.iter().filter(|(interface, _)| exports(interface)).map(|(_, words)| *words));
    if summary.is_empty() {
        summary.push("exports nothing that this host calls");
    }
    let grants = [
        ("wasi:sockets/", "imports sockets, which are closed to it"),
        ("wasi:filesystem/", "imports files, of which it is given none"),
    ];
    let has = |prefix: &str| imports.iter().any(|name| name.starts_with(prefix));
    summary.extend(grants.iter().filter(|(prefix, _)| has(prefix)).map(|(_, words)| *words));
    summary.into_iter().map(str::to_owned).collect()
}

/// What makes instances expensive.
fn expenses(component: &component::Component, kept_ready: usize) -> Vec<String> {
    let Some(needs) = component.resources_required() else { return Vec::new() };
    let mut found = Vec::new();
    let memory = needs.max_initial_memory_size.unwrap_or(0) << 16;
    let ready = kept_ready as u64;
    if memory > ready {
        found.push(format!(
            "an instance starts with {} KiB of memory; the host keeps {} KiB ready and maps the rest afresh for each \
             request. Link it with a smaller stack (`-z stack-size=131072 --stack-first`) and less static data; or, if it \
             is an interpreter that you trust, let it `reuse` instances",
            memory >> 10,
            ready >> 10
        ));
    }
    let table = needs.max_initial_table_size.unwrap_or(0);
    let ready = (engine::TABLE_KEPT_READY / size_of::<usize>()) as u64;
    if table > ready {
        found.push(format!(
            "an instance starts with a table of {table} functions; the host keeps {ready} ready. Link it with less code \
             (`lto = true`, `opt-level = \"s\"`); or, if you trust it, let it `reuse` instances"
        ));
    }
    found
}

impl Component {
    /// Whether a configuration says of it what it was loaded with; the file aside.
    pub(super) fn is_set_up_as(&self, config: &config::Component) -> bool {
        let config::Component { path: _, image: _, build: _, settings, memory, timeout, reuse: _ } = config;
        (&self.identity.settings, &self.identity.memory, &self.timeout) == (settings, memory, timeout)
            && self.instances.max_requests() == config.max_requests()
    }

    /// Lets go of instances that have waited for a request in vain.
    pub fn shrink(&self) {
        self.instances.shrink();
    }

    /// The most memory one instance may have, in bytes.
    pub fn memory(&self) -> usize {
        self.identity.memory
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.identity.name
    }

    /// Whether it can serve as the controller of requests with this access mode.
    pub fn serves(&self, access: Access) -> bool {
        match access {
            Access::None => self.exports.plain.is_some(),
            Access::ReadOnly => self.exports.read.is_some(),
            Access::ReadWrite => self.exports.write.is_some(),
        }
    }

    /// Whether it is a hook: exports at least one phase.
    pub fn is_hook(&self) -> bool {
        self.has_on_route() || self.has_before() || self.has_after() || self.has_on_error()
    }

    /// Whether it runs before routing.
    pub fn has_on_route(&self) -> bool {
        self.exports.on_route.is_some()
    }

    /// Whether it runs before the controller.
    pub fn has_before(&self) -> bool {
        self.exports.before.is_some()
    }

    /// Whether it runs after the controller.
    pub fn has_after(&self) -> bool {
        self.exports.after.is_some()
    }

    /// Whether it runs on failures.
    pub fn has_on_error(&self) -> bool {
        self.exports.on_error.is_some()
    }

    /// Whether it is a model.
    pub fn is_model(&self) -> bool {
        self.exports.model.is_some()
    }

    /// Whether it runs actions.
    pub fn runs_actions(&self) -> bool {
        self.exports.actions.is_some()
    }
}

/// An interface of the contract by its full name.
pub fn interface(name: &str) -> String {
    format!("{PACKAGE}/{name}@{VERSION}")
}

/// The interface that a controller must export for an access mode.
pub fn controller_interface(access: Access) -> String {
    interface(match access {
        Access::None => "plain-controller",
        Access::ReadOnly => "read-controller",
        Access::ReadWrite => "write-controller",
    })
}
