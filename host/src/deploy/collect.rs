//! Removal of generations and files that are not needed.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::{
    error::{Error, at},
    id::Id,
    manifest::Manifest,
    records::{Records, id_of},
};
use crate::content::{self, Digest, Folder, Removed};

/// Minimum age of the unused files and generations that a collection removes. Younger ones may belong to a deployment
/// in progress.
pub const SPARE: Duration = Duration::from_secs(60 * 60);

/// Number of generations and files that a collection has removed, and the size of the files.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Number of generations.
    pub generations: usize,
    /// Number of files. No remaining generation contains them.
    pub blobs: usize,
    /// Total size of these files, in bytes.
    pub bytes: u64,
}

/// Removes the generations that are not needed, then the files that no remaining generation contains. In this order, a
/// manifest in the store always has its files.
pub(super) fn collect(
    records: &Records,
    blobs: &Folder,
    apps: &Folder,
    keep: usize,
    spare: Duration,
) -> Result<Collected, Error> {
    let needed = needed(records, keep, spare)?;
    let ids: BTreeSet<&Id> = needed.iter().map(|manifest| &manifest.id).collect();
    remove(apps, Duration::ZERO, |name| name.parse::<Id>().is_ok_and(|id| ids.contains(&id)))?;
    let generations =
        remove(&records.manifests, Duration::ZERO, |name| id_of(name).is_some_and(|id| ids.contains(&id)))?;
    // The removal of manifests must be on disk before that of their files.
    content::sync_folder(records.manifests.path()).map_err(at(records.manifests.path()))?;
    let named: BTreeSet<&Digest> = needed.iter().flat_map(Manifest::blobs).collect();
    let blobs = remove(blobs, spare, |name| name.parse::<Digest>().is_ok_and(|digest| named.contains(&digest)))?;
    Ok(Collected {
        generations: generations.len(),
        blobs: blobs.len(),
        bytes: blobs.iter().map(|removed| removed.bytes).sum(),
    })
}

fn remove(folder: &Folder, spare: Duration, is_used: impl FnMut(&str) -> bool) -> Result<Vec<Removed>, Error> {
    folder.collect(spare, is_used).map_err(at(folder.path()))
}

/// Returns the manifests that stay: those of the active generation, of the `keep` generations before it, and of
/// generations that were stored after it or within `spare` and may still be activated.
fn needed(records: &Records, keep: usize, spare: Duration) -> Result<Vec<Manifest>, Error> {
    let history = records.history()?;
    let recent: BTreeSet<&Id> = history.iter().rev().take(keep + 1).collect();
    let mut needed = Vec::new();
    for id in &recent {
        match records.manifest(id) {
            // Without this manifest, the files of the generation are not known and must not be removed.
            Err(error @ Error::Damaged { .. }) => return Err(error),
            Err(Error::Unknown(_)) => {}
            manifest => needed.push(manifest?),
        }
    }
    let active = needed.iter().find(|manifest| history.last() == Some(&manifest.id));
    let young = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().saturating_sub(spare).as_secs();
    let since = active.map_or(0, |manifest| manifest.created_at.min(young));
    let later = records.manifests()?.into_iter();
    needed.extend(later.filter(|manifest| manifest.created_at >= since && !recent.contains(&manifest.id)));
    Ok(needed)
}
