//! The records of the store: the manifests of generations, and the order in which generations were activated.

use std::{fs, io, path::PathBuf};

use super::{
    error::{Error, at},
    id::{Id, InvalidId},
    manifest::Manifest,
};
use crate::content::{self, Folder};

/// The folder `generations` and the file `active`.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) manifests: Folder,
    history: PathBuf,
}

impl Records {
    pub(super) fn new(manifests: Folder, history: PathBuf) -> Self {
        Self { manifests, history }
    }

    pub(super) fn put(&self, manifest: &Manifest) -> Result<(), Error> {
        let path = self.path(&manifest.id);
        let text = serde_json::to_string_pretty(manifest).map_err(|error| at(&path)(error.into()))?;
        content::write(&path, text.as_bytes()).map_err(at(&path))
    }

    /// Returns a manifest.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] if there is none, [`Error::Damaged`] if it is not valid.
    pub(super) fn manifest(&self, id: &Id) -> Result<Manifest, Error> {
        let path = self.path(id);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::Unknown(id.clone())),
            text => text.map_err(at(&path))?,
        };
        let read = serde_json::from_str(&text).map_err(|error| error.to_string()).and_then(|manifest: Manifest| {
            manifest.check().map_err(|error| error.to_string())?;
            if manifest.id == *id {
                Ok(manifest)
            } else {
                Err(format!("it is the manifest of generation {}", manifest.id))
            }
        });
        read.map_err(|what| Error::Damaged { path, what: format!("{what}; deploy the application again") })
    }

    /// Returns the valid manifests, the oldest first.
    pub(super) fn manifests(&self) -> Result<Vec<Manifest>, Error> {
        let mut found = Vec::new();
        for path in self.manifests.entries().map_err(at(self.manifests.path()))? {
            let id = path.file_name().and_then(|name| id_of(name.to_str()?));
            found.extend(id.and_then(|id| self.manifest(&id).ok()));
        }
        found.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(found)
    }

    /// Returns the ids of the activated generations, the active one last.
    pub(super) fn history(&self) -> Result<Vec<Id>, Error> {
        let path = &self.history;
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => text.map_err(at(path))?,
        };
        text.lines().map(str::parse).collect::<Result<_, _>>().map_err(|error: InvalidId| Error::Damaged {
            path: path.clone(),
            what: format!("it must list the ids of generations: {error}"),
        })
    }

    pub(super) fn set_history(&self, history: &[Id]) -> Result<(), Error> {
        let text: String = history.iter().map(|id| format!("{id}\n")).collect();
        content::write(&self.history, text.as_bytes()).map_err(at(&self.history))
    }

    fn path(&self, id: &Id) -> PathBuf {
        self.manifests.entry(&format!("{id}.json"))
    }
}

/// Returns the id that the file name of a manifest contains.
pub(super) fn id_of(name: &str) -> Option<Id> {
    name.strip_suffix(".json")?.parse().ok()
}
