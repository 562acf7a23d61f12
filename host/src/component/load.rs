//! Loads components: reads a file, compiles it or takes its code from the cache, links it, and tries it out. `carya
//! check`, `carya inspect`, the start of a host and reloads all use this loader, so they accept the same components.

use std::{io, sync::Arc};

use wasmtime::component::InstancePre;

use super::{
    capabilities::Capabilities,
    code::Code,
    contract::Contract,
    core_module,
    engine::Engine,
    export::Export,
    indices::{Indices, Mismatch},
    instances::{InstancePool, PoolSettings},
    loaded::Component,
    normalize::{self, NotMerged},
    offer,
    properties::Properties,
    proposals,
    served::ServedRoutes,
    store::StoreData,
    trial::TrialError,
};
use crate::{
    allocator, config,
    content::{Digest, PinnedFile, ReadError},
    outbound::{Network, Policy},
};

/// Error of a component that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file does not exist.
    #[error("{path} does not exist; {remedy}")]
    Missing {
        /// Path of the file.
        path: String,
        /// How to build it.
        remedy: String,
    },
    /// The file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Path of the file.
        path: String,
        /// Error of the system.
        source: io::Error,
    },
    /// The file is not a component, or this host cannot run it.
    #[error("{path}: {reason}")]
    Unusable {
        /// Path of the file.
        path: String,
        /// Reason, with a remedy if there is one.
        reason: String,
    },
}

/// Result of `carya inspect`.
#[derive(Debug)]
pub struct Inspection {
    /// Exports, imports and capabilities.
    pub capabilities: Capabilities,
    /// Reason why its core modules are not merged, which makes instances more expensive. `None` if they are merged, or if
    /// there are no two that could be.
    pub not_merged: Option<String>,
    /// Reason why the host cannot serve the component. `None` if the host can serve it.
    pub problem: Option<LoadError>,
}

/// The bytes of a component, with its name and origin for errors.
pub(super) struct Source {
    name: String,
    /// Path of the file, or the reference of the pulled image.
    path: String,
    pub(super) bytes: Vec<u8>,
    digest: Digest,
}

/// A component before its trial.
enum Linked {
    /// The component of the previous generation, which has passed its trial.
    Known(Arc<Component>),
    New(Box<Component>, Source, Code),
}

impl Engine {
    /// Loads a component: compiles it unless the cache has its code, links it, and tries it out. Returns `before`, the
    /// component of the previous generation, if its file and settings have not changed.
    pub(crate) async fn load(
        &self,
        name: &str,
        config: &config::ComponentConfig,
        file: &PinnedFile,
        network: &Arc<Network>,
        before: Option<&Arc<Component>>,
    ) -> Result<Arc<Component>, LoadError> {
        let (engine, owned, settings, before) = (self.clone(), name.to_owned(), config.clone(), before.cloned());
        let (pinned, network) = (file.clone(), network.clone());
        // Compiling takes seconds and would block a thread that serves requests.
        let linking = self.blocking(move || {
            let source = Source::read(&owned, &settings, &pinned)?;
            match before.and_then(|before| before.unchanged(source.digest, &settings, &network)) {
                Some(before) => Ok(Linked::Known(before)),
                None => {
                    let code = engine.compile(&source)?;
                    let component = engine.link(&source, &code, &settings, &network)?;
                    Ok(Linked::New(Box::new(component), source, code))
                }
            }
        });
        let ended = |error| LoadError::Unusable {
            path: file.path.display().to_string(),
            reason: format!("loading was aborted: {error}"),
        };
        match linking.await.map_err(ended)?? {
            Linked::Known(component) => Ok(component),
            Linked::New(component, source, code) => {
                let tried = self.try_out(&component, &source, &code).await;
                let left_memory = code.left_memory;
                drop((source, code));
                if left_memory {
                    // Ignore a panic: the memory is returned after a later compilation.
                    drop(self.blocking(allocator::give_back).await);
                }
                tried?;
                Ok(Arc::from(component))
            }
        }
    }

