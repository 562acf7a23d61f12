//! `[[route]]`, `[[hook]]`, `[[static]]` and `[[smoke]]`.

use std::{borrow::Borrow, path::PathBuf};

use serde_json::json;

use super::{
    compression::{Encoding, encoding},
    entry::Entry,
    pattern::{pattern, prefix, target},
    section::{Key, Section, TableKey},
    server::max_concurrent,
    transaction::{
        Access, DEFAULT_PRIORITY, Isolation, SUCCESS, StatusSet, access, isolation, priority, retries, status_set,
    },
    types::Type,
    value::{boolean, method, one_of, path, read_text, string_like, text},
};

/// `[[hook]]`, or an entry of a route's `hooks`.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// The component's name.
    pub component: String,
    /// Hooks run in ascending order of priority. The default is 100.
    pub priority: i32,
}

/// `[[route]]`: a path with the controller and hooks that serve it.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// A path pattern in the syntax of `matchit`: `/items/{id}`, `/files/{*path}`.
    pub path: String,
    /// The methods, in upper case. An empty list means all methods that the component can serve.
    pub methods: Vec<String>,
    /// The component's name.
    pub component: String,
    /// The access mode for all methods. `None`: the method decides.
    pub transaction: Option<Access>,
    /// The name of the database. `None`: the default database.
    pub database: Option<String>,
    /// Overrides `isolation` of `[transaction]`.
    pub isolation: Option<Isolation>,
    /// Maximum number of its requests that run at the same time. `None`: the limit of its component.
    pub max_concurrent: Option<usize>,
    /// Whether it reads from the primary only.
    pub primary: bool,
    /// Overrides `retries` of `[transaction]`.
    pub retries: Option<u32>,
    /// Overrides `commit_on` of `[transaction]`.
    pub commit_on: Option<StatusSet>,
    /// Overrides `rollback_on_redirect` of `[transaction]`.
    pub rollback_on_redirect: Option<bool>,
    /// The hooks of this route.
    pub hooks: Vec<Hook>,
    /// The line of the section in the file, for messages.
    pub line: usize,
}

/// `[[static]]`: a folder that is served without a guest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StaticFiles {
    /// The path prefix: `/`, or a path like `/static` without a slash at its end.
    pub path: String,
    /// The folder that is served.
    pub folder: PathBuf,
    /// The file in the folder that answers for paths without a file, unless a route does.
    pub fallback: Option<String>,
    /// Codings of files that lie compressed beside the file.
    pub precompressed: Vec<Encoding>,
    /// Whether files and folders with names that begin with a dot are served.
    pub dotfiles: bool,
    /// The line of the section in the file.
    pub line: usize,
}

/// `[[smoke]]`: a test request that a new generation must answer before it is served. Its writes are rolled back, and
/// its actions do not run.
#[derive(Debug, Clone, PartialEq)]
pub struct Smoke {
    /// The method, in upper case.
    pub method: String,
    /// The path, with its query if there is one.
    pub path: String,
    /// The body.
    pub body: String,
    /// The expected statuses.
    pub status: StatusSet,
    /// The line of the section in the file, for messages.
    pub line: usize,
}

pub(super) const ROUTE: TableKey = TableKey { name: "route", doc: "paths with their controllers and hooks" };

/// Remedy if there is no default database.
pub(super) const ADD_DATABASE: &str = "add [database] with its `url`";

/// Reads a route. `components` and `databases` are the names that the file defines, and `has_default` is whether there is
/// a default database. `most` is the limit of the host for `max_concurrent`.
pub(super) fn route(
    section: &mut Section<'_>,
    components: &[String],
    databases: &[String],
    has_default: bool,
    most: usize,
) -> Route {
    const OVERRIDES: &str = "for this route; overrides `[transaction]`";
    const OF_TRANSACTION: &str = "`[transaction]`";
    let route = Route {
        path: section.key("path", pattern(), "`/items/{id}`, `/files/{*path}`").required().unwrap_or_default(),
        methods: section
            .key(
                "methods",
                Type::list(method()),
                "HEAD comes with GET. The host answers OPTIONS unless a route has it.",
            )
            .or_none("the methods that the component can serve, of GET, POST, PUT, PATCH, DELETE")
            .unwrap_or_default(),
        component: section
            .key("component", one_of("component", components), "the controller")
            .required()
            .unwrap_or_default(),
        transaction: section
            .key("transaction", access(), "access to the database, for all methods of the route")
            .or_none("by method"),
        database: section
            .key("database", one_of("database", databases), "the database of the route's transactions")
            .or_none("the default one"),
        max_concurrent: max_concurrent(section, most, "the limit of the component"),
        isolation: section.key("isolation", isolation(), OVERRIDES).or_none(OF_TRANSACTION),
        primary: section.key("primary", boolean(), "never read from a replica").or(false),
        retries: section.key("retries", retries(), OVERRIDES).or_none(OF_TRANSACTION),
        commit_on: section.key("commit_on", status_set(), OVERRIDES).or_none(OF_TRANSACTION),
        rollback_on_redirect: section.key("rollback_on_redirect", boolean(), OVERRIDES).or_none(OF_TRANSACTION),
        hooks: section
            .key(
                "hooks",
                Type::list(route_hook(components)),
                "`[\"audit\", { component = \"limits\", priority = 20 }]`",
            )
            .or_empty(),
        line: section.line(),
    };
    let access = route.transaction.filter(|access| *access != Access::None && !section.context().describes);
    if let Some(access) = access.filter(|_| !has_default && !section.is_set("database")) {
        let message = format!("{:?} requires a database; {}", access.as_str(), database_remedy(databases));
        section.report_at("transaction", message);
    }
    route
}

