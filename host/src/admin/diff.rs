//! Differences between the files of two generations.

use serde_json::{Value, json};

use crate::deploy::Manifest;

/// Lists the paths of the files that were added, removed or changed from `old` to `new`.
pub(super) fn files(old: &Manifest, new: &Manifest) -> Value {
    let missing = |here: &Manifest, there: &Manifest| -> Vec<String> {
        here.files.keys().filter(|path| !there.files.contains_key(*path)).cloned().collect()
    };
    let is_other = |(path, digest): &(&String, _)| old.files.get(*path).is_some_and(|old| old != *digest);
    let changed: Vec<_> = new.files.iter().filter(is_other).map(|(path, _)| path).collect();
    json!({"added": missing(new, old), "removed": missing(old, new), "changed": changed})
}
