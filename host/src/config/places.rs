//! The places where the values of a configuration come from, for messages about values that prove wrong only when they
//! are used: a file that does not exist, an address in use.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use super::{
    problem::{Origin, Place},
    record::{Content, Record, ValueRecord},
};

/// Places of sections and of keys that are set, by their full keys.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Places(BTreeMap<String, (PathBuf, Origin)>);

impl Places {
    /// Returns the places of all sections and keys that were read from a file.
    pub(super) fn of(file: &Path, records: &[Record]) -> Self {
        let mut places = BTreeMap::new();
        for Record { path, origin, keys } in records {
            places.insert(path.to_string(), (file.to_owned(), origin.clone()));
            for key in keys {
                if let Content::Value(ValueRecord { set: Some(set), .. }) = &key.content {
                    places.insert(path.key(&key.name).to_string(), (file.to_owned(), set.origin.clone()));
                }
            }
        }
        Self(places)
    }

    /// Adds the places of a host's configuration, which replaces the given `sections`.
    pub(super) fn with_host(mut self, host: &Self, sections: &[&str]) -> Self {
        self.0.retain(|key, _| !key.split('.').next().is_some_and(|section| sections.contains(&section)));
        self.0
            .extend(host.0.iter().filter(|(key, _)| !key.is_empty()).map(|(key, place)| (key.clone(), place.clone())));
        self
    }

    /// Returns the place of a key, or of the innermost section around it if the key is not set.
    pub(super) fn find(&self, file: &Path, key: &str) -> Place {
        let outwards = std::iter::successors(Some(key), |key| key.rfind(['.', '[']).map(|end| &key[..end]));
        let found = outwards.into_iter().find_map(|key| self.0.get(key)).cloned();
        let (file, origin) = found.unwrap_or_else(|| (file.to_owned(), Origin::File));
        Place { file, origin, key: key.to_owned() }
    }
}

/// Leaves out the places, which would hide the values of a configuration.
impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places").finish_non_exhaustive()
    }
}
