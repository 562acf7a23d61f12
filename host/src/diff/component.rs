//! Comparison of components. A component with a new name is compared with one that has no exports and imports, so that
//! renaming a component does not hide its capabilities.

use std::{collections::BTreeMap, time::Duration};

use super::{
    difference::Difference,
    outline::{ComponentOutline, HttpOutline},
};
use crate::{
    component::{CURRENT, Export, PACKAGE},
    config::{Destination, DifferenceKind as Kind},
};

/// Prefixes of imports that give access to more than the request, each with its kind of difference and the name of the
/// capability.
const IMPORTS: [(&str, Kind, &str); 3] = [
    ("carya:host/identity-setter", Kind::ComponentGainsIdentitySetter, "control of the client's identity"),
    ("wasi:sockets/", Kind::ComponentGainsSockets, "sockets"),
    ("wasi:filesystem/", Kind::ComponentGainsFiles, "files"),
];

/// The import through which a component sends HTTP requests.
const OUTGOING_HANDLER: &str = "wasi:http/outgoing-handler";

pub(super) fn all(
    old: &BTreeMap<String, ComponentOutline>,
    new: &BTreeMap<String, ComponentOutline>,
    found: &mut Vec<Difference>,
) {
    for (name, now) in new {
        let place = format!("component {name}");
        let differences = compare(old.get(name), now);
        found.extend(differences.into_iter().map(|(kind, words)| Difference::new(kind, place.clone(), words)));
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        found.push(Difference::new(Kind::ComponentLost, format!("component {name}"), "was removed"));
    }
}

fn compare(old: Option<&ComponentOutline>, new: &ComponentOutline) -> Vec<(Kind, String)> {
    let nothing = ComponentOutline {
        exports: Default::default(),
        imports: Default::default(),
        http: HttpOutline { destinations: Vec::new(), ..new.http.clone() },
        ..new.clone()
    };
    let mut found = Vec::new();
    match old {
        None => found.push((Kind::ComponentNew, format!("is new: {}", short(&new.digest)))),
        Some(old) if old.digest != new.digest => {
            let words = format!("has different code: {}, was {}", short(&new.digest), short(&old.digest));
            found.push((Kind::ComponentCodeChanged, words));
        }
        Some(_) => {}
    }
    let (is_new, old) = (old.is_none(), old.unwrap_or(&nothing));
    for export in Export::ALL {
        let (name, capability, interface) = (export.name(), export.capability(), export.unversioned());
        if new.exports.contains(&interface) && !old.exports.contains(&interface) {
            found.extend(export.gains().iter().map(|kind| (*kind, format!("now exports {name}: it may {capability}"))));
        }
    }
    for import in new.imports.difference(&old.imports) {
        let special = IMPORTS.iter().find(|(prefix, ..)| import.starts_with(prefix));
        match special {
            // Many tools import it into every component, so without a destination it is like any other import.
            _ if import == OUTGOING_HANDLER && !new.http.destinations.is_empty() => {
                let words = format!("now imports {import}: it may send HTTP requests");
                found.push((Kind::ComponentGainsOutboundHttp, words));
            }
            _ if import == CURRENT => {
                let gains = [(Kind::ComponentGainsReader, "read"), (Kind::ComponentGainsWriter, "write to")];
                let words = |what| format!("now imports current: it may {what} the database in each call");
                found.extend(gains.map(|(kind, what)| (kind, words(what))));
            }
            Some((_, kind, capability)) => {
                found.push((*kind, format!("now imports {import}: it requests {capability}")));
            }
            None if is_new => {}
            None => found.push((Kind::ComponentGainsImport, format!("now imports {import}"))),
        }
    }
    let lost = |interface: &String| interface.trim_start_matches(PACKAGE).trim_start_matches('/').to_owned();
    for export in old.exports.difference(&new.exports) {
        found.push((Kind::ComponentLosesExport, format!("no longer exports {}", lost(export))));
    }
    for import in old.imports.difference(&new.imports) {
        found.push((Kind::ComponentLosesImport, format!("no longer imports {import}")));
    }
    limits(old, new, &mut found);
    http(&old.http, &new.http, &mut found);
    found
}

fn http(before: &HttpOutline, now: &HttpOutline, found: &mut Vec<(Kind, String)>) {
    let beyond = |list: &[Destination], limits: &[Destination]| -> Vec<String> {
        let is_new = |entry: &&Destination| !limits.iter().any(|limit| limit.covers(entry));
        list.iter().filter(is_new).map(ToString::to_string).collect()
    };
    let changes = [
        (Kind::ComponentHttpWidened, "may now send", beyond(&now.destinations, &before.destinations)),
        (Kind::ComponentHttpNarrowed, "may no longer send", beyond(&before.destinations, &now.destinations)),
    ];
    for (kind, may, list) in changes.into_iter().filter(|(.., list)| !list.is_empty()) {
        found.push((kind, format!("{may} HTTP requests to {}", list.join(", "))));
    }
    let by_size = |raised| if raised { Kind::ComponentHttpWidened } else { Kind::ComponentHttpNarrowed };
    if before.timeout != now.timeout {
        let words = format!("has an http_timeout of {}, was {}", time(now.timeout), time(before.timeout));
        found.push((by_size(now.timeout > before.timeout), words));
    }
    if before.max_response != now.max_response {
        let words =
            format!("has an http_max_response of {}, was {}", size(now.max_response), size(before.max_response));
        found.push((by_size(now.max_response > before.max_response), words));
    }
}

fn limits(old: &ComponentOutline, new: &ComponentOutline, found: &mut Vec<(Kind, String)>) {
    if old.settings != new.settings {
        // List the names only: a value may be a secret.
        let differs = |name: &&String| old.settings.get(*name) != new.settings.get(*name);
        let added = new.settings.keys().filter(|name| !old.settings.contains_key(*name));
        let names: Vec<_> = old.settings.keys().chain(added).filter(differs).map(String::as_str).collect();
        found.push((Kind::ComponentSettingsChanged, format!("has different settings: {}", names.join(", "))));
    }
    if old.memory != new.memory {
        let raised = new.memory > old.memory;
        let kind = if raised { Kind::ComponentMemoryRaised } else { Kind::ComponentMemoryLowered };
        found.push((kind, format!("has a memory limit of {}, was {}", size(new.memory), size(old.memory))));
    }
    if old.timeout != new.timeout {
        let raised = new.timeout > old.timeout;
        let kind = if raised { Kind::ComponentTimeoutRaised } else { Kind::ComponentTimeoutLowered };
        found.push((kind, format!("has a timeout of {}, was {}", time(new.timeout), time(old.timeout))));
    }
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

fn size(bytes: usize) -> String {
    match bytes {
        bytes if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        bytes if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} bytes"),
    }
}

fn time(duration: Duration) -> String {
    format!("{duration:?}")
}
