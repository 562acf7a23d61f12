//! Tests of every kind of difference, between outlines written by hand.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use super::{
    Difference, Outline, between,
    outline::{ComponentOutline, DatabaseOutline, RouteOutline},
    refuse,
};
use crate::config::{Access, DifferenceKind as Kind};

fn interfaces(package: &str, names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| format!("{package}{name}")).collect()
}

fn component(exports: &[&str], imports: &[&str]) -> ComponentOutline {
    ComponentOutline {
        digest: "aaaaaaaaaaaaaaaa".to_owned(),
        exports: interfaces("carya:host/", exports),
        imports: interfaces("", imports),
        memory: 64 << 20,
        timeout: Duration::from_secs(5),
        ..ComponentOutline::default()
    }
}

fn route(component: &str, access: Access) -> RouteOutline {
    let hooks = [("audit".to_owned(), true), ("limits".to_owned(), false)].into();
    RouteOutline { component: component.to_owned(), access, database: "default".to_owned(), hooks }
}

fn served() -> Outline {
    let key = |method: &str| ("/items".to_owned(), method.to_owned());
    Outline {
        routes: [
            (key("GET"), route("items", Access::ReadOnly)),
            (key("POST"), route("items", Access::ReadWrite)),
            (key("PUT"), route("items", Access::ReadWrite)),
        ]
        .into(),
        components: [
            ("items".to_owned(), component(&["read-controller"], &["carya:host/log"])),
            ("audit".to_owned(), component(&["before"], &[])),
        ]
        .into(),
        hooks: [("audit".to_owned(), false)].into(),
        databases: [(
            "default".to_owned(),
            DatabaseOutline { shown: "sqlite://a".to_owned(), reached_by: vec!["a".to_owned()] },
        )]
        .into(),
        static_files: [("/static".to_owned(), PathBuf::from("public"))].into(),
        rules: [Kind::ComponentGainsWriter].into(),
        ..Outline::default()
    }
}

fn items(outline: &mut Outline) -> &mut ComponentOutline {
    outline.components.entry("items".to_owned()).or_default()
}

fn change_routes(outline: &mut Outline, methods: &[&str], change: impl Fn(&mut RouteOutline)) {
    let routes = outline.routes.iter_mut().filter(|((_, method), _)| methods.contains(&method.as_str()));
    routes.for_each(|(_, route)| change(route));
}

/// A change to the outline, and the lines that describe it.
type Row = (fn(&mut Outline), &'static [&'static str]);

