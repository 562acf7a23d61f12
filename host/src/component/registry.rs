//! Loaded components: their code, what they export, and what that lets them do.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, LazyLock},
    time::Duration,
};

use wasmtime::component::{InstancePre, types::ComponentItem};

use super::{
    code::{self, Code},
    engine::{self, Engine},
    instances::Instances,
    store::Guest,
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
    pub(super) instances: Arc<Instances>,
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

impl Identity {
    /// Who runs while nobody does.
    pub(super) fn nobody() -> Arc<Self> {
        static NOBODY: LazyLock<Arc<Identity>> = LazyLock::new(|| {
            let (name, settings) = ("".into(), BTreeMap::new());
            Arc::new(Identity { name, settings, runs_actions: false, memory: 0 })
        });
        NOBODY.clone()
    }
}

/// The calls that a component answers, each with its place in the component.
#[derive(Default, Clone)]
pub(super) struct Exports {
    pub(super) read: Option<read_controller::GuestIndices>,
    pub(super) write: Option<write_controller::GuestIndices>,
    pub(super) plain: Option<plain_controller::GuestIndices>,
    pub(super) on_route: Option<on_route::GuestIndices>,
    pub(super) before: Option<before::GuestIndices>,
    pub(super) after: Option<after::GuestIndices>,
    pub(super) on_error: Option<on_error::GuestIndices>,
    pub(super) model: Option<model::GuestIndices>,
    pub(super) actions: Option<actions::GuestIndices>,
}

/// Why a component cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("component `{name}`: cannot read {path}: {source}")]
    Read {
        /// The component.
        name: String,
        /// Its file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is not a component, or not one that this host can run.
    #[error("component `{name}` ({path}): {reason}")]
    Unusable {
        /// The component.
        name: String,
        /// Its file.
        path: String,
        /// Why.
        reason: String,
    },
}

/// What a component exports, imports, and may do by that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Interfaces it exports, as `carya:host/before@0.1.0`.
    pub exports: Vec<String>,
    /// Interfaces it imports.
    pub imports: Vec<String>,
    /// In words.
    pub summary: Vec<&'static str>,
    /// Why each of its instances costs much, and what to do about it.
    pub expenses: Vec<String>,
}

impl Engine {
    /// Loads the component of a file, compiling it unless that was done before. One that has not changed since `before`
    /// is that one.
    pub fn load(
        &self,
        name: &str,
        config: &config::Component,
        before: Option<&Arc<Component>>,
    ) -> Result<Arc<Component>, LoadError> {
        let path = config.image.as_ref().map_or_else(|| config.path.display().to_string(), ToString::to_string);
        let unusable = |reason: String| LoadError::Unusable { name: name.to_owned(), path: path.clone(), reason };
        let bytes = read(name, &config.path)?;
        let digest = code::digest(&bytes);
        if let Some(before) = before.filter(|before| before.digest == digest && before.is_set_up_as(config)) {
            // What instances remember is of no use to another generation.
            return Ok(match config.reuse {
                None => before.clone(),
                Some(_) => Arc::new(Component { instances: before.instances.anew(), ..(**before).clone() }),
            });
        }
        if config.memory > self.slot {
            return Err(unusable(format!(
                "the address space of this process has room for memories of {} MiB; `memory` asks for {} MiB, which \
                 needs a restart of the host",
                self.slot >> 20,
                config.memory >> 20
            )));
        }
        let code = self.code.load(&self.wasmtime, &bytes, &digest);
        let code = code.map_err(|error| unusable(explain(&bytes, &error)))?;
        let pre = self.linker.instantiate_pre(&code.component).map_err(|error| unusable(format!("{error:#}")))?;
        let exports = Exports::of(&pre);
        let identity = Identity {
            name: name.into(),
            settings: config.settings.clone(),
            runs_actions: exports.actions.is_some(),
            memory: config.memory,
        };
        let (identity, timeout, cached) = (Arc::new(identity), config.timeout, code.cached);
        let capabilities = self.capabilities(&code);
        let instances = Instances::new(pre, identity.clone(), timeout, max_requests(config), self.shares.clone());
        Ok(Arc::new(Component { identity, exports, instances, timeout, digest, cached, capabilities }))
    }

