//! The folder of deployed generations:
//!
//! ```text
//! lock                   locked by the host process that uses the folder
//! blobs/SHA-256          files, named by their digest
//! generations/ID.json    manifests
//! apps/ID/               the files of a generation under their paths; copied from `blobs` on demand
//! active                 ids of the activated generations, the active one last
//! ```
//!
//! The store writes a manifest only when all its files are there. A generation becomes active only after a trial. Each
//! of these steps is one rename, so every file under a final name is complete; collection removes the others.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use super::{Collected, Digest, Error, Id, Manifest, at, collect, durable, upload::Upload};
use crate::config;

/// Store of deployed generations. One process at a time can open a folder.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    keep: usize,
    max_upload: u64,
    /// Serializes the operations that read or write several files.
    order: Mutex<()>,
    /// The lock file. The system releases the lock when the process ends, however it ends.
    _lock: File,
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
    /// Opens a folder, creates it if it does not exist, and removes what a killed process has left behind.
    ///
    /// # Errors
    ///
    /// [`Error::Taken`] if another process has opened the folder.
    pub fn open(settings: &config::Deploy) -> Result<Self, Error> {
        let root = settings.folder.clone();
        for folder in ["blobs", "generations", "apps"].map(|name| root.join(name)) {
            fs::create_dir_all(&folder).map_err(at(&folder))?;
        }
        let lock = root.join("lock");
        let file = File::options().create(true).append(true).open(&lock).map_err(at(&lock))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Taken(root)),
            Err(TryLockError::Error(error)) => return Err(at(&lock)(error)),
        }
        durable::sync_folder(&root)?;
        let max_upload = u64::try_from(settings.max_upload).unwrap_or(u64::MAX);
        let store = Self { root, keep: settings.keep, max_upload, order: Mutex::default(), _lock: file };
        collect::remove_unfinished(&store)?;
        store.collect(Duration::ZERO)?;
        Ok(store)
    }

    pub(super) fn in_order(&self) -> MutexGuard<'_, ()> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn folders(&self) -> [PathBuf; 3] {
        ["blobs", "generations", "apps"].map(|name| self.root.join(name))
    }

    /// Returns the path that a file has in the store. The file need not exist.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.to_string())
    }

    pub(super) fn list(&self, id: &Id) -> PathBuf {
        self.root.join("generations").join(format!("{id}.json"))
    }

    pub(super) fn app(&self, id: &Id) -> PathBuf {
        self.root.join("apps").join(id.to_string())
    }

    fn active_file(&self) -> PathBuf {
        self.root.join("active")
    }

    /// Returns how many generations before the active one are kept.
    pub fn keep(&self) -> usize {
        self.keep
    }

    /// Returns whether the store has a file.
    pub fn has(&self, digest: &Digest) -> bool {
        self.blob(digest).is_file()
    }

    /// Begins to receive a file.
    pub async fn receive(&self, digest: Digest) -> Result<Upload, Error> {
        Upload::begin(self.blob(&digest), digest, self.max_upload).await
    }

    /// Stores a manifest, and returns whether it is new.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] if the store lacks some of its files.
    pub fn put(&self, manifest: &Manifest) -> Result<bool, Error> {
        manifest.check()?;
        let _order = self.in_order();
        let missing: BTreeSet<&Digest> = manifest.blobs().filter(|digest| !self.has(digest)).collect();
        if !missing.is_empty() {
            return Err(Error::Missing { id: manifest.id.clone(), blobs: missing.into_iter().cloned().collect() });
        }
        let is_new = match self.manifest(&manifest.id) {
            Ok(known) if known.files == manifest.files => false,
            Ok(_) => return Err(Error::Invalid(format!("another generation has the id {}", manifest.id))),
            Err(Error::Unknown(_) | Error::Damaged { .. }) => true,
            Err(error) => return Err(error),
        };
        // Storing a known manifest again renews its time, so that `collect` does not remove it before its activation.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let manifest = Manifest { created_at: now, ..manifest.clone() };
        let text = serde_json::to_string_pretty(&manifest).map_err(|error| Error::Invalid(error.to_string()))?;
        durable::write(&self.list(&manifest.id), &text)?;
        Ok(is_new)
    }

    /// Returns the manifest of a generation.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] if there is none, [`Error::Damaged`] if it is not valid.
    pub fn manifest(&self, id: &Id) -> Result<Manifest, Error> {
        let path = self.list(id);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::Unknown(id.clone())),
            text => text.map_err(at(&path))?,
        };
        let read = serde_json::from_str(&text).map_err(|error| error.to_string()).and_then(|manifest: Manifest| {
            manifest.check().map_err(|error| error.to_string())?;
            if manifest.id == *id { Ok(manifest) } else { Err(format!("it is generation {}", manifest.id)) }
        });
        read.map_err(|what| Error::Damaged { path, what: format!("{what}; deploy the application again") })
    }

    /// Returns the valid manifests of all generations, the oldest first.
    pub fn manifests(&self) -> Result<Vec<Manifest>, Error> {
        let mut found = Vec::new();
        for path in entries(&self.root.join("generations"))? {
            let id = path.file_stem().and_then(|name| name.to_str()?.parse().ok());
            found.extend(id.and_then(|id| self.manifest(&id).ok()));
        }
        found.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(found)
    }

    /// Returns the ids of the activated generations, the active one last. A rollback removes the last entry.
    pub fn history(&self) -> Result<Vec<Id>, Error> {
        let path = self.active_file();
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => text.map_err(at(&path))?,
        };
        let damaged = |error: Error| Error::Damaged { path, what: format!("it should list generations, but {error}") };
        text.lines().map(str::parse).collect::<Result<_, _>>().map_err(damaged)
    }

    /// Returns the active generation, which the host serves after its next start.
    pub fn active(&self) -> Result<Option<Id>, Error> {
        Ok(self.history()?.pop())
    }

    /// Returns a history as it is after a step, with at most [`keep`](Self::keep) generations before the active one.
    ///
    /// # Errors
    ///
    /// [`Error::NothingBefore`] if the step goes back from the first entry.
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

    /// Makes the last generation of a history active. The next start serves it, so the caller must have tried it
    /// before.
    pub fn record(&self, history: &[Id]) -> Result<(), Error> {
        let _order = self.in_order();
        let text: String = history.iter().map(|id| format!("{id}\n")).collect();
        durable::write(&self.active_file(), &text)
    }

    /// Checks a file against its digest, and removes it on a mismatch, so that it can be transferred again.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] on a mismatch.
    pub fn check(&self, digest: &Digest) -> Result<(), Error> {
        check(&self.blob(digest), digest)
    }

    /// Returns the folder with the files of a generation under their paths. Reads and checks all of them, and unpacks
    /// the generation again if the folder differs from its manifest.
    pub fn folder(&self, id: &Id) -> Result<PathBuf, Error> {
        let _order = self.in_order();
        let (manifest, app) = (self.manifest(id)?, self.app(id));
        if !is_whole(&manifest, &app) {
            self.unpack(&manifest, &app)?;
        }
        Ok(app)
    }

    fn unpack(&self, manifest: &Manifest, app: &Path) -> Result<(), Error> {
        let part = durable::unfinished(app);
        let mut folders = BTreeSet::from([part.clone()]);
        let mut missing = Vec::new();
        for (path, digest) in &manifest.files {
            let (file, blob) = (part.join(path), self.blob(digest));
            if !blob.exists() {
                missing.push(digest.clone());
                continue;
            }
            check(&blob, digest)?;
            let folder = file.parent().unwrap_or(&part);
            fs::create_dir_all(folder).map_err(at(folder))?;
            folders.extend(folder.ancestors().take_while(|folder| folder.starts_with(&part)).map(Path::to_owned));
            // A copy, not a hard link: a write to the unpacked file must not change the blob.
            fs::copy(&blob, &file).and_then(|_| File::open(&file)?.sync_all()).map_err(at(&file))?;
        }
        if !missing.is_empty() {
            durable::remove(&part)?;
            return Err(Error::Missing { id: manifest.id.clone(), blobs: missing });
        }
        // All names must be on disk before the rename makes them visible.
        folders.iter().try_for_each(|folder| durable::sync_folder(folder))?;
        durable::remove(app)?;
        durable::rename(&part, app)
    }

    /// Removes the generations that are not needed, and the files that no remaining generation names. Keeps the active
    /// generation, [`keep`](Self::keep) generations before it, and those that were stored after it. Files and
    /// generations younger than `spare` may belong to a deployment in progress, and stay.
    pub fn collect(&self, spare: Duration) -> Result<Collected, Error> {
        collect::collect(self, spare)
    }
}

/// Checks a file against its digest, and removes it on a mismatch, so that it can be uploaded again.
fn check(blob: &Path, digest: &Digest) -> Result<(), Error> {
    let found = Digest::of_file(blob).map_err(at(blob))?;
    if found == *digest {
        return Ok(());
    }
    durable::remove(blob)?;
    let what = format!("its digest is {found}; it has been removed, deploy the application again");
    Err(Error::Damaged { path: blob.to_owned(), what })
}

/// Returns whether a folder has exactly the files of a generation, each with its digest.
fn is_whole(manifest: &Manifest, app: &Path) -> bool {
    let mut found = 0;
    let mut folders = vec![app.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(paths) = entries(&folder) else { return false };
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

/// Returns the paths of the entries of a folder.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let found: io::Result<_> =
        fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>());
    found.map_err(at(folder))
}
