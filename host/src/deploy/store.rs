//! The folder of deployed generations:
//!
//! ```text
//! lock                   held by the host that works here
//! blobs/SHA-256          files, whatever they were called
//! generations/ID.json    lists of files
//! apps/ID/               those files under their names; made from the others when they are needed
//! active                 what was activated, the last one last
//! ```
//!
//! A list is written only when all its files are there, and becomes active only when it has been tried out; each step
//! is one rename. So whatever has a name is whole, and the rest is left over and collected.

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

/// Deployed generations, for one process.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    keep: usize,
    max_upload: u64,
    /// Steps that look at several files are taken one after the other.
    order: Mutex<()>,
    /// Dropped with the process, however it ends.
    _lock: File,
}

/// A change of what is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// To a generation.
    To(Id),
    /// To the one before.
    Back,
}

impl Store {
    /// Opens a folder, makes it if it is not there, and cleans up what a host has left that was killed.
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

    /// Where a file stands, if it is there.
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

    /// How many generations before the active one are kept.
    pub fn keep(&self) -> usize {
        self.keep
    }

    /// Whether a file is there.
    pub fn has(&self, digest: &Digest) -> bool {
        self.blob(digest).is_file()
    }

    /// Begins to take a file in.
    pub async fn receive(&self, digest: Digest) -> Result<Upload, Error> {
        Upload::begin(self.blob(&digest), digest, self.max_upload).await
    }

    /// Takes a generation in, all of whose files must be there. Says whether it is new.
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
        // One that is known becomes young again: it must not be collected before it can be activated.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let manifest = Manifest { created_at: now, ..manifest.clone() };
        let text = serde_json::to_string_pretty(&manifest).map_err(|error| Error::Invalid(error.to_string()))?;
        durable::write(&self.list(&manifest.id), &text)?;
        Ok(is_new)
    }

    /// A generation.
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

    /// All generations that are whole lists, the oldest first.
    pub fn manifests(&self) -> Result<Vec<Manifest>, Error> {
        let mut found = Vec::new();
        for path in entries(&self.root.join("generations"))? {
            let id = path.file_stem().and_then(|name| name.to_str()?.parse().ok());
            found.extend(id.and_then(|id| self.manifest(&id).ok()));
        }
        found.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(found)
    }

    /// What was activated and not gone back from, the active one last.
    pub fn history(&self) -> Result<Vec<Id>, Error> {
        let path = self.active_file();
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => text.map_err(at(&path))?,
        };
        let damaged = |error: Error| Error::Damaged { path, what: format!("it should list generations, but {error}") };
        text.lines().map(str::parse).collect::<Result<_, _>>().map_err(damaged)
    }

    /// What is served after the next start.
    pub fn active(&self) -> Result<Option<Id>, Error> {
        Ok(self.history()?.pop())
    }

    /// A history as it will be after a step.
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

    /// Makes the last of these active. It must be known to work.
    pub fn record(&self, history: &[Id]) -> Result<(), Error> {
        let _order = self.in_order();
        let text: String = history.iter().map(|id| format!("{id}\n")).collect();
        durable::write(&self.active_file(), &text)
    }

    /// Refuses a file that is not what its name says, and lets go of it, so that it can be brought again.
    pub fn check(&self, digest: &Digest) -> Result<(), Error> {
        check(&self.blob(digest), digest)
    }

    /// The folder of a generation, every file of which has been read and is what it should be. What is not is made anew.
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
            // Not a second name of the same file: what happens to the one must not happen to the other.
            fs::copy(&blob, &file).and_then(|_| File::open(&file)?.sync_all()).map_err(at(&file))?;
        }
        if !missing.is_empty() {
            durable::remove(&part)?;
            return Err(Error::Missing { id: manifest.id.clone(), blobs: missing });
        }
        folders.iter().try_for_each(|folder| durable::sync_folder(folder))?;
        durable::remove(app)?;
        durable::rename(&part, app)
    }

    /// Removes what nobody needs any more: all but the active generation, those before and after it, and their files.
    /// Files younger than `spare` may be part of a deployment that goes on, and stay.
    pub fn collect(&self, spare: Duration) -> Result<Collected, Error> {
        collect::collect(self, spare)
    }
}

/// Refuses a file that is not what its name says, and lets go of it, so that it can be uploaded again.
fn check(blob: &Path, digest: &Digest) -> Result<(), Error> {
    let found = Digest::of_file(blob).map_err(at(blob))?;
    if found == *digest {
        return Ok(());
    }
    durable::remove(blob)?;
    let what = format!("its digest is {found}; it has been removed, deploy the application again");
    Err(Error::Damaged { path: blob.to_owned(), what })
}

/// Whether a folder has the files of a generation and no others.
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

/// What is in a folder.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let found: io::Result<_> =
        fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>());
    found.map_err(at(folder))
}