/// Returns the remedy for a route without a database. `databases` are the databases with names.
pub(super) fn database_remedy<S: Borrow<str>>(databases: &[S]) -> String {
    match databases.is_empty() {
        true => ADD_DATABASE.to_owned(),
        false => format!("{ADD_DATABASE}, or set `database` of the route to one of: {}", databases.join(", ")),
    }
}

pub(super) const HOOK: TableKey = TableKey { name: "hook", doc: "hooks of every request" };

/// Reads a hook. `components` are the names that the file defines.
pub(super) fn hook(section: &mut Section<'_>, components: &[String]) -> Hook {
    Hook {
        component: section
            .key("component", one_of("component", components), "a hook of every request")
            .required()
            .unwrap_or_default(),
        priority: section
            .key("priority", priority(), "see [Hooks and priorities](../explanation/hooks.md)")
            .or(DEFAULT_PRIORITY),
    }
}

/// Type of a hook of a route: `"audit"`, or `{ component = "audit", priority = 50 }`.
fn route_hook(components: &[String]) -> Type<'_, Hook> {
    let name = one_of("component", components);
    let table = json!({ "$ref": "#/properties/hook/items" });
    let schema = json!({ "anyOf": [name.schema.clone(), table] });
    Type::of_entry("hook", schema, move |entry: &Entry<'_>| {
        if entry.is_table() {
            return Section::of(entry.clone(), |section| hook(section, components));
        }
        Some(Hook { component: name.read(entry)?, priority: DEFAULT_PRIORITY })
    })
}

pub(super) const STATIC: TableKey = TableKey { name: "static", doc: "folders that are served without a guest" };

pub(super) fn static_files(section: &mut Section<'_>) -> StaticFiles {
    StaticFiles {
        path: section.key("path", prefix(), "`\"/\"`, or such as `\"/static\"`").required().unwrap_or_default(),
        folder: static_folder(section).required().unwrap_or_default(),
        fallback: section
            .key(
                "fallback",
                page(),
                "file for GET requests without a file and a route, such as `\"index.html\"` of a single-page application; \
                 see [HTTP](http.md#single-page-applications)",
            )
            .or_none("404"),
        precompressed: section
            .key(
                "precompressed",
                Type::list(encoding()),
                "codings of compressed files beside the file: `a.css.br`, `a.css.zst`, `a.css.gz`",
            )
            .or_empty(),
        dotfiles: section
            .key(
                "dotfiles",
                boolean(),
                "serve names that begin with a dot; `.well-known` in the folder is always served",
            )
            .or(false),
        line: section.line(),
    }
}

/// The key of a folder of static files.
pub(super) fn static_folder<'s, 'a>(section: &'s mut Section<'a>) -> Key<'s, 'a, 'a, PathBuf> {
    let folder = section.context().folder;
    section.key("folder", path(folder), "files served under the prefix, outside of hooks and transactions")
}

/// Type of the path of a file in a folder of static files.
fn page() -> Type<'static, String> {
    Type::new("path in the folder", string_like("^[^/.][^/]*(/[^/.][^/]*)*$"), |value| {
        let page = read_text(value)?;
        let is_name = |name: &str| !name.is_empty() && !name.starts_with('.');
        let refusal = "is not the path of a file in the folder, with names that do not begin with a dot; write it as \
                       \"index.html\"";
        if page.split('/').all(is_name) { Ok(page) } else { Err(refusal.to_owned()) }
    })
}

pub(super) const SMOKE: TableKey =
    TableKey { name: "smoke", doc: "requests that a new generation must answer before it serves" };

pub(super) fn smoke(section: &mut Section<'_>) -> Smoke {
    Smoke {
        method: section.key("method", method(), "the method of the request").or("GET"),
        path: section
            .key("path", target(), "a request that a new generation must answer before a reload serves it")
            .required()
            .unwrap_or_default(),
        body: section.key("body", text(), "the body of the request").or_none("empty").unwrap_or_default(),
        status: section.key("status", status_set(), "the expected status").or(SUCCESS),
        line: section.line(),
    }
}
