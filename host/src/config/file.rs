//! `Config`: all of `carya.toml`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    component::{COMPONENT, ComponentConfig, component},
    conflict,
    context::Context,
    database::{DATABASE, DatabaseConfig, Databases, MAIN, databases},
    deploy::{DEPLOY, Deploy, Deployed, deploy},
    difference::DifferenceKind,
    env::Environment,
    filter,
    headers::{CORS, Cors, HEADERS, Headers, cors, headers},
    log::{LOG, log},
    outbound::{OUTBOUND, Outbound, outbound},
    places::Places,
    problem::{Origin, Place, Problem},
    quantity::positive_duration,
    rate_limit::{self, RATE_LIMIT, RateLimit, rate_limit},
    record::Record,
    registry::{REGISTRY, Registry, registry},
    route::{
        ADD_DATABASE, HOOK, Hook, ROUTE, Route, SMOKE, STATIC, Smoke, StaticFiles, database_remedy, hook, route, smoke,
        static_files,
    },
    section::{Key, Section, TableKey},
    server::{SERVER, Server, server},
    test::{TEST, Test, test},
    transaction::{TRANSACTION, Transaction, transaction},
    tree::Table,
    types::Type,
    value::{boolean, one_of, path, word},
};
use crate::telemetry::Limits;

/// All of `carya.toml`, with the values that environment variables override. Paths are absolute or relative to the
/// working directory; those in the file are relative to the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file that was read.
    pub file: PathBuf,
    /// Whether to send lifecycle events to clients (`Server-Timing`) and to the log.
    pub debug: bool,
    /// The filter of the log, of `CARYA_LOG`. By default `info`, and with `debug` the events of every request.
    pub log_filter: String,
    /// `[server]`
    pub server: Server,
    /// `[log]`
    pub log: Limits,
    /// `[database]`, the default database. Without it, the handles of routes that name no other database return an
    /// error for every statement.
    pub database: Option<DatabaseConfig>,
    /// `[database.NAME]`: further databases, for the routes that name them.
    pub databases: BTreeMap<String, DatabaseConfig>,
    /// `[transaction]`
    pub transaction: Transaction,
    /// `[model]`
    pub model: Model,
    /// `[templates] folder`
    pub templates: Option<PathBuf>,
    /// `[[static]]`
    pub static_files: Vec<StaticFiles>,
    /// `[component.NAME]`
    pub components: BTreeMap<String, ComponentConfig>,
    /// `[[hook]]`: the global hooks, in order of registration.
    pub hooks: Vec<Hook>,
    /// `[[route]]`
    pub routes: Vec<Route>,
    /// `[[smoke]]`
    pub smoke: Vec<Smoke>,
    /// `[[rate_limit]]`
    pub rate_limits: Vec<RateLimit>,
    /// `[[headers]]`
    pub headers: Vec<Headers>,
    /// `[[cors]]`
    pub cors: Vec<Cors>,
    /// `[reload]`
    pub reload: Reload,
    /// `[outbound]`
    pub outbound: Outbound,
    /// `[registry."HOST"]`
    pub registries: BTreeMap<String, Registry>,
    /// `[deploy]`
    pub deploy: Option<Deploy>,
    /// `[test]`
    pub test: Test,
    /// The deployed generation that the file belongs to. `None` if it was not deployed.
    pub deployed: Option<Deployed>,
    /// The places of all keys that are set.
    pub(super) places: Places,
}

impl Config {
    /// Returns the folder that relative paths start at.
    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// Returns the place of a key, for a message about its value: `component.items.path`.
    pub fn place(&self, key: &str) -> Place {
        self.places.find(&self.file, key)
    }

    /// Returns the problem of a route that has no database although `methods` begin a transaction.
    pub fn missing_database(&self, route: usize, methods: &str) -> Option<Problem> {
        if self.database.is_some() || self.routes[route].database.is_some() {
            return None;
        }
        let names: Vec<_> = self.databases.keys().map(String::as_str).collect();
        let message = format!(
            "is not set, and there is no default database, so every statement of {methods} fails; {}. A route without \
             statements needs transaction = \"none\" and a component that exports plain-controller",
            database_remedy(&names)
        );
        Some(self.place(&format!("route[{route}].database")).problem(message))
    }

