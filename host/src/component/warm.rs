//! Warm images. In its first requests, an interpreter does work that later requests skip: it compiles functions, and fills
//! caches. With the key `warm`, an instance serves requests before the generation does. Its memories and globals then are
//! the *image*: the initial memories and globals of a new component, with which each later instance starts. So each
//! request still has an instance of its own, and all start in the same state.
//!
//! A handle that the guest still has after the requests would not be valid in other instances, and generators of random
//! numbers would produce the same numbers in all instances. Components with such a state are refused.
//!
//! # Pages that stay mapped
//!
//! After a request, wasmtime's pool resets the written pages of a memory, and the next instance finds them mapped. But the
//! pool resets at most 32 regions of adjacent pages, and unmaps the other pages. An interpreter writes more regions,
//! because it counts references in objects everywhere. Each unmapped page costs page faults in the next request, and if it
//! is read before it is written, the kernel interrupts all cores that run the host.
//!
//! So each instance of an image writes, at its start, to the pages that a request writes. Pages between them are written
//! too, until there are few regions ([`pages`]). The image contains a start function for it ([`prefault`]). Only where these
//! writes would cost more than the page faults, instances start without them.
//!
//! # Steps
//!
//! 1. [`Engine::warming`] instruments the component, so that the host can read the globals.
//! 2. The caller lets it serve requests.
//! 3. [`Warming::image`] makes the image and instruments it.
//! 4. The caller lets it serve one request.
//! 5. [`Warming::component`] adds the start function to the image, and makes the component.

mod pages;
mod prefault;

use std::{panic, sync::Arc, time::Duration};

use tokio::{runtime::Handle, task::JoinError};
use wasmtime::{
    component::{ComponentNamedList, Lift, WasmList},
    error::ensure,
};
use wasmtime_wizer::{ComponentContext, ComponentInstanceState, Wizer};

use super::{
    code::Code,
    core_module,
    engine::{Engine, Reset},
    export::Export,
    instances::Instance,
    load::{LoadError, Source},
    loaded::Component,
    normalize,
};
use crate::{
    config,
    content::{Digest, PinnedFile},
    outbound::Network,
};

/// Version of images, for caches of compiled code. Increment it when the image of a component changes.
const VERSION: u32 = 2;

/// Prefixes of imports by which the memory of an instance comes to contain random numbers or times.
const VARYING: [&str; 2] = ["wasi:random/", "wasi:clocks/"];

/// A component that serves requests, after which the host reads the state of its instance.
pub(crate) struct Warming {
    /// The instrumented component. It keeps its instances.
    pub(crate) component: Arc<Component>,
    /// The component before its instrumentation.
    original: Vec<u8>,
    origin: Origin,
}

/// The inputs of an image.
struct Origin {
    source: Source,
    settings: config::ComponentConfig,
    network: Arc<Network>,
    key: Digest,
}

impl Engine {
    /// Returns the properties of this engine that determine images.
    pub(crate) fn image_settings(&self) -> String {
        format!("{VERSION} {:?} {}", self.reset, is_parallel())
    }

    /// Returns a component with the image that is in the cache, or `None` if it is not there. `key` is the digest of
    /// everything that determines the image.
    pub(crate) async fn warm_from_cache(
        &self,
        component: &Component,
        (settings, file): (&config::ComponentConfig, &PinnedFile),
        key: Digest,
    ) -> Result<Option<Arc<Component>>, LoadError> {
        let (engine, name, owned, file) = (self.clone(), component.name().clone(), settings.clone(), file.clone());
        // Reading files would block a thread that serves requests.
        let reading = self.blocking(move || {
            let Some(code) = engine.code.find(&engine.wasmtime, key) else { return Ok(None) };
            Ok(Some((Source::read(&name, &owned, &file)?, code)))
        });
        let Some((source, code)) = joined(reading.await)? else { return Ok(None) };
        self.finish(&source, &code, (settings, component.properties.outbound.network()), key).await.map(Some)
    }

    /// Instruments a component, so that it can serve requests for its image.
    pub(crate) async fn warming(
        &self,
        component: &Component,
        (settings, file): (&config::ComponentConfig, &PinnedFile),
        key: Digest,
    ) -> Result<Warming, LoadError> {
        let (engine, name, settings, file) = (self.clone(), component.name().clone(), settings.clone(), file.clone());
        let (network, varies) = (component.properties.outbound.network().clone(), varies(component));
        let making = self.blocking(move || {
            let source = Source::read(&name, &settings, &file)?;
            if let Some(reason) = varies {
                return Err(source.unusable(reason));
            }
            let original = core_module::to_component(&source.bytes).map_err(|reason| source.unusable(reason))?;
            let original = normalize::normalize(&original).unwrap_or_else(|_| original.into_owned());
            engine.instrument(original, Origin { source, settings, network, key })
        });
        joined(making.await)
    }

