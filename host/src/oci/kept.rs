//! The cache of pulled images: manifests and components by digest. Files are checked at each use, and removed once no
//! host has used them for a week. Several hosts may share the folder.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::Deserialize;

use super::{digest, registry::Failure};
use crate::{config::Config, private};

/// Media types of a layer that is a component: the current one, and that of older tools.
const COMPONENTS: [&str; 2] = ["application/wasm", "application/vnd.wasm.content.layer.v1+wasm"];

/// How long a file stays that no host uses. Hosts that share the cache mark their files as used once a day.
const UNUSED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The folder `oci` in `server.cache`.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

/// A layer in the manifest of an image. `size` is in bytes.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Layer {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: usize,
}

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Layer>,
}

/// Returns the layer of a manifest that is a component. There must be exactly one, named by a SHA-256 digest.
pub(super) fn layer(manifest: &[u8]) -> Result<Layer, Failure> {
    let manifest: Manifest = serde_json::from_slice(manifest)
        .map_err(|error| Failure::lasting(format!("its manifest is not one of an image: {error}")))?;
    let is_component = |layer: &&Layer| COMPONENTS.contains(&layer.media_type.as_str());
    let mut components = manifest.layers.iter().filter(is_component);
    Err(Failure::lasting(match (components.next(), components.next()) {
        (Some(layer), None) if is_digest(&layer.digest) => return Ok(layer.clone()),
        (Some(layer), None) => format!("its layer is named by {}; only sha256 is known here", layer.digest),
        (Some(_), Some(_)) => format!("it has more than one layer of the type {}", COMPONENTS[0]),
        (None, _) => {
            let types: Vec<_> = manifest.layers.iter().map(|layer| layer.media_type.as_str()).collect();
            format!("it has no layer of the type {}, but {types:?}; push it with `wkg oci push`", COMPONENTS[0])
        }
    }))
}

/// Returns whether a registry's digest is valid. It becomes a file name, so only SHA-256 in lower case is accepted.
pub(super) fn is_digest(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix("sha256:").is_some_and(|digits| digits.len() == 64 && digits.bytes().all(is_digit))
}

impl Folder {
    pub(super) fn of(config: &Config) -> Self {
        Self(config.server.cache.join("oci"))
    }

    fn entry(&self, digest: &str, extension: &str) -> PathBuf {
        self.0.join(digest.replace(':', "-")).with_extension(extension)
    }

    /// Returns the path of an image's component, by the manifest in the cache. That file may be missing or damaged.
    pub(super) fn component(&self, digest: &str) -> Option<PathBuf> {
        let manifest = intact(&self.entry(digest, "json"), digest)?;
        Some(self.entry(&layer(&manifest).ok()?.digest, "wasm"))
    }

    /// Returns the path of an image's component if manifest and component are in the cache and intact, and marks both
    /// as used.
    pub(super) async fn find(&self, digest: &str) -> Option<PathBuf> {
        let (folder, digest) = (self.clone(), digest.to_owned());
        let look = move || {
            let manifest = folder.entry(&digest, "json");
            let layer = layer(&intact(&manifest, &digest)?).ok()?;
            let file = folder.entry(&layer.digest, "wasm");
            intact(&file, &layer.digest)?;
            [&manifest, &file].into_iter().for_each(|path| touch(path));
            Some(file)
        };
        tokio::task::spawn_blocking(look).await.ok()?
    }

    /// Writes a manifest and its component to the cache, after checking each against its digest.
    pub(super) async fn keep(
        &self,
        (image, manifest): (&str, Vec<u8>),
        (layer, component): (&str, Vec<u8>),
    ) -> Result<PathBuf, Failure> {
        let (manifest_file, file) = (self.entry(image, "json"), self.entry(layer, "wasm"));
        let (kept, wanted) = (file.clone(), [layer.to_owned(), image.to_owned()]);
        let keep = move || {
            let pairs = [(&file, &component), (&manifest_file, &manifest)];
            for ((path, bytes), wanted) in pairs.into_iter().zip(wanted) {
                if digest(bytes) != wanted {
                    return Err(Failure::lasting(format!("the registry sent something else than {wanted}")));
                }
                let cannot = |error| format!("{} cannot be written: {error}; set server.cache", path.display());
                write(path, bytes).map_err(|error| Failure::lasting(cannot(error)))?;
            }
            Ok(())
        };
        let ended = |error| Failure::lasting(format!("the writing was ended: {error}"));
        tokio::task::spawn_blocking(keep).await.map_err(ended)??;
        Ok(kept)
    }

    /// Marks the files in use, and removes the others once they are older than [`UNUSED`].
    fn collect(&self, in_use: &BTreeSet<&Path>) -> io::Result<()> {
        let files = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            files => files?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?,
        };
        let is_used = |path: &Path| match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => {
                let layer = fs::read(path).ok().and_then(|manifest| layer(&manifest).ok());
                layer.is_some_and(|layer| in_use.contains(&*self.entry(&layer.digest, "wasm")))
            }
            _ => in_use.contains(path),
        };
        let (used, unused): (Vec<_>, Vec<_>) = files.into_iter().partition(|path| is_used(path));
        used.iter().for_each(|path| touch(path));
        for path in unused {
            let is_old = |age: Duration| age > UNUSED;
            if fs::metadata(&path)?.modified()?.elapsed().is_ok_and(is_old) {
                fs::remove_file(&path)?;
                tracing::info!(file = %path.display(), "removed from the cache: no host has used it for a week");
            }
        }
        Ok(())
    }
}

/// Marks the pulled files of a configuration as used, and removes those that no host has used for a week.
pub fn collect(config: &Config) -> io::Result<()> {
    let pulled = config.components.values().filter(|component| component.image.is_some());
    Folder::of(config).collect(&pulled.map(|component| component.path.as_path()).collect())
}

fn intact(file: &Path, digest: &str) -> Option<Vec<u8>> {
    fs::read(file).ok().filter(|bytes| super::digest(bytes) == digest)
}

/// Marks a file as used now, by its modification time. An error is ignored: in a cache that cannot be written, nothing
/// can be removed either.
fn touch(path: &Path) {
    let _ = fs::File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
}

/// Writes a file atomically, by renaming a draft.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        private::make_folder(folder)?;
    }
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    // An earlier process with the same number may have left one.
    let _ = fs::remove_file(&draft);
    let mut file = private::create_file(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)
}
