//! The format of `carya.toml`: all sections with the types and defaults of their keys. `value.rs` and `quantity.rs`
//! read single values. This module does not check whether the files that are named exist.

mod database;
mod deploy;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Build, Component, Config, Hook, Login, Model, PageScan, Problems, Registry, Reload, Reuse, Route, Server, Smoke,
    StaticFiles, StatusSet, Transaction, conflict,
    context::Context,
    env::{self, Environment},
    problem::{Origin, suggest},
    quantity::{duration, memory, positive_duration, size},
    section::{Entry, Section},
    tree::{self, Value},
    value::{
        access, address, boolean, difference, integer, isolation, method, one_of, page_scan, path, pattern, prefix,
        setting, source, statuses, target, text,
    },
};

pub use self::deploy::{application, deploy_token, load_deployed, load_host};

const MIB: usize = 1 << 20;

/// Upper bound of `server.max_response_headers`. A `HeaderMap` holds 24,576 names, among them those of the host.
const MOST_HEADERS: i64 = 10_000;

/// Default priority of the transaction and of hooks.
const PRIORITY: i32 = 100;

/// Returns the configuration of an empty file, with the environment of this process.
pub fn defaults() -> Result<Config, Problems> {
    parse("", Path::new("carya.toml"), &environment())
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment() -> BTreeMap<String, String> {
    // Convert text that is not Unicode with replacement characters. If its variable were skipped, a setting would be
    // ignored silently.
    let text = |text: OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}

/// Reads a file, with the environment of this process.
///
/// # Errors
///
/// All [`Problems`] of the file and of the environment.
pub fn load(file: &Path) -> Result<Config, Problems> {
    let env = environment();
    deploy::read(Context::new(file, &env), &env, |root| config(root, None))
}

/// Reads the text of a file, with an environment. `file` is the name in messages and the base of relative paths; it
/// need not exist.
///
/// # Errors
///
/// All [`Problems`] of the text and of the environment.
pub fn parse(text: &str, file: &Path, env: &BTreeMap<String, String>) -> Result<Config, Problems> {
    read_with(text, Context::new(file, env), env, |root| config(root, None))
}

/// Parses a text, overrides its values by environment variables, and reads the result.
fn read_with<T>(
    text: &str,
    context: Context<'_>,
    variables: &Environment,
    read: impl FnOnce(&mut Section<'_>) -> T,
) -> Result<T, Problems> {
    let mut table = match tree::parse(text) {
        Ok(table) => table,
        Err((origin, message)) => {
            context.report(origin, "", message);
            return context.finish(None);
        }
    };
    for (origin, key, message) in env::apply(&mut table, variables) {
        context.report(origin, key, message);
    }
    let found = Entry::root(&context, table).table(read);
    context.finish(found)
}

/// Reads all sections. A database that `host` configures takes precedence over one of the same name in the file.
fn config(root: &mut Section<'_>, host: Option<&Config>) -> Config {
    let context = root.context();
    // First, because other sections refer to components by name.
    let components = root.fields("component");
    let names: Vec<String> =
        components.iter().filter(|(_, entry)| !added_by_variable(entry)).map(|(name, _)| name.clone()).collect();
    let named = one_of("component", &names);
    let own = root.optional("database", |section| database::all(section, host)).unwrap_or_default();
    let (database, databases) = database::with_those_of(host, own);
    let database_names: Vec<String> = databases.keys().cloned().collect();
    let dialect = database.as_ref().map(|database| database.dialect);
    let mut migrations = None;
    let mut config = Config {
        file: context.file.to_owned(),
        debug: root.take("debug", boolean).unwrap_or(false),
        server: root.section("server", server),
        database,
        databases,
        transaction: root.section("transaction", transaction),
        model: root.section("model", |section| {
            let component = section.take("component", &named);
            migrations = section.take("migrations", path(context.folder));
            Model { component }
        }),
        templates: root.optional("templates", |section| section.require("folder", path(context.folder))),
        static_files: root.each("static", static_files),
        components: components
            .into_iter()
            .filter_map(|(name, entry)| Some((name.clone(), component(&name, entry, &names)?)))
            .collect(),
        hooks: root.each("hook", |section| hook(section, &named)),
        routes: root.each("route", |section| route(section, &named, one_of("database", &database_names))),
        smoke: root.each("smoke", smoke),
        reload: root.section("reload", |section| Reload {
            deny: section.list("deny", difference).unwrap_or_default(),
            migrate: section.take("migrate", boolean).unwrap_or(true),
            init: section.take("init", boolean).unwrap_or(true),
            poll: section.take("poll", positive_duration),
        }),
        registries: root
            .fields("registry")
            .into_iter()
            .filter_map(|(host, entry)| Some((host, entry.table(registry)?)))
            .collect(),
        deploy: None,
        deployed: None,
    };
    config.deploy = root.optional("deploy", |section| deploy::deploy(section, &config.server, dialect));
    if let Some(database) = &mut config.database {
        database.migrations = migrations;
    }
    for (index, message) in conflict::conflicts(&config.routes) {
        let origin = Origin::Line(config.routes[index].line);
        context.report(origin, format!("route[{index}].path"), message);
    }
    for (index, message) in conflict::repeated(&config.static_files) {
        let origin = Origin::Line(config.static_files[index].line);
        context.report(origin, format!("static[{index}].path"), message);
    }
    config
}

fn server(section: &mut Section<'_>) -> Server {
    let context = section.context();
    Server {
        listen: section.take("listen", address).unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))),
        metrics: section.take("metrics", address),
        max_body: section.take("max_body", size).unwrap_or(MIB),
        max_response: section.take("max_response", size).unwrap_or(16 * MIB),
        max_response_headers: section.take("max_response_headers", integer(1..=MOST_HEADERS)).unwrap_or(100),
        max_response_head: section.take("max_response_head", size).unwrap_or(64 << 10),
        connections: section.take("connections", integer(1..=1_000_000)).unwrap_or(10_000),
        header_timeout: section.take("header_timeout", positive_duration).unwrap_or(Duration::from_secs(10)),
        idle_timeout: section.take("idle_timeout", positive_duration).unwrap_or(Duration::from_secs(75)),
        send_timeout: section.take("send_timeout", positive_duration).unwrap_or(Duration::from_secs(30)),
        max_unsent: section.take("max_unsent", size).unwrap_or(512 * MIB),
        request_timeout: section.take("request_timeout", positive_duration).unwrap_or(Duration::from_secs(30)),
        drain_timeout: section.take("drain_timeout", duration).unwrap_or(Duration::from_secs(10)),
        max_concurrent_requests: section.take("max_concurrent_requests", integer(1..=100_000)).unwrap_or(256),
        cache: section.take("cache", path(context.folder)).unwrap_or_else(|| cache(context)),
        page_scan: section.take("page_scan", page_scan).unwrap_or(PageScan::Auto),
    }
}

