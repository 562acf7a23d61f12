//! Manifests of images, as JSON, and digests as OCI writes them.

use serde::Deserialize;

use super::failure::Failure;
use crate::content::Digest;

/// Media types of a layer that is a component: the current one, and that of older tools.
const COMPONENTS: [&str; 2] = ["application/wasm", "application/vnd.wasm.content.layer.v1+wasm"];
/// Prefix of the digests that this host supports.
const SHA256: &str = "sha256:";

/// The layer of an image that is a component.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) digest: Digest,
    /// Size in bytes.
    pub(super) size: usize,
}

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: usize,
}

/// Returns the layer of a manifest that is a component. There must be exactly one, named by a SHA-256 digest.
pub(super) fn layer(manifest: &[u8]) -> Result<Layer, Failure> {
    let manifest: Manifest = serde_json::from_slice(manifest)
        .map_err(|error| Failure::lasting(format!("its manifest is not an image manifest: {error}")))?;
    let is_component = |layer: &&Descriptor| COMPONENTS.contains(&layer.media_type.as_str());
    let mut components = manifest.layers.iter().filter(is_component);
    Err(Failure::lasting(match (components.next(), components.next()) {
        (Some(Descriptor { digest, size, .. }), None) => match digest_of_name(digest) {
            Some(digest) => return Ok(Layer { digest, size: *size }),
            None => format!("its layer is named by {digest}; only sha256 is supported"),
        },
        (Some(_), Some(_)) => format!("it has more than one layer of the type {}", COMPONENTS[0]),
        (None, _) => {
            let types: Vec<_> = manifest.layers.iter().map(|layer| layer.media_type.as_str()).collect();
            format!("it has no layer of the type {}, but {types:?}; push it with `wkg oci push`", COMPONENTS[0])
        }
    }))
}

/// Parses a digest as OCI writes it. Returns `None` for another algorithm than SHA-256.
pub(super) fn digest_of_name(name: &str) -> Option<Digest> {
    name.strip_prefix(SHA256)?.parse().ok()
}

/// Formats a digest as OCI writes it.
pub(super) fn name_of_digest(digest: Digest) -> String {
    format!("{SHA256}{digest}")
}
