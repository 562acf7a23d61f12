//! Warms the components with `warm`: lets an instance of each serve requests on the databases of the generation, and
//! replaces the component by one whose instances start in the state of that instance.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, ensure};
use http::Method;

use super::try_out;
use crate::{
    component::Component,
    config::ComponentConfig,
    content::{Digest, Hasher, PinnedFile},
    generation::Generation,
    telemetry,
};

/// Number of requests that an instance serves before its image is made. Interpreters compile a function after some calls.
const REQUESTS: usize = 5;

/// Replaces the components with `warm` that have no image yet, or one for other migrations.
pub(super) async fn warm(mut generation: Generation) -> anyhow::Result<Generation> {
    let all = generation.components.clone();
    for component in all {
        let settings = generation.config.components.get(&**component.name()).filter(|settings| settings.warm.is_some());
        let Some(settings) = settings.cloned() else { continue };
        let key = key(&generation, &component, &settings);
        if component.image != Some(key) {
            let place = generation.config.place(&format!("component.{}.warm", component.name()));
            let warmed = Box::pin(warm_one(&generation, &component, &settings, key)).await;
            generation.replace(&warmed.with_context(|| place.problem("cannot be warmed").to_string())?);
        }
    }
    Ok(generation)
}

/// Returns the digest of everything that determines an image. The content of the databases is not part of it, except for
/// the migrations.
fn key(generation: &Generation, component: &Component, settings: &ComponentConfig) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(generation.engine.image_settings().as_bytes());
    hasher.update(component.digest.as_bytes());
    hasher.update(format!("{settings:?}").as_bytes());
    for folder in generation.config.all_databases().filter_map(|(_, database)| database.migrations.as_ref()) {
        hasher.update(format!("{:?}", generation.files.within(folder)).as_bytes());
    }
    hasher.digest()
}

async fn warm_one(
    generation: &Generation,
    component: &Arc<Component>,
    settings: &ComponentConfig,
    key: Digest,
) -> anyhow::Result<Arc<Component>> {
    let begun = Instant::now();
    let (engine, name) = (&generation.engine, component.name());
    let file = generation.images.get(&**name).map(|image| image.component.clone());
    let file =
        file.unwrap_or_else(|| PinnedFile { path: settings.path.clone(), digest: component.digest.parse().ok() });
    if let Some(warm) = engine.warm_from_cache(component, (settings, &file), key).await? {
        return Ok(warm);
    }
    let path = settings.warm.as_ref().map_or("/", |warm| &warm.path);
    let warming = engine.warming(component, (settings, &file), key).await?;
    serve(generation, &warming.component, path, REQUESTS).await?;
    let warming = warming.image(engine).await?;
    // This request shows which pages of the image a request writes.
    serve(generation, &warming.component, path, 1).await?;
    let warm = warming.component(engine).await?;
    tracing::info!(component = &**name, ms = telemetry::millis(begun.elapsed()), "warmed");
    Ok(warm)
}

/// Lets an instance of a component serve requests.
async fn serve(generation: &Generation, component: &Arc<Component>, path: &str, requests: usize) -> anyhow::Result<()> {
    let mut trial = generation.clone();
    trial.replace(component);
    for _ in 0..requests {
        let ended = try_out(&trial, Method::GET, path, String::new()).await?;
        let status = ended.reply.status;
        let why = ended.failure.map_or_else(String::new, |failure| format!(": {}", failure.detail));
        ensure!(status.is_success() || status.is_redirection(), "GET {path} answers {status}{why}");
    }
    Ok(())
}