/// Returns the default cache folder by the XDG rules; beside the file for a user without a home.
fn cache(context: &Context<'_>) -> PathBuf {
    let folder = |name| {
        let path = context.env.get(name).map(Path::new);
        path.filter(|path| path.is_absolute())
    };
    match (folder("XDG_CACHE_HOME"), folder("HOME")) {
        (Some(cache), _) => cache.join("carya"),
        (None, Some(home)) => home.join(".cache/carya"),
        (None, None) => context.folder.join(".carya-cache"),
    }
}

fn transaction(section: &mut Section<'_>) -> Transaction {
    Transaction {
        priority: priority(section),
        commit_on: commit_on(section).unwrap_or_else(|| StatusSet::new(vec![200..=399])),
        rollback_on_redirect: section.take("rollback_on_redirect", boolean).unwrap_or(false),
        retries: retries(section).unwrap_or(2),
        isolation: section.take("isolation", isolation),
    }
}

fn retries(section: &mut Section<'_>) -> Option<u32> {
    section.take("retries", integer(0..=10))
}

fn priority(section: &mut Section<'_>) -> i32 {
    section.take("priority", integer(-10_000..=10_000)).unwrap_or(PRIORITY)
}

fn commit_on(section: &mut Section<'_>) -> Option<StatusSet> {
    section.list("commit_on", statuses).map(StatusSet::new)
}

fn static_files(section: &mut Section<'_>) -> StaticFiles {
    let folder = section.context().folder;
    let line = section.line();
    StaticFiles { path: section.require("path", prefix), folder: section.require("folder", path(folder)), line }
}

/// Returns whether a table is in the tree only because an environment variable sets a key in it.
fn added_by_variable(entry: &Entry<'_>) -> bool {
    entry.is_table() && matches!(entry.origin(), Origin::Variable(_))
}

