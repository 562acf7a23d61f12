//! Warm images. In its first requests, an interpreter does work that later requests skip: it compiles functions, and fills
//! caches. With the key `warm`, an instance serves requests before the generation does. Its memories and globals then are
//! the *image*: the initial memories and globals of a new component, with which each later instance starts. So each
//! request still has an instance of its own, and all start in the same state.
//!
//! The steps are: [`Engine::warming`] instruments the component, so that the host can read the globals; the caller lets it
//! serve requests; [`Warming::image`] makes the new component. A handle that the guest still has after the requests would
//! not be valid in other instances, and generators of random numbers would produce the same numbers in all instances.
//! Components with such a state are refused.

use std::{panic, sync::Arc, time::Duration};

use tokio::task::JoinError;
use wasmtime::component::{ComponentNamedList, Lift, WasmList};
use wasmtime_wizer::{ComponentContext, ComponentInstanceState, Wizer};

use super::{
    code::Code,
    core_module,
    engine::Engine,
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

/// Prefixes of imports by which the memory of an instance comes to contain random numbers or times.
const VARYING: [&str; 2] = ["wasi:random/", "wasi:clocks/"];

/// A component that serves requests for its image.
pub(crate) struct Warming {
    /// The instrumented component. It keeps its instances.
    pub(crate) component: Arc<Component>,
    source: Source,
    /// The component before its instrumentation.
    original: Vec<u8>,
    settings: config::ComponentConfig,
    network: Arc<Network>,
    key: Digest,
}

impl Engine {
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
            let instrumented = Wizer::new().instrument_component(&original);
            let (_, instrumented) = instrumented.map_err(|error| source.unusable(cannot_have_image(&error)))?;
            let code = engine.code.load_made(&engine.wasmtime, &instrumented, Digest::of(&instrumented));
            let code = code.map_err(|error| source.unusable(cannot_have_image(&error)))?;
            // One instance serves all requests, and is kept after the last one.
            let reuse = Some(config::Reuse { max_requests: u32::MAX });
            let kept = config::ComponentConfig { reuse, ..settings.clone() };
            let component = engine.link(&source, &code, &kept, &network)?;
            let instances = component.instances.with(|settings| settings.keeps_rehearsed = true);
            let component = Arc::new(Component { instances, ..component });
            Ok(Warming { component, source, original, settings, network, key })
        });
        joined(making.await)
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
    /// Makes the component whose instances start in the state of the instance that has served the requests.
    pub(crate) async fn image(self, engine: &Engine) -> Result<Arc<Component>, LoadError> {
        let Self { component, source, original, settings, network, key } = self;
        let mut instance = component.instances.take();
        if !instance.is_instantiated() {
            return Err(source.unusable(
                "no instance was left after the requests of `warm`: the component does not serve them, or an instance uses \
                 more than 7/8 of `memory`"
                    .to_owned(),
            ));
        }
        if instance.store.data_mut().has_handles() {
            return Err(source.unusable(
                "after the requests of `warm`, the guest still has a handle of the host, such as a `reader` or an output \
                 stream, which would not be valid in other instances; drop it at the end of each request"
                    .to_owned(),
            ));
        }
        let refuse = |error| source.unusable(cannot_have_image(&error));
        let (context, _) = Wizer::new().instrument_component(&original).map_err(refuse)?;
        let image = snapshot(&context, &mut instance, component.timeout).await.map_err(refuse)?;
        if let Ok(reseed) = component.indices.reseed() {
            let mut seeded = Vec::new();
            for _ in 0..2 {
                instance.store.data_mut().begin_call(component.timeout);
                let reseeded = instance.reseed(reseed).await;
                reseeded.map_err(|error| source.unusable(format!("`reseed` failed: {error:#}")))?;
                seeded.push(snapshot(&context, &mut instance, component.timeout).await.map_err(refuse)?);
            }
            if seeded[0] == seeded[1] {
                return Err(source.unusable("`reseed` does not change the state of the instance".to_owned()));
            }
        }
        drop(instance);
        let (owned, wasmtime) = (engine.clone(), engine.wasmtime.clone());
        let making = engine.blocking(move || owned.code.load_made(&wasmtime, &image, key));
        let code = joined(making.await).map_err(refuse)?;
        engine.finish(&source, &code, (&settings, &network), key).await
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

/// Returns the component whose instances start in the state of an instance. `context` describes the component before
/// its instrumentation.
async fn snapshot(
    context: &ComponentContext<'_>,
    instance: &mut Instance,
    timeout: Duration,
) -> wasmtime::Result<Vec<u8>> {
    let mut state = State { instance, timeout, error: None };
    let image = Wizer::new().snapshot_component(context, &mut state).await;
    state.error.map_or(image, Err)
}

/// The memories and globals of an instance. After an error, `error` is set, and all further values are zero.
struct State<'a> {
    instance: &'a mut Instance,
    timeout: Duration,
    error: Option<wasmtime::Error>,
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
            Some(list) => contents(list.as_le_slice(&self.instance.store)),
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
