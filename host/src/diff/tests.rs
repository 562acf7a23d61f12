//! Tests of every kind of difference, between outlines written by hand.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use super::{
    Difference, Outline, between,
    outline::{ComponentOutline, DatabaseOutline, HttpOutline, RouteOutline},
    refuse,
};
use crate::config::{Access, Destination, DifferenceKind as Kind};

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
        http: HttpOutline { timeout: Duration::from_secs(3), max_response: 16 << 20, ..HttpOutline::default() },
        ..ComponentOutline::default()
    }
}

fn destinations(list: &[&str]) -> Vec<Destination> {
    list.iter().filter_map(|text| text.parse().ok()).collect()
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
            "route-lost route POST, PUT /items: was removed: items served it",
            "route-new route GET /reports: is new: served by items, none, database default",
        ],
    ),
    (
        |new| change_routes(new, &["GET", "POST", "PUT"], |route| route.access = Access::ReadWrite),
        &["route-gains-access route GET /items: has access read-write, was read-only"],
    ),
    (
        |new| change_routes(new, &["GET", "POST"], |route| route.access = Access::None),
        &[
            "route-loses-access route GET /items: has access none, was read-only",
            "route-loses-access route POST /items: has access none, was read-write",
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
            "route-component-changed route POST, PUT /items: is served by audit, was items",
            "route-database-changed route POST, PUT /items: uses the database reports, was default",
        ],
    ),
    (
        |new| {
            change_routes(new, &["GET"], |route| {
                route.hooks = [("limits".to_owned(), true), ("new".to_owned(), false)].into()
            })
        },
        &[
            "hook-moved-inside route GET /items: the hook limits is now inside the transaction: it receives the database handle",
            "hook-added route GET /items: the hook new is new, outside the transaction",
            "hook-removed route GET /items: the hook audit was removed",
        ],
    ),
    (
        |new| change_routes(new, &["GET", "POST", "PUT"], |route| _ = route.hooks.insert("audit".to_owned(), false)),
        &["hook-moved-outside route GET, POST, PUT /items: the hook audit is now outside the transaction: \
           its failure does not roll back"],
    ),
    (
        |new| new.hooks = [("guard".to_owned(), true)].into(),
        &[
            "hook-added [[hook]]: the hook guard is new, inside the transaction",
            "hook-removed [[hook]]: the hook audit was removed",
        ],
    ),
    (
        |new| {
            items(new).digest = "bbbbbbbbbbbbbbbb".to_owned();
            items(new).exports = interfaces("carya:host/", &["read-controller", "write-controller"]);
        },
        &[
            "component-code-changed component items: has different code: bbbbbbbbbbbb, was aaaaaaaaaaaa",
            "component-gains-writer component items: now exports write-controller: it may write to the database as a controller",
        ],
    ),
    (
        |new| {
            let all = ["plain-controller", "on-route", "before", "after", "on-error", "model", "actions"];
            items(new).exports = interfaces("carya:host/", &all);
        },
        &[
            "component-gains-plain component items: now exports plain-controller: it may respond without a transaction as a controller",
            "component-gains-on-route component items: now exports on-route: \
             it may respond before routing and change the access mode as a hook",
            "component-gains-before component items: now exports before: it may respond in place of the controller as a hook",
            "component-gains-after component items: now exports after: it may change responses as a hook",
            "component-gains-on-error component items: now exports on-error: it may respond to failed requests as a hook",
            "component-gains-model component items: now exports model: it may write to the database before a generation serves",
            "component-gains-actions component items: now exports actions: it may write to the database in actions, after the transaction of a request has ended",
            "component-loses-export component items: no longer exports read-controller",
        ],
    ),
    (
        |new| {
            let all = [
                "carya:host/identity-setter",
                "wasi:http/outgoing-handler",
                "wasi:sockets/tcp",
                "wasi:filesystem/types",
                "wasi:clocks/wall-clock",
            ];
            items(new).imports = interfaces("", &all);
            items(new).http.destinations = destinations(&["https://a.org"]);
        },
        &[
            "component-gains-identity-setter component items: now imports carya:host/identity-setter: it requests control of the client's identity",
            "component-gains-import component items: now imports wasi:clocks/wall-clock",
            "component-gains-files component items: now imports wasi:filesystem/types: it requests files",
            "component-gains-outbound-http component items: now imports wasi:http/outgoing-handler: it may send HTTP requests",
            "component-gains-sockets component items: now imports wasi:sockets/tcp: it requests sockets",
            "component-loses-import component items: no longer imports carya:host/log",
            "component-http-widened component items: may now send HTTP requests to https://a.org",
        ],
    ),
    (
        // Without destinations, the import permits nothing.
        |new| {
            items(new).imports.insert("wasi:http/outgoing-handler".to_owned());
        },
        &["component-gains-import component items: now imports wasi:http/outgoing-handler"],
    ),
    (
        |new| {
            items(new).http.timeout = Duration::from_secs(10);
            items(new).http.max_response = 1 << 10;
        },
        &[
            "component-http-widened component items: has an http_timeout of 10s, was 3s",
            "component-http-narrowed component items: has an http_max_response of 1 KiB, was 16 MiB",
        ],
    ),
    (
        |new| {
            items(new).memory = 100 << 10;
            items(new).timeout = Duration::from_millis(200);
            items(new).settings = [("key".to_owned(), "a secret".to_owned())].into();
        },
        &[
            "component-settings-changed component items: has different settings: key",
            "component-memory-lowered component items: has a memory limit of 100 KiB, was 64 MiB",
            "component-timeout-lowered component items: has a timeout of 200ms, was 5s",
        ],
    ),
    (
        |new| {
            items(new).memory = 128 << 20;
            items(new).timeout = Duration::from_secs(10);
        },
        &[
            "component-memory-raised component items: has a memory limit of 128 MiB, was 64 MiB",
            "component-timeout-raised component items: has a timeout of 10s, was 5s",
        ],
    ),
    (
        // A renamed component counts as new. Of its imports, only those that give a capability are listed.
        |new| {
            new.components.remove("items");
            let other = component(&["read-controller", "write-controller"], &["carya:host/log", "wasi:sockets/tcp"]);
            new.components.insert("other".to_owned(), other);
        },
        &[
            "component-new component other: is new: aaaaaaaaaaaa",
            "component-gains-reader component other: now exports read-controller: it may read the database as a controller",
            "component-gains-writer component other: now exports write-controller: it may write to the database as a controller",
            "component-gains-sockets component other: now imports wasi:sockets/tcp: it requests sockets",
            "component-lost component items: was removed",
        ],
    ),
    (
        |new| new.model = Some("items".to_owned()),
        &[
            "model-changed [model]: the model is items, was none: it may write to the database before a generation serves",
        ],
    ),
    (
        |new| {
            let reports = DatabaseOutline { shown: "sqlite://b".to_owned(), reached_by: vec!["b".to_owned()] };
            new.databases = [("reports".to_owned(), reports)].into();
        },
        &[
            "database-new [database.reports]: is new: sqlite://b",
            "database-lost [database]: is no longer used: sqlite://a",
        ],
    ),
    (
        |new| new.databases.values_mut().for_each(|database| database.reached_by.push("a secret".to_owned())),
        &["database-changed [database]: has different logins or replicas"],
    ),
    (
        |new| {
            let other = DatabaseOutline { shown: "sqlite://b".to_owned(), reached_by: vec!["b".to_owned()] };
            new.databases.insert("default".to_owned(), other);
        },
        &["database-changed [database]: is sqlite://b, was sqlite://a"],
    ),
    (
        |new| new.static_files = [("/".to_owned(), PathBuf::from("/etc"))].into(),
        &["static-new [[static]] /: now serves the folder /etc", "static-lost [[static]] /static: is no longer served"],
    ),
    (|new| new.rules.clear(), &["deny-rule-lifted [reload] deny: no longer forbids component-gains-writer"]),
];