    /// Returns all databases with their names, the default one first.
    pub fn all_databases(&self) -> impl Iterator<Item = (&str, &DatabaseConfig)> {
        let named = self.databases.iter().map(|(name, database)| (name.as_str(), database));
        self.database.iter().map(|database| (MAIN, database)).chain(named)
    }
}

/// `[model]`: the component that initializes the default database.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    /// Name of the component that exports `model`.
    pub component: Option<String>,
}

/// `[reload]`: rules for the replacement of the served generation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reload {
    /// The kinds of difference from the served generation that a reload must not have.
    pub deny: Vec<DifferenceKind>,
    /// Whether a reload runs pending migrations. If not, it fails while migrations are pending.
    pub migrate: bool,
    /// Whether a reload runs the model's `init`. If not, only a start does.
    pub init: bool,
    /// How often to query registries for tags that have moved. `None`: never.
    pub poll: Option<Duration>,
}

/// Key of the destinations that a host permits.
const ALLOW: &str = "outbound.allow";

/// Paths of the health of the process.
pub const HEALTH: [&str; 2] = ["/livez", "/readyz"];

/// Key outside of the sections.
pub(super) const DEBUG: &str = "debug";

pub(super) const MODEL: TableKey = TableKey { name: "model", doc: "initialization of the default database" };

pub(super) const TEMPLATES: TableKey = TableKey { name: "templates", doc: "templates that the host renders" };

pub(super) const RELOAD: TableKey = TableKey { name: "reload", doc: "rules for reloads" };

/// Reads all sections. A database that `host` configures takes precedence over one of the same name in the file.
pub(super) fn file(root: &mut Section<'_>, host: Option<&Config>) -> Config {
    let context = root.context();
    // First, because other sections refer to components by name.
    let components = root.fields(COMPONENT, "NAME");
    let names: Vec<String> =
        components.iter().filter(|(_, entry)| !entry.is_added_by_variable()).map(|(name, _)| name.clone()).collect();
    // A deployed application has the limits of its host.
    let (outbound, allowed_at) = match host {
        Some(host) => (host.outbound.clone(), host.place(ALLOW)),
        None => {
            let read = root.section(OUTBOUND, outbound);
            let place = context.all_records(|records| Places::of(context.file, records).find(context.file, ALLOW));
            (read, place)
        }
    };
    let server = root.section(SERVER, server);
    let most = host.map_or(&server, |host| &host.server).most_concurrent();
    let of_host = |name: &str| host.and_then(|host| host.all_databases().find(|(other, _)| *other == name));
    let own = root.optional(DATABASE, |section| {
        databases(section, host.is_some(), |name| of_host(name).map(|(_, database)| database))
    });
    let (database, databases) = with_host_databases(host, own.unwrap_or_default());
    let database_names: Vec<String> = databases.keys().cloned().collect();
    let dialect = database.as_ref().map(|database| database.dialect);
    let mut migrations = None;
    let debug = root
        .key(
            DEBUG,
            boolean(),
            "add `server-timing` with all lifecycle events and `x-carya-generation` to each response, and log \
                 every request's events",
        )
        .or(false);
    let filter = filter::filter(context);
    let mut config = Config {
        file: context.file.to_owned(),
        debug,
        log_filter: filter.clone().unwrap_or_else(|| filter::default_filter(debug)),
        server,
        log: root.section(LOG, log),
        database,
        databases,
        transaction: root.section(TRANSACTION, transaction),
        model: root.section(MODEL, |section| {
            let component = model_component(section, &names);
            migrations = model_migrations(section).or_none("none");
            if dialect.is_none() {
                let unusable = ["component", "migrations"].into_iter().filter(|key| section.is_set(key));
                unusable.for_each(|key| section.report_at(key, format!("requires a database; {ADD_DATABASE}")));
            }
            Model { component }
        }),
        templates: root.optional(TEMPLATES, |section| templates_folder(section).required().unwrap_or_default()),
        static_files: root.each(STATIC, static_files),
        components: components
            .into_iter()
            .filter_map(|(name, entry)| {
                Some((name.clone(), component(&name, entry, &names, (&outbound.allow, &allowed_at), most)?))
            })
            .collect(),
        hooks: root.each(HOOK, |section| hook(section, &names)),
        routes: root.each(ROUTE, |section| route(section, &names, &database_names, dialect.is_some(), most)),
        smoke: root.each(SMOKE, smoke),
        rate_limits: root.each(RATE_LIMIT, rate_limit),
        headers: root.each(HEADERS, headers),
        cors: root.each(CORS, cors),
        reload: root.section(RELOAD, reload),
        outbound,
        registries: root
            .fields(REGISTRY, "HOST")
            .into_iter()
            .filter_map(|(host, entry)| Some((host, Section::of(entry, registry)?)))
            .collect(),
        deploy: None,
        test: root.section(TEST, |section| test(section, filter.as_deref())),
        deployed: None,
        places: Places::default(),
    };
    config.deploy = root.optional(DEPLOY, |section| deploy(section, &config.server, dialect));
    if let Some(database) = &mut config.database {
        database.migrations = migrations;
    }
    for (index, message) in conflict::conflicts(&config.routes) {
        let origin = Origin::Line(config.routes[index].line);
        context.report(origin, format!("route[{index}].path"), message);
    }
    if config.server.public_health {
        for (index, route) in config.routes.iter().enumerate().filter(|(_, route)| HEALTH.contains(&&*route.path)) {
            let message = format!(
                "{} is answered by the host, because server.public_health is true; use another path, or set \
                 server.public_health to false",
                route.path
            );
            context.report(Origin::Line(route.line), format!("route[{index}].path"), message);
        }
    }
    for (index, message) in conflict::repeated(&config.static_files) {
        let origin = Origin::Line(config.static_files[index].line);
        context.report(origin, format!("static[{index}].path"), message);
    }
    for (index, message) in rate_limit::repeated(&config.rate_limits) {
        let origin = Origin::Line(config.rate_limits[index].line);
        context.report(origin, format!("rate_limit[{index}].name"), message);
    }
    config.places = context.all_records(|records| Places::of(context.file, records));
    config
}