    /// Instruments a component. Its instance serves all requests, and is kept after the last one.
    fn instrument(&self, original: Vec<u8>, origin: Origin) -> Result<Warming, LoadError> {
        let Origin { source, settings, network, .. } = &origin;
        let refuse = |error| source.unusable(cannot_have_image(&error));
        let (_, instrumented) = Wizer::new().instrument_component(&original).map_err(refuse)?;
        let code = self.code.compile_once(&self.wasmtime, &instrumented).map_err(refuse)?;
        let reuse = Some(config::Reuse { max_requests: u32::MAX });
        let kept = config::ComponentConfig { reuse, ..settings.clone() };
        let component = self.link(source, &code, &kept, network)?;
        let instances = component.instances.with(|settings| settings.keeps_rehearsed = true);
        let component = Arc::new(Component { instances, ..component });
        Ok(Warming { component, original, origin })
    }

    /// Links and tries out the component with an image.
    async fn finish(
        &self,
        source: &Source,
        code: &Code,
        (settings, network): (&config::ComponentConfig, &Arc<Network>),
        key: Digest,
    ) -> Result<Arc<Component>, LoadError> {
        let component = self.link(source, code, settings, network)?.with_image(key);
        self.try_out(&component, source, code).await?;
        Ok(Arc::new(component))
    }
}

impl Warming {
    /// Makes a component with the state of the instance that has served the requests. It must serve a request too, which
    /// shows the pages for [`component`](Self::component).
    pub(crate) async fn image(self, engine: &Engine) -> Result<Self, LoadError> {
        let Self { component, original, origin } = self;
        let source = &origin.source;
        let mut instance = instance(&component, source)?;
        if instance.store.data_mut().has_handles() {
            return Err(source.unusable(
                "after the requests of `warm`, the guest still has a handle of the host, such as a `reader` or an output \
                 stream, which would not be valid in other instances; drop it at the end of each request"
                    .to_owned(),
            ));
        }
        let refuse = |error| source.unusable(cannot_have_image(&error));
        let (context, _) = Wizer::new().instrument_component(&original).map_err(refuse)?;
        let (image, _) = snapshot(&context, &mut instance, component.timeout).await.map_err(refuse)?;
        if let Ok(reseed) = component.indices.reseed() {
            let mut seeded = Vec::new();
            for _ in 0..2 {
                instance.store.data_mut().begin_call(component.timeout);
                let reseeded = instance.reseed(reseed).await;
                reseeded.map_err(|error| source.unusable(format!("`reseed` failed: {error:#}")))?;
                seeded.push(snapshot(&context, &mut instance, component.timeout).await.map_err(refuse)?.0);
            }
            if seeded[0] == seeded[1] {
                return Err(source.unusable("`reseed` does not change the state of the instance".to_owned()));
            }
        }
        drop(instance);
        let owned = engine.clone();
        let making = engine.blocking(move || {
            let key = origin.key;
            let made = owned.instrument(image, origin)?;
            let component = Arc::new(Arc::unwrap_or_clone(made.component).with_image(key));
            Ok(Self { component, ..made })
        });
        joined(making.await)
    }

    /// Makes the component with the image.
    pub(crate) async fn component(self, engine: &Engine) -> Result<Arc<Component>, LoadError> {
        let Self { component, original: image, origin } = self;
        let Origin { source, settings, network, key } = origin;
        let mut instance = instance(&component, &source)?;
        let refuse = |error| source.unusable(cannot_have_image(&error));
        let (context, _) = Wizer::new().instrument_component(&image).map_err(refuse)?;
        let (_, written) = snapshot(&context, &mut instance, component.timeout).await.map_err(refuse)?;
        drop(instance);
        let owned = engine.clone();
        let making = engine.blocking(move || {
            let prefaulted = prefaulted(&image, &written, owned.reset);
            let prefaulted = prefaulted.inspect_err(|reason| {
                tracing::info!(component = &**component.name(), "pages are not written ahead: {reason:#}");
            });
            let image = prefaulted.ok().flatten().unwrap_or(image);
            (owned.code.load_made(&owned.wasmtime, &image, key), source)
        });
        let (code, source) = joined(making.await);
        let code = code.map_err(|error| source.unusable(cannot_have_image(&error)))?;
        engine.finish(&source, &code, (&settings, &network), key).await
    }
}