const TABLE: &[Row] = &[
    (|_| {}, &[]),
    (
        |new| {
            new.routes.retain(|(_, method), _| method == "GET");
            new.routes.insert(("/reports".to_owned(), "GET".to_owned()), route("items", Access::None));
        },
        &[
            "route-lost route POST, PUT /items: was served by items, and is no more",
            "route-new route GET /reports: is new: served by items, none, database default",
        ],
    ),
    (
        |new| change_routes(new, &["GET", "POST", "PUT"], |route| route.access = Access::ReadWrite),
        &["route-gains-access route GET /items: is read-write, not read-only"],
    ),
    (
        |new| change_routes(new, &["GET", "POST"], |route| route.access = Access::None),
        &[
            "route-loses-access route GET /items: is none, not read-only",
            "route-loses-access route POST /items: is none, not read-write",
        ],
    ),
    (
        |new| {
            change_routes(new, &["POST", "PUT"], |route| {
                route.component = "audit".to_owned();
                route.database = "reports".to_owned();
            });
        },
        &[
            "route-component-changed route POST, PUT /items: is served by audit, not items",
            "route-database-changed route POST, PUT /items: uses the database reports, not default",
        ],
    ),
    (
        |new| {
            change_routes(new, &["GET"], |route| {
                route.hooks = [("limits".to_owned(), true), ("new".to_owned(), false)].into()
            })
        },
        &[
            "hook-moved-inside route GET /items: the hook limits stands inside the transaction now: it gets the handle",
            "hook-added route GET /items: the hook new is new, outside the transaction",
            "hook-removed route GET /items: the hook audit runs no more",
        ],
    ),
    (
        |new| change_routes(new, &["GET", "POST", "PUT"], |route| _ = route.hooks.insert("audit".to_owned(), false)),
        &["hook-moved-outside route GET, POST, PUT /items: the hook audit stands outside the transaction now: \
           its failure rolls nothing back"],
    ),
    (
        |new| new.hooks = [("guard".to_owned(), true)].into(),
        &[
            "hook-added [[hook]]: the hook guard is new, inside the transaction",
            "hook-removed [[hook]]: the hook audit runs no more",
        ],
    ),
    (
        |new| {
            items(new).digest = "bbbbbbbbbbbbbbbb".to_owned();
            items(new).exports = interfaces("carya:host/", &["read-controller", "write-controller"]);
        },
        &[
            "component-code-changed component items: is other code: bbbbbbbbbbbb, not aaaaaaaaaaaa",
            "component-gains-writer component items: exports write-controller now: as a controller it writes to the database",
        ],
    ),
    (
        |new| {
            let all = ["plain-controller", "on-route", "before", "after", "on-error", "model", "actions"];
            items(new).exports = interfaces("carya:host/", &all);
        },
        &[
            "component-gains-plain component items: exports plain-controller now: it answers without a transaction",
            "component-gains-on-route component items: exports on-route now: \
             as a hook it sees requests before routing, and may change their access",
            "component-gains-before component items: exports before now: as a hook it may answer in place of the controller",
            "component-gains-after component items: exports after now: as a hook it may change answers",
            "component-gains-on-error component items: exports on-error now: as a hook it may answer failures",
            "component-gains-model component items: exports model now: as the model it writes when it is served first",
            "component-gains-actions component items: exports actions now: it acts after transactions have ended",
            "component-loses-export component items: exports read-controller no more",
        ],
    ),
    (
        |new| {
            let all =
                ["wasi:http/outgoing-handler", "wasi:sockets/tcp", "wasi:filesystem/types", "wasi:clocks/wall-clock"];
            items(new).imports = interfaces("", &all);
        },
        &[
            "component-gains-import component items: imports wasi:clocks/wall-clock now",
            "component-gains-files component items: imports wasi:filesystem/types now: it asks for files",
            "component-gains-outbound-http component items: imports wasi:http/outgoing-handler now: it asks for outbound HTTP",
            "component-gains-sockets component items: imports wasi:sockets/tcp now: it asks for sockets",
            "component-loses-import component items: imports carya:host/log no more",
        ],
    ),
    (
        |new| {
            items(new).memory = 100 << 10;
            items(new).timeout = Duration::from_millis(200);
            items(new).settings = [("key".to_owned(), "a secret".to_owned())].into();
        },
        &[
            "component-settings-changed component items: has other settings: key",
            "component-memory-lowered component items: may use 100 KiB of memory, not 64 MiB",
            "component-timeout-lowered component items: may take 200ms for a call, not 5s",
        ],
    ),
    (
        |new| {
            items(new).memory = 128 << 20;
            items(new).timeout = Duration::from_secs(10);
        },
        &[
            "component-memory-raised component items: may use 128 MiB of memory, not 64 MiB",
            "component-timeout-raised component items: may take 10s for a call, not 5s",
        ],
    ),
    (
        // A renamed component counts as new. Imports that every guest has are not listed for it.
        |new| {
            new.components.remove("items");
            let other = component(&["read-controller", "write-controller"], &["carya:host/log", "wasi:sockets/tcp"]);
            new.components.insert("other".to_owned(), other);
        },
        &[
            "component-new component other: is new: aaaaaaaaaaaa",
            "component-gains-reader component other: exports read-controller now: as a controller it reads the database",
            "component-gains-writer component other: exports write-controller now: as a controller it writes to the database",
            "component-gains-sockets component other: imports wasi:sockets/tcp now: it asks for sockets",
            "component-lost component items: is gone",
        ],
    ),
    (
        |new| new.model = Some("items".to_owned()),
        &["model-changed [model]: items is initialized, not none: it writes when it is served"],
    ),
    (
        |new| {
            let reports = DatabaseOutline { shown: "sqlite://b".to_owned(), reached_by: vec!["b".to_owned()] };
            new.databases = [("reports".to_owned(), reports)].into();
        },
        &[
            "database-new [database.reports]: is new: sqlite://b",
            "database-lost [database]: is used no more: sqlite://a",
        ],
    ),
    (
        |new| new.databases.values_mut().for_each(|database| database.reached_by.push("a secret".to_owned())),
        &["database-changed [database]: is reached by other logins or replicas"],
    ),
    (
        |new| {
            let other = DatabaseOutline { shown: "sqlite://b".to_owned(), reached_by: vec!["b".to_owned()] };
            new.databases.insert("default".to_owned(), other);
        },
        &["database-changed [database]: is sqlite://b, not sqlite://a"],
    ),
    (
        |new| new.static_files = [("/".to_owned(), PathBuf::from("/etc"))].into(),
        &[
            "static-new [[static]] /: serves the folder /etc, which it did not",
            "static-lost [[static]] /static: is served no more",
        ],
    ),
    (|new| new.rules.clear(), &["deny-rule-lifted [reload] deny: component-gains-writer is forbidden no more"]),
];