/// Reports a name that TOML would require to be quoted.
fn check_name(name: &str, entry: &Entry<'_>) {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(plain) {
        entry.report("is not a name; it may have letters, digits, `-` and `_`");
    }
}

fn component(name: &str, entry: Entry<'_>, names: &[String]) -> Option<Component> {
    if added_by_variable(&entry) {
        let end = suggest(name, names.iter().map(String::as_str));
        entry.report(format!("is not a component of the file; {end}"));
        return None;
    }
    check_name(name, &entry);
    entry.table(|section| {
        let (path, image) = section.require("path", source(section.context().folder));
        let defaults = Component::of(path);
        Component {
            image,
            build: build(section),
            settings: section
                .fields("settings")
                .into_iter()
                .filter_map(|(name, entry)| Some((name, entry.read(setting)?)))
                .collect(),
            memory: section.take("memory", memory).unwrap_or(defaults.memory),
            timeout: section.take("timeout", positive_duration).unwrap_or(defaults.timeout),
            reuse: section.entry("reuse").and_then(|entry| entry.table(reuse)),
            ..defaults
        }
    })
}

fn reuse(section: &mut Section<'_>) -> Reuse {
    Reuse { max_requests: section.require("max_requests", integer(2..=1_000_000_000)) }
}

fn registry(section: &mut Section<'_>) -> Registry {
    let folder = section.context().folder;
    let (username, password) = (section.entry("username"), section.entry("password"));
    let login = match (username, password) {
        (None, None) => None,
        (username, password) => {
            let username = username.or_else(|| section.needed("username"));
            let password = password.or_else(|| section.needed("password"));
            let username = username.and_then(|entry| entry.read(text));
            username.zip(password.and_then(|entry| entry.read_secret(text)))
        }
    };
    Registry {
        login: login.map(|(username, password)| Login { username, password }),
        ca: section.take("ca", path(folder)),
        max_size: section.take("max_size", size).unwrap_or(Registry::default().max_size),
    }
}

/// Reads `build` and `source`, which require each other.
fn build(section: &mut Section<'_>) -> Option<Build> {
    let folder = section.context().folder;
    let (command, source) = match (section.entry("build"), section.entry("source")) {
        (None, None) => return None,
        (Some(command), None) => (command, section.needed("source")?),
        (None, Some(source)) => (section.needed("build")?, source),
        (Some(command), Some(source)) => (command, source),
    };
    let (command, source) = (command.read(text), source.read(path(folder)));
    Some(Build { command: command?, source: source? })
}

fn hook(section: &mut Section<'_>, named: impl Fn(&Value) -> Result<String, String>) -> Hook {
    Hook { component: section.require("component", named), priority: priority(section) }
}

fn route(
    section: &mut Section<'_>,
    named: impl Fn(&Value) -> Result<String, String>,
    database: impl Fn(&Value) -> Result<String, String>,
) -> Route {
    Route {
        path: section.require("path", pattern),
        methods: section.list("methods", method).unwrap_or_default(),
        component: section.require("component", &named),
        transaction: section.take("transaction", access),
        database: section.take("database", database),
        isolation: section.take("isolation", isolation),
        primary: section.take("primary", boolean).unwrap_or(false),
        retries: retries(section),
        commit_on: commit_on(section),
        rollback_on_redirect: section.take("rollback_on_redirect", boolean),
        hooks: section.items("hooks").into_iter().filter_map(|entry| route_hook(entry, &named)).collect(),
        line: section.line(),
    }
}

fn smoke(section: &mut Section<'_>) -> Smoke {
    let successes = || StatusSet::new(vec![200..=399]);
    Smoke {
        method: section.take("method", method).unwrap_or_else(|| "GET".to_owned()),
        path: section.require("path", target),
        body: section.take("body", text).unwrap_or_default(),
        status: section.list("status", statuses).map_or_else(successes, StatusSet::new),
        line: section.line(),
    }
}

/// Reads a hook of a route: `"audit"`, or `{ component = "audit", priority = 50 }`.
fn route_hook(entry: Entry<'_>, named: impl Fn(&Value) -> Result<String, String>) -> Option<Hook> {
    if entry.is_table() {
        return entry.table(|section| hook(section, named));
    }
    Some(Hook { component: entry.read(named)?, priority: PRIORITY })
}