/// Returns the image with a start function that writes to the pages that a request writes, or `None` if that would not
/// make requests faster.
///
/// # Errors
///
/// Returns the reason why the image cannot have the start function.
fn prefaulted(image: &[u8], written: &[u32], reset: Reset) -> wasmtime::Result<Option<Vec<u8>>> {
    let Some(regions) = pages::covering(written, is_parallel()).filter(|_| reset.scan) else { return Ok(None) };
    let page = rustix::param::page_size();
    let size = regions.iter().map(ExactSizeIterator::len).sum::<usize>() * page;
    ensure!(
        size <= reset.kept,
        "a request writes {} KiB, and {} KiB would have to stay mapped in each instance; to make requests faster, set \
         server.keep_resident to \"{}MiB\"",
        written.len() * page / 1024,
        size / 1024,
        size.div_ceil(1 << 20)
    );
    tracing::debug!(written = written.len(), mapped = size / page, regions = regions.len(), "pages are written ahead");
    prefault::prefault(image, &regions, page as u32).map(Some)
}

/// Returns whether several threads serve requests.
fn is_parallel() -> bool {
    Handle::current().metrics().num_workers() > 1
}

/// Takes the instance that has served the requests.
fn instance(component: &Component, source: &Source) -> Result<Instance, LoadError> {
    let instance = component.instances.take();
    match instance.is_instantiated() {
        true => Ok(instance),
        false => Err(source.unusable(
            "no instance was left after the requests of `warm`: the component does not serve them, or an instance uses more \
             than 7/8 of `memory`"
                .to_owned(),
        )),
    }
}

impl Component {
    /// Returns this component, whose code contains the image with a key.
    fn with_image(self, key: Digest) -> Self {
        let reseed = self.indices.reseed().ok().cloned();
        let instances = self.instances.with(|settings| settings.reseed = reseed);
        Self { image: Some(key), instances, ..self }
    }
}

/// Returns the reason why instances with the same image could not differ as they must.
fn varies(component: &Component) -> Option<String> {
    let imports = &component.capabilities.imports;
    let import = imports.iter().find(|import| VARYING.iter().any(|prefix| import.starts_with(prefix)))?;
    (!component.exports(Export::Reseed)).then(|| {
        format!(
            "imports {import}, so that with `warm` all its instances could have the same random numbers; export {}, or remove \
             `warm`",
            Export::Reseed.interface()
        )
    })
}

fn cannot_have_image(error: &wasmtime::Error) -> String {
    format!("cannot have a warm image: {error:#}; remove `warm`")
}

/// Returns the output of a task, or continues its panic.
fn joined<T>(result: Result<T, JoinError>) -> T {
    result.unwrap_or_else(|error| panic::resume_unwind(error.into_panic()))
}

/// Returns a component with the state of an instance as its image, and the written pages of the first memory.
/// `context` describes the component before its instrumentation.
async fn snapshot(
    context: &ComponentContext<'_>,
    instance: &mut Instance,
    timeout: Duration,
) -> wasmtime::Result<(Vec<u8>, Vec<u32>)> {
    let mut state = State { instance, timeout, error: None, written: None };
    let image = Wizer::new().snapshot_component(context, &mut state).await;
    match state.error {
        Some(error) => Err(error),
        None => Ok((image?, state.written.unwrap_or_default())),
    }
}

/// The memories and globals of an instance. After an error, `error` is set, and all further values are zero.
struct State<'a> {
    instance: &'a mut Instance,
    timeout: Duration,
    error: Option<wasmtime::Error>,
    /// The written pages of the first memory, before it was read: a read maps the pages that were not.
    written: Option<Vec<u32>>,
}

impl State<'_> {
    /// Calls a function that the instrumentation has added.
    async fn call<R: Lift + Send + Sync + 'static>(&mut self, interface: &str, function: &str) -> Option<R>
    where
        (R,): ComponentNamedList + Lift,
    {
        if self.error.is_some() {
            return None;
        }
        self.instance.store.data_mut().begin_call(self.timeout);
        let result = self.instance.call(interface, function).await;
        result.map_err(|error| self.error = Some(error)).ok()
    }
}

impl ComponentInstanceState for State<'_> {
    async fn call_func_ret_list_u8(&mut self, interface: &str, function: &str, contents: impl FnOnce(&[u8]) + Send) {
        match self.call::<WasmList<u8>>(interface, function).await {
            Some(list) => {
                let memory = list.as_le_slice(&self.instance.store);
                // Without this list, only the pages are not written ahead.
                self.written.get_or_insert_with(|| pages::written(memory).unwrap_or_default());
                contents(memory);
            }
            None => contents(&[]),
        }
    }

    async fn call_func_ret_s32(&mut self, interface: &str, function: &str) -> i32 {
        self.call(interface, function).await.unwrap_or_default()
    }

    async fn call_func_ret_s64(&mut self, interface: &str, function: &str) -> i64 {
        self.call(interface, function).await.unwrap_or_default()
    }

    async fn call_func_ret_f32(&mut self, interface: &str, function: &str) -> u32 {
        self.call::<f32>(interface, function).await.unwrap_or_default().to_bits()
    }

    async fn call_func_ret_f64(&mut self, interface: &str, function: &str) -> u64 {
        self.call::<f64>(interface, function).await.unwrap_or_default().to_bits()
    }
}
