//! The cache of pulled images: manifests and components by digest, in the folder `oci` of `server.cache`. Both are
//! checked at each use, and removed once no host has used them for a week. Several hosts may share the folder.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    time::Duration,
};

use super::{
    failure::Failure,
    manifest::{Layer, layer, name_of_digest},
};
use crate::{
    config::Config,
    content::{Digest, Folder, PinnedFile},
};

/// Time after which an entry is removed if no host uses it. Hosts that share the cache mark their entries as used once
/// a day.
const UNUSED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The cache.
#[derive(Debug, Clone)]
pub(super) struct Cache(Folder);

impl Cache {
    pub(super) fn of(config: &Config) -> Self {
        Self(Folder::private(config.server.cache.join("oci")))
    }

    /// Returns the component of an image if manifest and component are in the cache and intact, and marks both as used.
    pub(super) async fn find(&self, image: Digest) -> Option<PinnedFile> {
        let folder = self.0.clone();
        let find = move || {
            let manifest = manifest_name(image);
            let Layer { digest, .. } = layer(&folder.read(&manifest, image).ok()?).ok()?;
            let component = component_name(digest);
            folder.copy(&component, digest, &mut io::sink()).ok()?;
            [&manifest, &component].into_iter().for_each(|name| folder.touch(name));
            Some(PinnedFile { path: folder.entry(&component), digest: Some(digest) })
        };
        tokio::task::spawn_blocking(find).await.ok()?
    }

    /// Checks a manifest and its component against their digests, and writes them to the cache.
    pub(super) async fn put(
        &self,
        image: (Digest, Vec<u8>),
        component: (Digest, Vec<u8>),
    ) -> Result<PinnedFile, Failure> {
        let folder = self.0.clone();
        let file = PinnedFile { path: self.0.entry(&component_name(component.0)), digest: Some(component.0) };
        let put = move || {
            let (manifest, layer) = (manifest_name(image.0), component_name(component.0));
            // Write the component first, because a manifest in the cache must have its component.
            for (name, (digest, bytes)) in [(layer, component), (manifest, image)] {
                if Digest::of(&bytes) != digest {
                    let digest = name_of_digest(digest);
                    return Err(Failure::lasting(format!(
                        "the registry sent content that does not have the digest {digest}"
                    )));
                }
                write(&folder, &name, &bytes).map_err(|error| {
                    let path = folder.entry(&name);
                    Failure::lasting(format!("{} cannot be written: {error}; set server.cache", path.display()))
                })?;
            }
            Ok(())
        };
        let ended = |error| Failure::lasting(format!("the image was not written to the cache: {error}"));
        tokio::task::spawn_blocking(put).await.map_err(ended)??;
        Ok(file)
    }

    /// Marks these components and their manifests as used, and removes the entries that no host has used for a week.
    pub(super) fn collect(&self, in_use: &BTreeSet<Digest>) -> io::Result<()> {
        let names: BTreeSet<String> = in_use.iter().copied().map(component_name).collect();
        let is_used = |name: &str| match name.ends_with(".json") {
            true => std::fs::read(self.0.entry(name))
                .ok()
                .and_then(|manifest| layer(&manifest).ok())
                .is_some_and(|layer| in_use.contains(&layer.digest)),
            false => names.contains(name),
        };
        let removed = self.0.collect(UNUSED, |name| {
            let is_used = is_used(name);
            if is_used {
                self.0.touch(name);
            }
            is_used
        });
        let removed = match removed {
            // Nothing was pulled yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => removed?,
        };
        for entry in removed {
            tracing::info!(file = %entry.path.display(), "removed from the cache: no host has used it for a week");
        }
        Ok(())
    }
}

fn manifest_name(digest: Digest) -> String {
    format!("sha256-{digest}.json")
}

fn component_name(digest: Digest) -> String {
    format!("sha256-{digest}.wasm")
}

fn write(folder: &Folder, name: &str, bytes: &[u8]) -> io::Result<()> {
    folder.create()?;
    let mut draft = folder.draft(name)?;
    draft.write_all(bytes)?;
    draft.keep()
}