    /// Inspects a component: determines its exports, imports and capabilities, and whether the host could serve it with
    /// these settings.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read or compiled.
    pub async fn inspect(&self, config: config::ComponentConfig) -> Result<Inspection, LoadError> {
        let name = config.path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let file = PinnedFile { path: config.path.clone(), digest: None };
        let source = Source::read(&name, &config, &file)?;
        let code = self.compile(&source)?;
        let mut capabilities = self.capabilities(&source, &code)?;
        let missing = || offer::missing(&code.component, &self.wasmtime, &self.linker);
        capabilities.summary.extend(capabilities.another_version().or_else(missing));
        let problem = match self.link(&source, &code, &config, &Arc::default()) {
            Ok(component) => self.try_out(&component, &source, &code).await.err(),
            Err(error) => Some(error),
        };
        let not_merged = core_module::to_component(&source.bytes).ok();
        let not_merged = not_merged.and_then(|component| normalize::normalize(&component).err());
        let not_merged = not_merged.filter(|reason| *reason != NotMerged::Single).map(|reason| reason.to_string());
        Ok(Inspection { capabilities, not_merged, problem })
    }

    fn compile(&self, source: &Source) -> Result<Code, LoadError> {
        let Source { bytes, digest, .. } = source;
        let code = self.code.load(&self.wasmtime, bytes, *digest);
        code.map_err(|error| {
            let missing = offer::missing_by_name(bytes);
            source.unusable(missing.unwrap_or_else(|| explain(bytes, &error)))
        })
    }

    fn capabilities(&self, source: &Source, code: &Code) -> Result<Capabilities, LoadError> {
        let routes = ServedRoutes::read(&source.bytes).map_err(|reason| source.unusable(reason))?;
        Ok(Capabilities::of(&code.component, routes, self))
    }

    /// Resolves the imports of a component, and finds the exports that the host calls.
    pub(super) fn link(
        &self,
        source: &Source,
        code: &Code,
        config: &config::ComponentConfig,
        network: &Arc<Network>,
    ) -> Result<Component, LoadError> {
        if config.memory > self.slot {
            return Err(source.unusable(format!(
                "at its start, this host reserved address space for guests with at most {} MiB of memory; to use \
                 `memory` = {} MiB, restart the host",
                self.slot >> 20,
                config.memory >> 20
            )));
        }
        let capabilities = self.capabilities(source, code)?;
        if let Some(reason) = capabilities.another_version() {
            return Err(source.unusable(reason));
        }
        let pre = self.linker.instantiate_pre(&code.component);
        let pre = pre.map_err(|error| source.unusable(self.unlinkable(code, &error)))?;
        if let Some(reason) = offer::not_called(&capabilities.exports) {
            return Err(source.unusable(reason));
        }
        let indices = Indices::find(&pre).map_err(|mismatch| source.unusable(self.uncallable(code, &mismatch)))?;
        Ok(self.component(source, code, (config, network), (pre, indices, capabilities)))
    }

    fn component(
        &self,
        source: &Source,
        code: &Code,
        (config, network): (&config::ComponentConfig, &Arc<Network>),
        (pre, indices, capabilities): (InstancePre<StoreData>, Indices, Capabilities),
    ) -> Component {
        let properties = Arc::new(Properties {
            name: source.name.as_str().into(),
            settings: config.settings.clone(),
            runs_actions: indices.has(Export::Actions),
            outbound: Policy::new(&source.name, config, network.clone()),
            memory: config.memory,
            growth: self.growth.clone(),
        });
        let settings = PoolSettings {
            timeout: config.timeout,
            max_requests: config.max_requests(),
            max_ahead: self.reset.max_ahead(),
            shares: self.shares.clone(),
            keeps_rehearsed: false,
            reseed: None,
        };
        Component {
            indices,
            instances: InstancePool::new(pre, properties.clone(), settings),
            properties,
            timeout: config.timeout,
            digest: source.digest.to_string(),
            warm: config.warm.clone(),
            image: None,
            cached: code.cached,
            capabilities,
        }
    }

