//! Pulls components from OCI registries: takes references, and returns files in `server.cache` without interpreting
//! their contents.

mod cache;
mod failure;
mod manifest;
mod registry;

use std::{collections::BTreeMap, io};

use self::{
    cache::Cache,
    failure::Failure,
    manifest::{digest_of_name, layer, name_of_digest},
    registry::Registry,
};
use crate::{
    config::{Config, Image, ImageVersion, Problems},
    content::{Digest, PinnedFile},
};

/// Error of [`pull`] and [`moved`].
#[derive(Debug, thiserror::Error)]
#[error("{problems}")]
pub struct PullError {
    problems: Problems,
    /// Whether a later attempt may succeed without a change to the configuration.
    pub may_pass: bool,
}

impl PullError {
    /// Returns the error of all images that cannot be pulled, with the names of their components. There must be one.
    fn new(config: &Config, failures: Vec<(&str, &Image, Failure)>) -> Self {
        let may_pass = failures.iter().all(|(_, _, failure)| failure.may_pass);
        let problem = |(component, image, failure): (&str, &Image, Failure)| {
            let place = config.place(&format!("component.{component}.path"));
            place.problem(format!("{image} cannot be pulled: {}", failure.reason))
        };
        Self { problems: Problems::new(failures.into_iter().map(problem).collect()), may_pass }
    }
}

/// The images of a configuration, by the names of their components.
pub(crate) type Images = BTreeMap<String, PulledImage>;

/// An image in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledImage {
    /// Digest of the image's manifest. The tag of the image may resolve to another digest by now.
    pub digest: Digest,
    /// The component.
    pub component: PinnedFile,
}

/// Pulls the images that a configuration names and that the cache lacks. Tags are resolved at every call.
///
/// # Errors
///
/// Fails if any image cannot be pulled, and names all of them.
pub(crate) async fn pull(config: &Config) -> Result<Images, PullError> {
    let (mut images, mut failures) = (Images::new(), Vec::new());
    for (name, component) in &config.components {
        let Some(image) = &component.image else { continue };
        match pull_image(config, image).await {
            Ok(pulled) => drop(images.insert(name.clone(), pulled)),
            Err(failure) => failures.push((name.as_str(), image, failure)),
        }
    }
    if failures.is_empty() { Ok(images) } else { Err(PullError::new(config, failures)) }
}

/// Resolves the tag of a component. Returns the digest of the image if it differs from that of the pulled image.
pub(crate) async fn moved(config: &Config, pulled: &Images, component: &str) -> Result<Option<Digest>, PullError> {
    let image = config.components.get(component).and_then(|component| component.image.as_ref());
    let Some(image @ Image { version: ImageVersion::Tag(_), .. }) = image else { return Ok(None) };
    let resolving = async { Registry::connect(image, config.registries.get(&image.host)).await?.digest().await };
    let digest = resolving.await.map_err(|failure| PullError::new(config, vec![(component, image, failure)]))?;
    Ok((pulled.get(component).map(|pulled| pulled.digest) != Some(digest)).then_some(digest))
}

/// Marks the pulled images as used, and removes those that no host has used for a week.
pub(crate) fn collect(config: &Config, pulled: &Images) -> io::Result<()> {
    Cache::of(config).collect(&pulled.values().filter_map(|image| image.component.digest).collect())
}

async fn pull_image(config: &Config, image: &Image) -> Result<PulledImage, Failure> {
    let cache = Cache::of(config);
    let named = match &image.version {
        ImageVersion::Digest(name) => digest_of_name(name),
        ImageVersion::Tag(_) => None,
    };
    if let Some(digest) = named
        && let Some(component) = cache.find(digest).await
    {
        return Ok(PulledImage { digest, component });
    }
    let registry = Registry::connect(image, config.registries.get(&image.host)).await?;
    let digest = match named {
        Some(digest) => digest,
        None => registry.digest().await?,
    };
    if let Some(component) = cache.find(digest).await {
        return Ok(PulledImage { digest, component });
    }
    let manifest = registry.manifest(digest).await?;
    let layer = layer(&manifest)?;
    let component = registry.layer(&layer).await?;
    let component = cache.put((digest, manifest), (layer.digest, component)).await?;
    tracing::info!(image = %image, digest = name_of_digest(digest), kib = layer.size / 1024, "pulled");
    Ok(PulledImage { digest, component })
}
