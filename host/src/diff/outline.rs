//! The parts of a generation that are compared, as plain values: routes, hooks, components with their capabilities,
//! databases and static files. This module does not rate differences.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    app,
    component::Component,
    config::{self, Access, Destination, DifferenceKind, MAIN},
    generation::{Generation, Handler},
    outbound::Policy,
    transaction::plan,
};

/// The parts of a generation that are compared.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outline {
    /// Routes by path and method.
    pub(super) routes: BTreeMap<(String, String), RouteOutline>,
    pub(super) components: BTreeMap<String, ComponentOutline>,
    /// The global hooks, and whether each is inside the transaction.
    pub(super) hooks: BTreeMap<String, bool>,
    pub(super) model: Option<String>,
    pub(super) databases: BTreeMap<String, DatabaseOutline>,
    /// Folders by URL path. A folder inside the folder of the configuration file is relative to that folder.
    pub(super) static_files: BTreeMap<String, PathBuf>,
    /// The kinds in `[reload] deny`.
    pub(super) rules: BTreeSet<DifferenceKind>,
}

/// A route with one method.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RouteOutline {
    pub(super) component: String,
    pub(super) access: Access,
    pub(super) database: String,
    /// The hooks of this route, and whether each is inside the transaction.
    pub(super) hooks: BTreeMap<String, bool>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ComponentOutline {
    pub(super) digest: String,
    /// Interfaces without their versions, as in `imports`.
    pub(super) exports: BTreeSet<String>,
    pub(super) imports: BTreeSet<String>,
    pub(super) settings: BTreeMap<String, String>,
    pub(super) memory: usize,
    pub(super) timeout: Duration,
    pub(super) http: HttpOutline,
}

/// The outbound HTTP requests that a component may send.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct HttpOutline {
    pub(super) destinations: Vec<Destination>,
    pub(super) timeout: Duration,
    pub(super) max_response: usize,
}

/// Logins and replicas of a database.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DatabaseOutline {
    /// URL without its password.
    pub(super) shown: String,
    /// All URLs, with their passwords. Must not be shown.
    pub(super) reached_by: Vec<String>,
}

impl Outline {
    /// Collects the parts of a generation that are compared.
    pub(crate) fn of(generation: &Generation) -> Self {
        let config = &generation.config;
        let folder = config.file.parent().unwrap_or(Path::new(""));
        let inside = |hooks: &[config::Hook]| -> BTreeMap<String, bool> {
            let is_inside = |hook: &config::Hook| hook.priority >= config.transaction.priority;
            hooks.iter().map(|hook| (hook.component.clone(), is_inside(hook))).collect()
        };
        let methods = |(route, handler): (&config::Route, &Handler)| {
            let path = route.path.clone();
            let value = |method: &http::Method| RouteOutline {
                component: route.component.clone(),
                access: plan::by_route(method, handler.access, None),
                database: handler.database.clone().unwrap_or_else(|| MAIN.to_owned()),
                hooks: inside(&route.hooks),
            };
            let methods = app::methods_of(route, &handler.controller);
            methods
                .into_iter()
                .map(move |method| ((path.clone(), method.to_string()), value(&method)))
                .collect::<Vec<_>>()
        };
        let component = |component: &Arc<Component>| {
            let found = &component.capabilities;
            let value = ComponentOutline {
                digest: component.digest.clone(),
                exports: without_versions(&found.exports),
                imports: without_versions(&found.imports),
                settings: component.properties.settings.clone(),
                memory: component.memory(),
                timeout: component.timeout,
                http: http(&component.properties.outbound),
            };
            (component.name().to_string(), value)
        };
        let files = |files: &config::StaticFiles| {
            let place = files.folder.strip_prefix(folder).unwrap_or(&files.folder);
            (files.path.clone(), place.to_owned())
        };
        Self {
            routes: config.routes.iter().zip(&generation.handlers).flat_map(methods).collect(),
            components: generation.components.iter().map(component).collect(),
            hooks: inside(&config.hooks),
            model: config.model.component.clone(),
            databases: config.all_databases().map(|(name, settings)| (name.to_owned(), database(settings))).collect(),
            static_files: config.static_files.iter().map(files).collect(),
            rules: config.reload.deny.iter().copied().collect(),
        }
    }
}

fn database(settings: &config::DatabaseConfig) -> DatabaseOutline {
    let logins = [&settings.reader_url, &settings.admin_url].into_iter().map(|url| url.clone().unwrap_or_default());
    DatabaseOutline {
        shown: settings.shown_url().into_owned(),
        reached_by: std::iter::once(settings.url.clone()).chain(logins).chain(settings.replicas.clone()).collect(),
    }
}

fn http(policy: &Policy) -> HttpOutline {
    HttpOutline {
        destinations: policy.destinations().to_vec(),
        timeout: policy.timeout(),
        max_response: policy.max_response(),
    }
}

/// Removes the versions of interfaces. A component that imports `wasi:io/streams@0.2.6` can do no more than one that
/// imports `@0.2.3`.
fn without_versions(interfaces: &[String]) -> BTreeSet<String> {
    interfaces.iter().map(|name| name.split('@').next().unwrap_or_default().to_owned()).collect()
}
