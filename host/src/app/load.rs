//! Loads the components of a configuration, several at a time.

use std::{sync::Arc, time::Instant};

use futures_util::{StreamExt, stream};

use super::sources::Sources;
use crate::{
    component::{Component, Engine, LoadError},
    config::{self, Problem},
    content::PinnedFile,
    generation::Generation,
    outbound::Network,
    telemetry,
};

/// Loads all components. Returns the usable components in the order of their names, and a problem for each unusable one.
pub(super) async fn load_all(
    engine: &Engine,
    sources: &Sources,
    previous: Option<&Generation>,
) -> (Vec<Arc<Component>>, Vec<Problem>) {
    let (network, unusable) = match network(engine, &sources.config, previous).await {
        Ok(network) => (network, None),
        Err(reason) => (Arc::default(), Some(sources.config.place("outbound.ca").problem(reason))),
    };
    let all = sources.config.components.iter().zip(sources.components.values()).enumerate();
    let network = &network;
    let loading = all.map(|(index, ((name, component), file))| async move {
        let before = previous.and_then(|generation| generation.component(name));
        let loaded = load_one(engine, name, (component, file, network), before).await;
        let key = || format!("component.{name}.path");
        (index, loaded.map_err(|error| sources.config.place(&key()).problem(error.to_string())))
    });
    // Collected, because the compiler cannot prove that the iterator is `Send`.
    let loading: Vec<_> = loading.collect();
    let mut loaded: Vec<_> = stream::iter(loading).buffer_unordered(engine.loads()).collect().await;
    loaded.sort_unstable_by_key(|(index, _)| *index);
    let (mut components, mut problems) = (Vec::with_capacity(loaded.len()), Vec::from_iter(unusable));
    for (_, result) in loaded {
        match result {
            Ok(component) => components.push(component),
            Err(problem) => problems.push(problem),
        }
    }
    (components, problems)
}

/// Returns the network for the outbound requests of all components: that of the previous generation if it is the same.
async fn network(
    engine: &Engine,
    config: &config::Config,
    previous: Option<&Generation>,
) -> Result<Arc<Network>, String> {
    let before = previous.and_then(|generation| generation.components.first());
    let before = before.map(|component| component.properties.outbound.network().clone());
    let is_used = config.components.values().any(|component| !component.http.is_empty());
    let settings = config.outbound.clone();
    // Reading the certificates of the system takes some milliseconds.
    let made = engine.blocking(move || Network::of(settings, is_used, before)).await;
    made.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// Loads a component, and logs whether it was compiled or taken from the cache, with the time that this took.
async fn load_one(
    engine: &Engine,
    name: &str,
    (config, file, network): (&config::ComponentConfig, &PinnedFile, &Arc<Network>),
    before: Option<&Arc<Component>>,
) -> Result<Arc<Component>, LoadError> {
    let started = Instant::now();
    let loaded = engine.load(name, config, file, network, before).await?;
    if !before.is_some_and(|before| Arc::ptr_eq(before, &loaded)) {
        let how = if loaded.cached { "loaded" } else { "compiled" };
        let ms = telemetry::millis(started.elapsed());
        tracing::info!(component = name, ms, digest = &loaded.digest[..12], "{how}");
    }
    Ok(loaded)
}
