//! `carya check` and `carya routes`: validate an application, and list its components, routes and databases.

use std::fmt::Write;

use anyhow::Context;
use http::Method;
use serde_json::{Map, Value, json};

use super::certificates::AllCertificates;
use crate::{
    app::{self, Sources},
    component::{CURRENT, Component},
    config::{self, Dialect},
    database::Database,
    generation::{Generation, Handler},
    harden, migrate,
    transaction::plan,
};

/// Key of the restrictions that `carya harden` would add.
const MISSING: &str = "missing";

/// Checks an application as a start would, and lists its components, routes and databases.
pub(super) async fn check(sources: Sources, as_json: bool) -> anyhow::Result<String> {
    let engine = app::engine_for_trials(&sources.config, None)?;
    let generation = app::assemble(sources, engine, None).await?;
    let config = &generation.config;
    AllCertificates::read(config, config.deploy.as_ref())?;
    let mut databases = Map::new();
    for (name, settings) in config.all_databases() {
        databases.insert(name.to_owned(), database(settings, config.place(&config::url_key(name))).await?);
    }
    let warnings: Vec<String> = app::warnings(&generation).iter().map(ToString::to_string).collect();
    if as_json {
        let components: Vec<Value> = generation
            .components
            .iter()
            .map(|component| {
                let expensive = &component.capabilities.expenses;
                let http = destinations(component);
                let may = &component.capabilities.summary;
                json!({"name": &**component.name(), "digest": component.digest, "may": may, "http": http, "expensive": expensive})
            })
            .collect();
        let routes = routes_as_json(&generation);
        let all = json!({
            "ok": true,
            "components": components,
            "routes": routes,
            "databases": databases,
            "warnings": warnings,
        });
        return Ok(format!("{all:#}\n"));
    }
    let mut answer = format!("{}: good\ncomponents\n", config.file.display());
    for component in &generation.components {
        writeln!(answer, "  {:20} {}", component.name(), &component.digest[..12])?;
        if component.capabilities.imports_current() {
            writeln!(answer, "    may read and write the database in each call, by its import {CURRENT}")?;
        }
        for destination in destinations(component) {
            writeln!(answer, "    may send HTTP requests to {destination}")?;
        }
        for expense in &component.capabilities.expenses {
            writeln!(answer, "    expensive: {expense}")?;
        }
    }
    answer += &routes_as_text(&generation)?;
    for (name, database) in &databases {
        writeln!(answer, "database {name}")?;
        for (key, value) in database.as_object().into_iter().flatten() {
            match value.as_array() {
                Some(lines) if key == MISSING => {
                    lines.iter().try_for_each(|line| writeln!(answer, "  {key:20} {}", plain(line)))?;
                }
                _ => writeln!(answer, "  {key:20} {}", plain(value))?,
            }
        }
    }
    for warning in warnings {
        writeln!(answer, "warning: {warning}")?;
    }
    Ok(answer)
}

/// Returns the destinations of HTTP requests that a component may send.
fn destinations(component: &Component) -> Vec<String> {
    component.properties.outbound.destinations().iter().map(ToString::to_string).collect()
}

/// Lists the routes.
pub(super) async fn routes(sources: Sources, as_json: bool) -> anyhow::Result<String> {
    let engine = app::engine_for_trials(&sources.config, None)?;
    let generation = app::assemble(sources, engine, None).await?;
    match as_json {
        true => Ok(format!("{:#}\n", routes_as_json(&generation))),
        false => routes_as_text(&generation),
    }
}

/// Connects to a database; `place` is that of its URL. Returns its state, the pending migrations, and the privileges of guests' logins that guests
/// do not need. Creates no database.
async fn database(settings: &config::DatabaseConfig, place: config::Place) -> anyhow::Result<Value> {
    let cannot = || place.clone().problem("cannot be opened");
    let exists = Database::exists(settings).await.with_context(cannot)?;
    let pending = match &settings.migrations {
        Some(folder) => migrate::pending(settings, folder).await?,
        None => Vec::new(),
    };
    let state = if exists { "reachable" } else { "the file will be created" };
    let mut found = json!({"state": state, "url": settings.shown_url(), "pending migrations": pending});
    if settings.dialect != Dialect::Sqlite {
        let missing = harden::find_excess_rights(settings).await.with_context(cannot)?;
        found[MISSING] = missing.iter().map(ToString::to_string).collect();
    }
    Ok(found)
}

/// Formats a JSON value, without quotes if it is a string.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A route as text: methods with their access modes, its hooks, and the settings of its transactions.
struct RouteLine {
    path: String,
    methods: Vec<String>,
    component: String,
    outside: Vec<String>,
    inside: Vec<String>,
    settings: Map<String, Value>,
}

fn lines(generation: &Generation) -> Vec<RouteLine> {
    let line = |(route, handler): (&config::Route, &Handler)| {
        let names = |hooks: &[std::sync::Arc<Component>]| hooks.iter().map(|hook| hook.name().to_string()).collect();
        let method = |method: &Method| format!("{method} {}", plan::by_route(method, handler.access, None).as_str());
        RouteLine {
            path: route.path.clone(),
            methods: app::methods_of(route, &handler.controller).iter().map(method).collect(),
            component: handler.controller.name().to_string(),
            outside: names(handler.chain.outside()),
            inside: names(handler.chain.inside()),
            settings: transaction_settings(route),
        }
    };
    generation.config.routes.iter().zip(&generation.handlers).map(line).collect()
}

/// Returns the settings of a route for its transactions that differ from the defaults.
fn transaction_settings(route: &config::Route) -> Map<String, Value> {
    let database = route.database.as_deref().map(Value::from);
    let isolation = route.isolation.map(|isolation| Value::from(isolation.as_str()));
    let primary = route.primary.then_some(Value::Bool(true));
    let keys = [("database", database), ("isolation", isolation), ("primary", primary)];
    keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

fn routes_as_json(generation: &Generation) -> Value {
    let line = |line: RouteLine| {
        let mut object = line.settings;
        object.insert("path".to_owned(), line.path.into());
        object.insert("methods".to_owned(), line.methods.into());
        object.insert("component".to_owned(), line.component.into());
        object.insert("hooks_outside".to_owned(), line.outside.into());
        object.insert("hooks_inside".to_owned(), line.inside.into());
        Value::Object(object)
    };
    lines(generation).into_iter().map(line).collect()
}

pub(super) fn routes_as_text(generation: &Generation) -> anyhow::Result<String> {
    let mut answer = "routes\n".to_owned();
    for line in lines(generation) {
        let chain: Vec<String> = line
            .outside
            .into_iter()
            .chain(["[transaction]".to_owned()])
            .chain(line.inside)
            .chain([line.component])
            .collect();
        writeln!(answer, "  {:24} {}", line.path, chain.join(" > "))?;
        for (key, value) in &line.settings {
            writeln!(answer, "    {key} {}", plain(value))?;
        }
        for method in line.methods {
            writeln!(answer, "    {method}")?;
        }
    }
    Ok(answer)
}
