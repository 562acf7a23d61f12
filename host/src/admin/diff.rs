//! What differs between two generations: files, and the routes that their configurations name.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{config::Config, deploy::Manifest};

/// From one to the other. What a configuration that cannot be read would serve is not known.
pub(super) fn diff(from: (&Manifest, Option<&Config>), to: (&Manifest, Option<&Config>)) -> Value {
    let (old, new) = (&from.0.files, &to.0.files);
    let missing = |here: &Manifest, there: &Manifest| -> Vec<String> {
        here.files.keys().filter(|path| !there.files.contains_key(*path)).cloned().collect()
    };
    let changed: Vec<&String> = new
        .iter()
        .filter(|(path, digest)| old.get(*path).is_some_and(|old| old != *digest))
        .map(|(path, _)| path)
        .collect();
    let routes = from.1.zip(to.1).map(|(old, new)| {
        let (old, new) = (routes(old), routes(new));
        json!({"added": new.difference(&old).collect::<Vec<_>>(), "removed": old.difference(&new).collect::<Vec<_>>()})
    });
    json!({
        "files": {"added": missing(to.0, from.0), "removed": missing(from.0, to.0), "changed": changed},
        "routes": routes,
    })
}

/// `GET /items`; `* /items` where the route leaves its methods to the component.
fn routes(config: &Config) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for route in &config.routes {
        match route.methods.is_empty() {
            true => drop(found.insert(format!("* {}", route.path))),
            false => found.extend(route.methods.iter().map(|method| format!("{method} {}", route.path))),
        }
    }
    found
}
