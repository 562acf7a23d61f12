//! Components from OCI registries: a reference in, a file out. What was pulled is kept by digest and checked each time
//! that it is used; it does not know what a component is.

use std::{
    fs,
    io::{self, Write},
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol},
    errors::OciDistributionError,
    manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest, WASM_LAYER_MEDIA_TYPE},
    secrets::RegistryAuth,
};
use sha2::{Digest, Sha256};

use crate::config::{Config, Image, ImageVersion, Login};

/// The type of a layer that is a component.
const COMPONENT: &str = "application/wasm";

/// How long a registry may take to be reached, and to go on with an answer.
const CONNECT: Duration = Duration::from_secs(10);
const READ: Duration = Duration::from_secs(30);

/// Why there is no component for a reference.
#[derive(Debug, thiserror::Error)]
#[error("component `{component}`: {image} cannot be pulled: {reason}")]
pub struct PullError {
    component: String,
    image: Box<str>,
    reason: String,
}

/// Pulls what a configuration names by reference and is not there yet; each of these components has a file then. What
/// a tag means is asked for each time.
pub async fn pull(config: &mut Config) -> Result<(), PullError> {
    let folder = config.server.cache.join("oci");
    for (component, settings) in &mut config.components {
        let Some(image) = &settings.image else { continue };
        let pulled = self::image(&folder, image, config.registries.get(&image.host)).await;
        settings.path = pulled.map_err(|reason| {
            let (component, image) = (component.clone(), image.to_string().into());
            PullError { component, image, reason }
        })?;
    }
    Ok(())
}

async fn image(folder: &Path, image: &Image, login: Option<&Login>) -> Result<PathBuf, String> {
    if let ImageVersion::Digest(digest) = &image.version
        && let Some(file) = kept(folder, digest).await
    {
        return Ok(file);
    }
    let registry = Registry::new(image, login).map_err(|error| explain(image, &error))?;
    let digest = match &image.version {
        ImageVersion::Digest(digest) => digest.clone(),
        ImageVersion::Tag(_) => registry.digest().await.map_err(|error| explain(image, &error))?,
    };
    if let Some(file) = kept(folder, &digest).await {
        return Ok(file);
    }
    let manifest = registry.manifest(&digest).await.map_err(|error| explain(image, &error))?;
    let layer = layer(&manifest)?;
    let component = registry.layer(&layer).await.map_err(|error| explain(image, &error))?;
    let (manifest_file, file) = (entry(folder, &digest, "json"), entry(folder, &layer.digest, "wasm"));
    for (file, bytes, digest) in [(&file, &component, &layer.digest), (&manifest_file, &manifest, &digest)] {
        if self::digest(bytes) != **digest {
            return Err(format!("the registry sent something else than {digest}"));
        }
        keep(file, bytes)
            .map_err(|error| format!("{} cannot be written: {error}; set server.cache", file.display()))?;
    }
    tracing::info!(image = %image, digest, kib = component.len() / 1024, "pulled");
    Ok(file)
}

/// A repository, and who asks.
struct Registry {
    client: Client,
    reference: Reference,
    auth: RegistryAuth,
}

impl Registry {
    fn new(image: &Image, login: Option<&Login>) -> Result<Self, OciDistributionError> {
        // The client takes the process's own. A second time changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let protocol = if is_loopback(&image.host) { ClientProtocol::Http } else { ClientProtocol::Https };
        let config =
            ClientConfig { protocol, connect_timeout: Some(CONNECT), read_timeout: Some(READ), ..Default::default() };
        let (host, repository) = (image.host.clone(), image.repository.clone());
        let reference = match &image.version {
            ImageVersion::Tag(tag) => Reference::with_tag(host, repository, tag.clone()),
            ImageVersion::Digest(digest) => Reference::with_digest(host, repository, digest.clone()),
        };
        let auth = match login {
            Some(login) => RegistryAuth::Basic(login.username.clone(), login.password.clone()),
            None => RegistryAuth::Anonymous,
        };
        Ok(Self { client: Client::try_from(config)?, reference, auth })
    }

    /// What the tag means now.
    async fn digest(&self) -> Result<String, OciDistributionError> {
        self.client.fetch_manifest_digest(&self.reference, &self.auth).await
    }

    async fn manifest(&self, digest: &str) -> Result<Vec<u8>, OciDistributionError> {
        let reference = self.reference.clone_with_digest(digest.to_owned());
        let (bytes, _) = self.client.pull_manifest_raw(&reference, &self.auth, &[OCI_IMAGE_MEDIA_TYPE]).await?;
        Ok(bytes.to_vec())
    }

    async fn layer(&self, layer: &OciDescriptor) -> Result<Vec<u8>, OciDistributionError> {
        let mut bytes = Vec::new();
        self.client.pull_blob(&self.reference, layer, &mut bytes).await?;
        Ok(bytes)
    }
}

/// Whether what is said to a host stays on this machine: then it may be plain HTTP.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The one layer that is a component.
fn layer(manifest: &[u8]) -> Result<OciDescriptor, String> {
    let manifest: OciImageManifest =
        serde_json::from_slice(manifest).map_err(|error| format!("its manifest is not one of an image: {error}"))?;
    let is_component = |layer: &&OciDescriptor| [COMPONENT, WASM_LAYER_MEDIA_TYPE].contains(&layer.media_type.as_str());
    let mut components = manifest.layers.iter().filter(is_component);
    match (components.next(), components.next()) {
        (Some(layer), None) if layer.digest.starts_with("sha256:") => Ok(layer.clone()),
        (Some(layer), None) => Err(format!("its layer is named by {}; only sha256 is known here", layer.digest)),
        (Some(_), Some(_)) => Err(format!("it has more than one layer of the type {COMPONENT}")),
        (None, _) => {
            let types: Vec<_> = manifest.layers.iter().map(|layer| layer.media_type.as_str()).collect();
            Err(format!("it has no layer of the type {COMPONENT}, but {types:?}; push it with `wkg oci push`"))
        }
    }
}

/// The file of an image that was pulled before, if all of it is there and whole.
async fn kept(folder: &Path, digest: &str) -> Option<PathBuf> {
    let (folder, digest) = (folder.to_owned(), digest.to_owned());
    let look = move || {
        let layer = layer(&intact(&entry(&folder, &digest, "json"), &digest)?).ok()?;
        let file = entry(&folder, &layer.digest, "wasm");
        intact(&file, &layer.digest).map(|_| file)
    };
    tokio::task::spawn_blocking(look).await.ok()?
}

fn intact(file: &Path, digest: &str) -> Option<Vec<u8>> {
    fs::read(file).ok().filter(|bytes| self::digest(bytes) == digest)
}

fn entry(folder: &Path, digest: &str, extension: &str) -> PathBuf {
    folder.join(digest.replace(':', "-")).with_extension(extension)
}

fn digest(bytes: &[u8]) -> String {
    let digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

/// Writes a file whole or not at all.
fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    let mut file = fs::File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

/// A client's error with its causes, and what to do about those that a configuration can help.
fn explain(image: &Image, error: &OciDistributionError) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    match error {
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
            format!("{words}; set username and password in [registry.\"{}\"]", image.host)
        }
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_spoken_to_without_tls() {
        for (host, expected) in [
            ("127.0.0.1:5000", true),
            ("127.9.9.9", true),
            ("localhost:5000", true),
            ("[::1]:5000", true),
            ("10.0.0.1:5000", false),
            ("localhost.example.org", false),
            ("127.0.0.1.example.org:80", false),
            ("registry.example", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }
}
