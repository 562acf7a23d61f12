//! The components of a configuration, loaded beside each other.

use std::{sync::Arc, time::Instant};

use futures_util::{StreamExt, stream};

use super::sources::Sources;
use crate::{
    component::{Component, Engine, LoadError},
    config,
    content::PinnedFile,
    generation::Generation,
};

/// Loads all components. Returns those that can be served, in the order of their names, and the errors of the others.
pub(super) async fn all(
    engine: &Engine,
    sources: &Sources,
    previous: Option<&Generation>,
) -> (Vec<Arc<Component>>, Vec<String>) {
    let all = sources.config.components.iter().zip(sources.components.values()).enumerate();
    let loading = all.map(|(index, ((name, component), file))| async move {
        let before = previous.and_then(|generation| generation.component(name));
        (index, one(engine, name, (component, file), before).await)
    });
    // A list, because the compiler does not see that the iterator may be sent to another thread.
    let loading: Vec<_> = loading.collect();
    let mut loaded: Vec<_> = stream::iter(loading).buffer_unordered(engine.loads()).collect().await;
    loaded.sort_unstable_by_key(|(index, _)| *index);
    let (mut components, mut problems) = (Vec::with_capacity(loaded.len()), Vec::new());
    for (_, result) in loaded {
        match result {
            Ok(component) => components.push(component),
            Err(error) => problems.push(error.to_string()),
        }
    }
    (components, problems)
}

/// Loads a component, and logs whether it was compiled, since that takes time.
async fn one(
    engine: &Engine,
    name: &str,
    (config, file): (&config::Component, &PinnedFile),
    before: Option<&Arc<Component>>,
) -> Result<Arc<Component>, LoadError> {
    let started = Instant::now();
    let loaded = engine.load(name, config, file, before).await?;
    if !before.is_some_and(|before| Arc::ptr_eq(before, &loaded)) {
        let how = if loaded.cached { "loaded" } else { "compiled" };
        let ms = started.elapsed().as_millis();
        tracing::info!(component = name, ms, digest = &loaded.digest[..12], "{how}");
    }
    Ok(loaded)
}