    /// Tries a component out. A component that fails its trial would fail every request.
    pub(super) async fn try_out(&self, component: &Component, source: &Source, code: &Code) -> Result<(), LoadError> {
        // Each trial takes an instance of the pool, so the number of concurrent trials is limited.
        let _permit = self.trials.acquire().await;
        component.try_out().await.map_err(|fault| {
            source.unusable(match fault {
                TrialError::Types(mismatch) => self.uncallable(code, &mismatch),
                TrialError::Instance(reason) | TrialError::Busy(reason) => reason,
            })
        })
    }

    /// Returns the reason why the linker rejects a component.
    fn unlinkable(&self, code: &Code, error: &wasmtime::Error) -> String {
        offer::missing(&code.component, &self.wasmtime, &self.linker)
            .or_else(|| self.drift(code))
            .unwrap_or_else(|| offer::differs(error))
    }

    /// Returns the reason why an export cannot be called: the types or functions that differ from the contract, or the
    /// error of wasmtime if no difference was found.
    fn uncallable(&self, code: &Code, mismatch: &Mismatch) -> String {
        self.drift(code).unwrap_or_else(|| match mismatch.export.is_of_contract() {
            true => format!("was built for another carya:host: {mismatch}"),
            false => format!("exports an interface with other types than this host calls: {mismatch}"),
        })
    }

    fn drift(&self, code: &Code) -> Option<String> {
        let drift = Contract::get()?.drift(&code.component, &self.wasmtime)?;
        Some(format!("was built for another carya:host: {drift}; build it with the `wit/` of this host"))
    }
}

impl Component {
    /// Returns this component if its file has this digest and it was loaded with these settings. If the component is
    /// configured with `reuse`, its instances keep state between requests, so the returned component has an empty pool
    /// of instances.
    fn unchanged(
        self: Arc<Self>,
        digest: Digest,
        config: &config::ComponentConfig,
        network: &Arc<Network>,
    ) -> Option<Arc<Self>> {
        if self.digest != digest.to_string() || !self.is_set_up_as(config, network) {
            return None;
        }
        Some(match config.reuse {
            None => self,
            Some(_) => Arc::new(Self { instances: self.instances.emptied(), ..(*self).clone() }),
        })
    }
}

impl Source {
    pub(super) fn read(name: &str, config: &config::ComponentConfig, file: &PinnedFile) -> Result<Self, LoadError> {
        let path = config.image.as_ref().map_or_else(|| file.path.display().to_string(), ToString::to_string);
        match file.read() {
            Ok((bytes, digest)) => Ok(Self { name: name.to_owned(), path, bytes, digest }),
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound && config.image.is_none() => {
                Err(LoadError::Missing { path, remedy: build_remedy(config.build.as_ref()) })
            }
            Err(ReadError::Io(source)) => Err(LoadError::Read { path: file.path.display().to_string(), source }),
            Err(changed @ ReadError::Mismatch { .. }) => {
                let reason = format!("{} has changed since it was checked: {changed}; try again", file.path.display());
                Err(LoadError::Unusable { path, reason })
            }
        }
    }

    pub(super) fn unusable(&self, reason: String) -> LoadError {
        LoadError::Unusable { path: self.path.clone(), reason }
    }
}

/// Returns how to make a component's file.
pub(crate) fn build_remedy(build: Option<&config::Build>) -> String {
    match build {
        Some(config::Build { command, .. }) => {
            format!("build it with `{command}`, or run `carya dev`, which builds it")
        }
        None => {
            "build it, for example with `cargo build --release --target wasm32-wasip2`, or correct the path".to_owned()
        }
    }
}

/// Explains an error of the compiler.
fn explain(bytes: &[u8], error: &wasmtime::Error) -> String {
    let [0, b'a', b's', b'm', version, ..] = bytes else { return "this is not a WebAssembly file".to_owned() };
    match format!("{error:#}") {
        text if text.contains("pooling allocator") => {
            let reason = error.root_cause().to_string();
            format!("needs more than this host gives an instance: {}", reason.replace(" in the pooling allocator", ""))
        }
        text => proposals::needed(bytes).unwrap_or_else(|| match version {
            // A core module has version 1, and its error already describes the problem.
            1 => text,
            _ => format!("it cannot be compiled: {text}"),
        }),
    }
}