    /// What the component of a file exports, imports and may do.
    pub fn inspect(&self, path: &Path) -> Result<Capabilities, LoadError> {
        let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let bytes = read(&name, path)?;
        let code = self.code.load(&self.wasmtime, &bytes, &code::digest(&bytes)).map_err(|error| {
            LoadError::Unusable { name, path: path.display().to_string(), reason: explain(&bytes, &error) }
        })?;
        Ok(self.capabilities(&code))
    }

    fn capabilities(&self, code: &Code) -> Capabilities {
        let ty = code.component.component_type();
        let instances = |items: Vec<(&str, ComponentItem)>| -> Vec<String> {
            items.into_iter().map(|(name, _)| name.to_owned()).collect()
        };
        let engine = &self.wasmtime;
        let exports = instances(ty.exports(engine).map(|(name, item)| (name, item.ty)).collect());
        let imports = instances(ty.imports(engine).map(|(name, item)| (name, item.ty)).collect());
        let summary = summarize(&exports, &imports);
        Capabilities { exports, imports, summary, expenses: expenses(&code.component) }
    }
}

/// How many requests an instance may serve.
fn max_requests(config: &config::Component) -> u32 {
    config.reuse.map_or(1, |reuse| reuse.max_requests)
}

fn read(name: &str, path: &Path) -> Result<Vec<u8>, LoadError> {
    std::fs::read(path).map_err(|source| LoadError::Read {
        name: name.to_owned(),
        path: path.display().to_string(),
        source,
    })
}

/// A compiler's error in words that help.
fn explain(bytes: &[u8], error: &wasmtime::Error) -> String {
    match bytes {
        // A core module's error tells what it lacks.
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => format!("{error:#}"),
        [0, b'a', b's', b'm', ..] => format!("it cannot be compiled: {error:#}"),
        _ => "this is not a WebAssembly file".to_owned(),
    }
}

/// What exports and imports mean.
fn summarize(exports: &[String], imports: &[String]) -> Vec<&'static str> {
    let has = |list: &[String], prefix: &str| list.iter().any(|name| name.starts_with(prefix));
    let exports = |interface: &str| has(exports, &format!("{PACKAGE}/{interface}@"));
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
        ("wasi:http/outgoing-handler", "imports outbound HTTP, which this host does not offer"),
        ("wasi:sockets/", "imports sockets, which are closed to it"),
        ("wasi:filesystem/", "imports files, of which it is given none"),
    ];
    summary.extend(grants.iter().filter(|(prefix, _)| has(imports, prefix)).map(|(_, words)| *words));
    summary
}

/// What makes instances expensive.
fn expenses(component: &wasmtime::component::Component) -> Vec<String> {
    let Some(needs) = component.resources_required() else { return Vec::new() };
    let mut found = Vec::new();
    let memory = needs.max_initial_memory_size.unwrap_or(0) << 16;
    let ready = engine::kept_ready() as u64;
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

impl Exports {
    fn of(pre: &InstancePre<Guest>) -> Self {
        Self {
            read: read_controller::GuestIndices::new(pre).ok(),
            write: write_controller::GuestIndices::new(pre).ok(),
            plain: plain_controller::GuestIndices::new(pre).ok(),
            on_route: on_route::GuestIndices::new(pre).ok(),
            before: before::GuestIndices::new(pre).ok(),
            after: after::GuestIndices::new(pre).ok(),
            on_error: on_error::GuestIndices::new(pre).ok(),
            model: model::GuestIndices::new(pre).ok(),
            actions: actions::GuestIndices::new(pre).ok(),
        }
    }
}

impl Component {
    /// Whether a configuration says of it what it was loaded with; the file aside.
    fn is_set_up_as(&self, config: &config::Component) -> bool {
        let config::Component { path: _, image: _, build: _, settings, memory, timeout, reuse: _ } = config;
        (&self.identity.settings, &self.identity.memory, &self.timeout) == (settings, memory, timeout)
            && self.instances.max_requests() == max_requests(config)
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