fn changed(change: fn(&mut Outline)) -> (Outline, Vec<Difference>) {
    let mut new = served();
    change(&mut new);
    let found = between(&served(), &new);
    (new, found)
}

#[test]
fn reports_every_kind_of_difference() {
    let mut missing: BTreeSet<Kind> = Kind::ALL.into();
    for (change, lines) in TABLE {
        let (_, found) = changed(*change);
        let lines_found: Vec<_> = found.iter().map(|found| format!("{} {found}", found.kind.as_str())).collect();
        assert_eq!(lines_found, *lines);
        found.iter().for_each(|found| _ = missing.remove(&found.kind));
    }
    assert!(missing.is_empty(), "no row of the table has {missing:?}");
}

#[test]
fn only_destinations_that_no_entry_covers_are_differences() {
    let outline = |list: &[&str]| {
        let mut outline = served();
        items(&mut outline).http.destinations = destinations(list);
        outline
    };
    for (before, now, expected) in [
        (&["https://*.a.org"][..], &["https://x.a.org/y/"][..], &["narrowed https://*.a.org"][..]),
        (&["https://a.org"], &["https://a.org", "https://a.org/x"], &[]),
        (&["https://a.org/x/"], &["https://b.org", "https://a.org"], &["widened https://b.org, https://a.org"]),
        (&["https://a.org"], &["https://b.org"], &["widened https://b.org", "narrowed https://a.org"]),
    ] {
        let found = between(&outline(before), &outline(now));
        let line = |found: &Difference| {
            let (kind, words) = (found.kind.as_str(), found.to_string());
            let list = words.split_once("requests to ").map(|(_, list)| list.to_owned()).unwrap_or_default();
            format!("{} {list}", kind.trim_start_matches("component-http-"))
        };
        assert_eq!(found.iter().map(line).collect::<Vec<_>>(), expected, "{before:?} {now:?}");
    }
}

#[test]
fn every_kind_has_a_name_of_its_own() {
    for kind in Kind::ALL {
        assert_eq!(Kind::of(kind.as_str()), Some(kind));
    }
    assert_eq!(Kind::of("component-gains"), None);
}

#[test]
fn an_outline_does_not_differ_from_itself() {
    for (change, lines) in TABLE {
        let (new, _) = changed(*change);
        assert_eq!(between(&new, &new), [], "{lines:?}");
    }
}

#[test]
fn the_rules_of_both_outlines_apply() {
    let gain = |new: &mut Outline| _ = items(new).exports.insert("carya:host/write-controller".to_owned());
    let refused =
        |old: &Outline, new: &Outline| refuse(&between(old, new), old, new).err().map(|error| error.to_string());

    let mut new = served();
    gain(&mut new);
    let words = refused(&served(), &new).unwrap_or_default();
    assert_eq!(
        words,
        "`[reload] deny` forbids differences of the new generation:\n  \
         component-gains-writer: component items: now exports write-controller: it may write to the database as a controller\n\
         undo these changes, or first remove the rule in a separate reload"
    );
    new.rules.clear();
    assert_eq!(refused(&served(), &new), Some(words), "the rule of the served generation applies");

    let mut lifted = served();
    lifted.rules.clear();
    assert_eq!(refused(&served(), &lifted), None);
    assert_eq!(refused(&lifted, &new), None);
    new.rules.insert(Kind::ComponentGainsWriter);
    assert!(refused(&lifted, &new).is_some(), "the rule of the new generation applies too");
}