fn changed(change: fn(&mut Outline)) -> (Outline, Vec<Difference>) {
    let mut new = served();
    change(&mut new);
    let found = between(&served(), &new);
    (new, found)
}

#[test]
fn every_difference_is_told() {
    let mut missing: BTreeSet<Kind> = Kind::ALL.into();
    for (change, lines) in TABLE {
        let (_, found) = changed(*change);
        let told: Vec<_> = found.iter().map(|found| format!("{} {found}", found.kind.as_str())).collect();
        assert_eq!(told, *lines);
        found.iter().for_each(|found| _ = missing.remove(&found.kind));
    }
    assert!(missing.is_empty(), "no row of the table has {missing:?}");
}

#[test]
fn words_and_kinds_are_pairs() {
    for kind in Kind::ALL {
        assert_eq!(Kind::of(kind.as_str()), Some(kind));
    }
    assert_eq!(Kind::of("component-gains"), None);
}

#[test]
fn nothing_differs_from_itself() {
    for (change, lines) in TABLE {
        let (new, _) = changed(*change);
        assert_eq!(between(&new, &new), [], "{lines:?}");
    }
}

#[test]
fn a_rule_refuses_and_cannot_be_lifted_along_with_what_it_forbids() {
    let gain = |new: &mut Outline| _ = items(new).exports.insert("carya:host/write-controller".to_owned());
    let refused =
        |old: &Outline, new: &Outline| refuse(&between(old, new), old, new).err().map(|error| error.to_string());

    let mut new = served();
    gain(&mut new);
    let words = refused(&served(), &new).unwrap_or_default();
    assert_eq!(
        words,
        "the new generation is refused, because `[reload] deny` forbids what it changes\n  \
         component-gains-writer: component items: exports write-controller now: as a controller it writes to the database\n\
         change it back; or take the rule away in a reload of its own, then reload with the change"
    );
    new.rules.clear();
    assert_eq!(refused(&served(), &new), Some(words), "the rule of what is served holds");

    let mut lifted = served();
    lifted.rules.clear();
    assert_eq!(refused(&served(), &lifted), None);
    assert_eq!(refused(&lifted, &new), None);
    new.rules.insert(Kind::ComponentGainsWriter);
    assert!(refused(&lifted, &new).is_some(), "the rule of what would be served holds too");
}
