//! Pulls components from OCI registries: takes a reference, and returns a file in `server.cache` without interpreting
//! its content.

mod kept;
mod registry;

use std::path::PathBuf;

use sha2::{Digest, Sha256};

pub use self::kept::collect;
use self::{
    kept::Folder,
    registry::{Failure, Registry},
};
use crate::config::{Config, Image, ImageVersion};

/// Error of [`pull`] and [`moved`].
#[derive(Debug, thiserror::Error)]
#[error("component `{component}`: {image} cannot be pulled: {reason}")]
pub struct PullError {
    component: String,
    image: Box<str>,
    reason: String,
    /// Whether a later attempt may succeed without a change to the configuration.
    pub may_pass: bool,
}

impl PullError {
    fn new(component: &str, image: &Image, failure: Failure) -> Self {
        let Failure { reason, may_pass } = failure;
        Self { component: component.to_owned(), image: image.to_string().into(), reason, may_pass }
    }
}

/// Pulls the components that a configuration names by reference and that the cache lacks, and sets `path` of each.
/// Tags are resolved at every call.
///
/// # Errors
///
/// Fails at the first component that cannot be pulled, and leaves the configuration unchanged.
pub async fn pull(config: &mut Config) -> Result<(), PullError> {
    let mut paths = Vec::new();
    for (name, component) in &config.components {
        let Some(image) = &component.image else { continue };
        let pulled = self::image(config, image).await.map_err(|failure| PullError::new(name, image, failure))?;
        paths.push((name.clone(), pulled));
    }
    for (name, path) in paths {
        config.components.entry(name).and_modify(|component| component.path = path);
    }
    Ok(())
}

/// Resolves the tag of a component, and returns its digest if it differs from that of the image that was pulled.
pub async fn moved(config: &Config, component: &str) -> Result<Option<String>, PullError> {
    let Some(settings) = config.components.get(component) else { return Ok(None) };
    let Some(image @ Image { version: ImageVersion::Tag(_), .. }) = &settings.image else { return Ok(None) };
    let ask = async { Registry::connect(image, config.registries.get(&image.host)).await?.digest().await };
    let digest = ask.await.map_err(|failure| PullError::new(component, image, failure))?;
    let served = Folder::of(config).component(&digest);
    Ok((served.as_ref() != Some(&settings.path)).then_some(digest))
}

async fn image(config: &Config, image: &Image) -> Result<PathBuf, Failure> {
    let folder = Folder::of(config);
    if let ImageVersion::Digest(digest) = &image.version
        && let Some(file) = folder.find(digest).await
    {
        return Ok(file);
    }
    let registry = Registry::connect(image, config.registries.get(&image.host)).await?;
    let digest = match &image.version {
        ImageVersion::Digest(digest) => digest.clone(),
        ImageVersion::Tag(_) => registry.digest().await?,
    };
    if let Some(file) = folder.find(&digest).await {
        return Ok(file);
    }
    let manifest = registry.manifest(&digest).await?;
    let layer = kept::layer(&manifest)?;
    let component = registry.layer(&layer).await?;
    let file = folder.keep((&digest, manifest), (&layer.digest, component)).await?;
    tracing::info!(image = %image, digest, kib = layer.size / 1024, "pulled");
    Ok(file)
}

/// Returns the digest of some content, as OCI writes it.
fn digest(bytes: &[u8]) -> String {
    let digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}
