//! The folder of deployed generations. A generation is one version of an application: a list of files with an id.
//!
//! ```text
//! lock                   locked by the host process that uses the folder
//! blobs/SHA-256          files, named by their digest
//! generations/ID.json    manifests
//! apps/ID/               the files of a generation under their paths; copied from `blobs` on demand
//! active                 ids of the activated generations, the active one last
//! ```
//!
//! The store writes a manifest only if it has all files of the manifest. A host activates a generation only after the
//! host has loaded and checked the generation. The store writes each blob, each manifest, the file `active` and each
//! folder in `apps` under a temporary name, and gives it its final name only when it is complete. [`Store::open`]
//! removes the files and folders that still have temporary names.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use super::{
    collect::{self, Collected},
    error::{Error, at},
    id::Id,
    manifest::Manifest,
    records::Records,
    upload::Upload,
};
use crate::{
    config,
    content::{self, Digest, Folder, ReadError},
};

/// Store of deployed generations. One process at a time can open a folder.
#[derive(Debug)]
pub struct Store {
    blobs: Folder,
    apps: Folder,
    records: Records,
    keep: usize,
    max_upload: u64,
    /// Mutex that serializes operations on several files.
    order: Mutex<()>,
    /// The lock file. The operating system releases the lock when the process exits, even if the process is killed.
    _lock: File,
}

/// The files of a generation, copied to a folder under their paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// The folder.
    pub folder: PathBuf,
    /// The digests of the files, by their paths in the folder.
    pub files: BTreeMap<String, Digest>,
}

/// A change of the active generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Activate this generation.
    To(Id),
    /// Activate the generation that was active before.
    Back,
}

