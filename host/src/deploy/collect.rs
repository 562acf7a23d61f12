//! Removal of generations and files that are not needed. Manifests are removed before the files that they name, so that
//! a manifest in the store always has its files.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::{Digest, Error, Id, Manifest, Store, durable, store::entries};

/// Number and size of the files that a collection has removed.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Number of generations.
    pub generations: usize,
    /// Number of files that no generation names.
    pub blobs: usize,
    /// Total size of these files, in bytes.
    pub bytes: u64,
}

/// Removes the temporary files of a killed process.
pub(super) fn remove_unfinished(store: &Store) -> Result<(), Error> {
    let folders = store.folders();
    for folder in folders.iter().map(PathBuf::as_path).chain([store.root()]) {
        for path in entries(folder)?.iter().filter(|path| durable::is_unfinished(path)) {
            durable::remove(path)?;
        }
    }
    Ok(())
}

pub(super) fn collect(store: &Store, spare: Duration) -> Result<Collected, Error> {
    let _order = store.in_order();
    let [blobs, generations, apps] = store.folders();
    let history = store.history()?;
    let kept = kept(store, &history, spare)?;
    let mut collected = Collected::default();

    for path in entries(&apps)? {
        remove_unless(&path, |name| name.parse::<Id>().is_ok_and(|id| kept.iter().any(|kept| kept.id == id)))?;
    }
    for path in entries(&generations)? {
        let id = |name: &str| name.strip_suffix(".json")?.parse::<Id>().ok();
        let keep = |name: &str| id(name).is_some_and(|id| kept.iter().any(|kept| kept.id == id));
        collected.generations += usize::from(remove_unless(&path, keep)?);
    }
    // The removal of manifests must be on disk before that of their files.
    durable::sync_folder(&generations)?;

    let named: BTreeSet<&Digest> = kept.iter().flat_map(Manifest::blobs).collect();
    for path in entries(&blobs)? {
        let metadata = fs::symlink_metadata(&path).ok();
        let young = metadata
            .as_ref()
            .and_then(|metadata| metadata.modified().ok()?.elapsed().ok())
            .is_some_and(|age| age < spare);
        let keep = |name: &str| young || name.parse::<Digest>().is_ok_and(|digest| named.contains(&digest));
        if remove_unless(&path, keep)? {
            collected.blobs += 1;
            collected.bytes += metadata.map_or(0, |metadata| metadata.len());
        }
    }
    Ok(collected)
}

/// Returns the manifests that stay: the active generation, those before it that can be rolled back to, and those that
/// were stored after it or within `spare` and may still be activated.
fn kept(store: &Store, history: &[Id], spare: Duration) -> Result<Vec<Manifest>, Error> {
    let recent: BTreeSet<&Id> = history.iter().rev().take(store.keep() + 1).collect();
    let mut kept = Vec::new();
    for id in &recent {
        match store.manifest(id) {
            // Without this manifest, the files of the generation are not known and must not be removed.
            Err(error @ Error::Damaged { .. }) => return Err(error),
            Err(Error::Unknown(_)) => {}
            manifest => kept.push(manifest?),
        }
    }
    let active = kept.iter().find(|manifest| history.last() == Some(&manifest.id));
    let young = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().saturating_sub(spare).as_secs();
    let since = active.map_or(0, |manifest| manifest.created_at.min(young));
    let later = store.manifests()?.into_iter();
    kept.extend(later.filter(|manifest| manifest.created_at >= since && !recent.contains(&manifest.id)));
    Ok(kept)
}

/// Removes a path unless `keep` accepts its name, and returns whether it did. Leaves temporary files to their writers.
fn remove_unless(path: &Path, keep: impl Fn(&str) -> bool) -> Result<bool, Error> {
    let name = path.file_name().and_then(|name| name.to_str());
    if durable::is_unfinished(path) || name.is_some_and(keep) {
        return Ok(false);
    }
    durable::remove(path)?;
    Ok(true)
}