/// Adds the databases of the host, which precede those of a deployed application. Their migrations are those of the
/// application.
fn with_host_databases(host: Option<&Config>, (default, mut named): Databases) -> Databases {
    let Some(host) = host else { return (default, named) };
    for (name, database) in &host.databases {
        named.entry(name.clone()).or_insert_with(|| DatabaseConfig { migrations: None, ..database.clone() });
    }
    (host.database.clone().or(default), named)
}

fn model_component(section: &mut Section<'_>, components: &[String]) -> Option<String> {
    let doc = "its `init` runs at each start and, unless `[reload] init = false`, at each reload, after the \
               migrations, in a transaction of its own";
    section.key("component", one_of("component", components), doc).or_none("none")
}

/// The key of the migrations of the default database.
pub(super) fn model_migrations<'s, 'a>(section: &'s mut Section<'a>) -> Key<'s, 'a, 'a, PathBuf> {
    let folder = section.context().folder;
    section.key("migrations", path(folder), "folder of `0001_name.sql` files for the default database")
}

/// The key of the folder of templates.
pub(super) fn templates_folder<'s, 'a>(section: &'s mut Section<'a>) -> Key<'s, 'a, 'a, PathBuf> {
    let folder = section.context().folder;
    let doc = "minijinja templates, rendered by the host. `.html`, `.htm`, `.xml` and `.svg` are escaped as HTML, \
               `.json` and `.js` as JSON. Undefined variables are errors.";
    section.key("folder", path(folder), doc)
}

fn reload(section: &mut Section<'_>) -> Reload {
    let kind = word("a kind of difference", DifferenceKind::ALL, DifferenceKind::as_str).named("text");
    Reload {
        deny: section
            .key("deny", Type::list(kind), "[kinds of differences](differences.md) that refuse a reload")
            .or_empty(),
        migrate: section
            .key("migrate", boolean(), "run pending migrations; `false` refuses a reload while there are any")
            .or(true),
        init: section
            .key("init", boolean(), "run the model's `init` at a reload; `false` runs it at starts only")
            .or(true),
        poll: section
            .key(
                "poll",
                positive_duration(),
                "interval at which [tags](../guides/registry.md#follow-tags) of served components are resolved",
            )
            .or_none("off"),
    }
}

/// Returns a description of all keys: the records of a reading in which each section occurs once.
pub(super) fn description() -> Vec<Record> {
    let env = Environment::new();
    let context = Context::new(Path::new("carya.toml"), &env).describing();
    Section::root(&context, Table::new(), |root| file(root, None));
    context.into_records()
}