impl Store {
    /// Opens a folder, and creates it if it does not exist. Removes the temporary files that a killed process has left.
    /// Also removes the generations and files that are not needed, as [`collect`](Self::collect) does.
    ///
    /// # Errors
    ///
    /// [`Error::Taken`] if another process has opened the folder.
    pub fn open(settings: &config::Deploy) -> Result<Self, Error> {
        let root = &settings.folder;
        let [blobs, manifests, apps] = ["blobs", "generations", "apps"].map(|name| Folder::new(root.join(name)));
        for folder in [&blobs, &manifests, &apps] {
            folder.create().map_err(at(folder.path()))?;
        }
        let lock = root.join("lock");
        let file = File::options().create(true).append(true).open(&lock).map_err(at(&lock))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Taken(root.clone())),
            Err(TryLockError::Error(error)) => return Err(at(&lock)(error)),
        }
        content::sync_folder(root).map_err(at(root))?;
        for folder in [&blobs, &manifests, &apps, &Folder::new(root.clone())] {
            folder.remove_drafts().map_err(at(folder.path()))?;
        }
        let store = Self {
            blobs,
            apps,
            records: Records::new(manifests, root.join("active")),
            keep: settings.keep,
            max_upload: u64::try_from(settings.max_upload).unwrap_or(u64::MAX),
            order: Mutex::default(),
            _lock: file,
        };
        store.collect(Duration::ZERO)?;
        Ok(store)
    }

    fn in_order(&self) -> MutexGuard<'_, ()> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the path of the file with this digest in the store. The file need not exist.
    pub fn blob(&self, digest: Digest) -> PathBuf {
        self.blobs.entry(&digest.to_string())
    }

    /// Returns the number of generations before the active one that [`collect`](Self::collect) keeps.
    pub fn keep(&self) -> usize {
        self.keep
    }

    /// Returns whether the store has the file with this digest.
    pub fn has(&self, digest: Digest) -> bool {
        self.blob(digest).is_file()
    }

    /// Begins to receive a file.
    pub async fn receive(&self, digest: Digest) -> Result<Upload, Error> {
        Upload::create(&self.blobs, digest, self.max_upload).await
    }

    /// Stores a manifest, and returns whether it is new.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] if the store lacks some of the files that the manifest lists.
    pub fn put(&self, manifest: &Manifest) -> Result<bool, Error> {
        manifest.check()?;
        let _order = self.in_order();
        let missing: BTreeSet<Digest> = manifest.blobs().copied().filter(|digest| !self.has(*digest)).collect();
        if !missing.is_empty() {
            return Err(Error::Missing { id: manifest.id.clone(), blobs: missing.into_iter().collect() });
        }
        let is_new = match self.manifest(&manifest.id) {
            Ok(known) if known.files == manifest.files => false,
            Ok(_) => return Err(Error::Invalid(format!("another generation has the id {}", manifest.id))),
            Err(Error::Unknown(_) | Error::Damaged { .. }) => true,
            Err(error) => return Err(error),
        };
        // Storing a known manifest again updates `created_at`, so that `collect` does not remove the manifest before
        // the generation is activated.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        self.records.put(&Manifest { created_at: now, ..manifest.clone() })?;
        Ok(is_new)
    }

    /// Returns the manifest of a generation.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] if there is none, [`Error::Damaged`] if it is not valid.
    pub fn manifest(&self, id: &Id) -> Result<Manifest, Error> {
        self.records.manifest(id)
    }

    /// Returns the valid manifests of all generations, the oldest first.
    pub fn manifests(&self) -> Result<Vec<Manifest>, Error> {
        self.records.manifests()
    }

    /// Returns the ids of the activated generations, the active one last. A rollback removes the last entry.
    pub fn history(&self) -> Result<Vec<Id>, Error> {
        self.records.history()
    }

    /// Returns the active generation, which the host serves after its next start.
    pub fn active(&self) -> Result<Option<Id>, Error> {
        Ok(self.history()?.pop())
    }

    /// Applies a step to `history`, and returns the new history. Drops the oldest ids, so that at most
    /// [`keep`](Self::keep) ids precede the active one.
    ///
    /// # Errors
    ///
    /// [`Error::NothingBefore`] for [`Step::Back`] if the history has no generation before the active one.
    pub fn after(&self, mut history: Vec<Id>, step: &Step) -> Result<Vec<Id>, Error> {
        match step {
            Step::To(id) if history.last() != Some(id) => history.push(id.clone()),
            Step::To(_) => {}
            Step::Back => {
                history.pop();
                if history.is_empty() {
                    return Err(Error::NothingBefore);
                }
            }
        }
        let too_many = history.len().saturating_sub(self.keep + 1);
        history.drain(..too_many);
        Ok(history)
    }

    /// Replaces the history on disk, so that the last generation in `history` is active. The host serves this
    /// generation after its next start, so the caller must have loaded and checked the generation before.
    pub fn record(&self, history: &[Id]) -> Result<(), Error> {
        let _order = self.in_order();
        self.records.set_history(history)
    }

    /// Checks a file against its digest, and removes it on a mismatch, so that it can be transferred again.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] on a mismatch.
    pub fn check(&self, digest: Digest) -> Result<(), Error> {
        let blob = self.blob(digest);
        self.blobs.copy(&digest.to_string(), digest, &mut std::io::sink()).map_err(|error| damaged(&blob, error))
    }

    /// Returns a folder with the files of a generation under their paths. Checks the digest of each file in the folder,
    /// and copies all files again if the folder differs from the manifest.
    pub fn unpack(&self, id: &Id) -> Result<Unpacked, Error> {
        let _order = self.in_order();
        let manifest = self.manifest(id)?;
        let folder = self.apps.entry(&id.to_string());
        if !is_whole(&manifest, &folder) {
            self.copy_files(&manifest, &folder)?;
        }
        Ok(Unpacked { folder, files: manifest.files })
    }

    fn copy_files(&self, manifest: &Manifest, app: &Path) -> Result<(), Error> {
        let part = content::temporary_path(app);
        let mut folders = BTreeSet::from([part.clone()]);
        let mut missing = Vec::new();
        for (path, digest) in &manifest.files {
            let (file, blob) = (part.join(path), self.blob(*digest));
            if !blob.exists() {
                missing.push(*digest);
                continue;
            }
            let folder = file.parent().unwrap_or(&part);
            fs::create_dir_all(folder).map_err(at(folder))?;
            folders.extend(folder.ancestors().take_while(|folder| folder.starts_with(&part)).map(Path::to_owned));
            // Copy the blob instead of linking it, because a write to the unpacked file must not change the blob.
            let mut copy = File::create_new(&file).map_err(at(&file))?;
            self.blobs.copy(&digest.to_string(), *digest, &mut copy).map_err(|error| damaged(&blob, error))?;
            copy.sync_all().map_err(at(&file))?;
        }
        if !missing.is_empty() {
            content::remove(&part).map_err(at(&part))?;
            return Err(Error::Missing { id: manifest.id.clone(), blobs: missing });
        }
        // All directory entries must be on disk before the rename gives the folder its final name.
        folders.iter().try_for_each(|folder| content::sync_folder(folder).map_err(at(folder)))?;
        content::remove(app).map_err(at(app))?;
        content::rename(&part, app).map_err(at(app))
    }

    /// Removes the generations that are not needed, and the files that no remaining generation contains. Keeps the
    /// active generation, the [`keep`](Self::keep) generations that were active before, and the generations that were
    /// stored after the active one. Also keeps files and generations younger than `spare`, because they may belong to a
    /// deployment in progress.
    pub fn collect(&self, spare: Duration) -> Result<Collected, Error> {
        let _order = self.in_order();
        collect::collect(&self.records, &self.blobs, &self.apps, self.keep, spare)
    }
}

/// Converts an error of [`Folder::copy`]. If the digest of the blob does not match its name, removes the blob, so that
/// it can be uploaded again.
fn damaged(blob: &Path, error: ReadError) -> Error {
    match error {
        ReadError::Io(error) => at(blob)(error),
        ReadError::Mismatch { found, .. } => match content::remove(blob) {
            Ok(()) => Error::Damaged {
                path: blob.to_owned(),
                what: format!("its digest is {found}; it has been removed, deploy the application again"),
            },
            Err(error) => at(blob)(error),
        },
    }
}

/// Returns whether a folder has exactly the files of a generation, each with its digest.
fn is_whole(manifest: &Manifest, app: &Path) -> bool {
    let mut found = 0;
    let mut folders = vec![app.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(paths) = content::entries(&folder) else { return false };
        for path in paths {
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => folders.push(path),
                Ok(metadata) if metadata.is_file() => {
                    let name = path.strip_prefix(app).ok().and_then(Path::to_str);
                    let wanted = name.and_then(|name| manifest.files.get(name));
                    if wanted.is_none_or(|wanted| Digest::of_file(&path).ok().as_ref() != Some(wanted)) {
                        return false;
                    }
                    found += 1;
                }
                _ => return false,
            }
        }
    }
    found == manifest.files.len()
}
