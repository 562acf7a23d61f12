//! A loaded version of the application. A [`Generation`] is immutable. Each request uses a single generation from start
//! to end.

mod files;
mod instruments;

use std::{collections::BTreeMap, sync::Arc};

pub use self::files::{Files, is_source};
pub(crate) use self::instruments::Instruments;
use crate::{
    component::{Component, Engine, Export},
    config::{Access, Config, Isolation, MAIN, StatusSet},
    database::Database,
    oci::Images,
    rates::RateLimits,
    render::Templates,
    routes::Routes,
    telemetry::metrics::Counted,
};

/// A loaded application: configuration, components, templates and databases.
#[derive(Debug, Clone)]
pub struct Generation {
    /// Short id. For a deployed generation this is the id of its manifest. Otherwise it is derived from the paths and
    /// contents of the files and from the pulled images.
    pub id: String,
    /// The configuration from which the generation was made.
    pub config: Config,
    /// The files from which the generation was made, with digests of their contents. The digests were computed before
    /// the components were loaded.
    pub files: Files,
    /// The images that were pulled for the generation.
    pub images: Images,
    /// The engine that runs the components.
    pub engine: Engine,
    /// Maps a request's path and method to an index in `handlers`.
    pub routes: Routes,
    /// The handlers, in the order of `config.routes`.
    pub handlers: Vec<Handler>,
    /// The global hooks. They run for every request until its route is known, and for requests that match no route.
    pub global: Chain,
    /// The rate limits. The counts begin anew with each generation.
    pub rates: Arc<RateLimits>,
    /// The compiled templates, which guests' responses refer to by name.
    pub templates: Templates,
    /// The default database, which routes use unless they name another.
    pub database: Option<Arc<Database>>,
    /// The other databases, by name.
    pub databases: BTreeMap<String, Arc<Database>>,
    /// All components.
    pub components: Vec<Arc<Component>>,
    /// Instruments of `carya test`. `None` in all other commands.
    pub(crate) instruments: Option<Arc<Instruments>>,
    /// Counts this generation in the metrics until it is dropped.
    pub counted: Counted,
}

/// A controller with its hooks and the settings of its transactions.
#[derive(Debug, Clone)]
pub struct Handler {
    /// The controller.
    pub controller: Arc<Component>,
    /// The access mode for all methods. If it is `None`, the method of the request determines the mode.
    pub access: Option<Access>,
    /// The HTTP statuses after which the transaction is committed.
    pub commit_on: StatusSet,
    /// Whether the transaction is rolled back after a redirect.
    pub rollback_on_redirect: bool,
    /// The name of the database for the statements of the controller and its hooks. `None` means the default database.
    pub database: Option<String>,
    /// The isolation level of the transactions. `None` means the default of the database.
    pub isolation: Option<Isolation>,
    /// Whether read-only transactions always run on the primary and never on a replica.
    pub primary: bool,
    /// Maximum number of times that the transaction is run again after a conflict.
    pub retries: u32,
    /// Global and route-level hooks, merged.
    pub chain: Chain,
}

/// Hooks in ascending order of priority. The hooks from index `inside` on run inside the transaction.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    hooks: Vec<Arc<Component>>,
    /// Index of the first hook inside the transaction.
    inside: usize,
}

impl Chain {
    /// Merges the hooks of a route and the global hooks, and sorts them by priority. `transaction` is the priority of
    /// the transaction: hooks with this or a higher priority run inside the transaction.
    ///
    /// At equal priority, route-level hooks are outside global hooks, and hooks of the same kind keep their order of
    /// registration. If a component is a route-level hook and also a global hook, it runs once, at the
    /// priority of the route-level hook.
    pub fn new(route: &[(i32, Arc<Component>)], global: &[(i32, Arc<Component>)], transaction: i32) -> Self {
        let is_ours = |hook: &Arc<Component>| route.iter().any(|(_, other)| Arc::ptr_eq(other, hook));
        let inherited = global.iter().filter(|(_, hook)| !is_ours(hook));
        let mut hooks: Vec<_> = route.iter().chain(inherited).cloned().collect();
        hooks.sort_by_key(|(priority, _)| *priority);
        let inside = hooks.partition_point(|(priority, _)| *priority < transaction);
        Self { hooks: hooks.into_iter().map(|(_, hook)| hook).collect(), inside }
    }

    /// Returns all hooks, outermost first.
    pub fn all(&self) -> &[Arc<Component>] {
        &self.hooks
    }

    /// Returns the hooks outside the transaction, outermost first.
    pub fn outside(&self) -> &[Arc<Component>] {
        &self.hooks[..self.inside]
    }

    /// Returns the hooks inside the transaction, outermost first.
    pub fn inside(&self) -> &[Arc<Component>] {
        &self.hooks[self.inside..]
    }
}

impl Generation {
    /// Returns whether any component exports the WIT interface `actions`.
    pub fn runs_actions(&self) -> bool {
        self.components.iter().any(|component| component.exports(Export::Actions))
    }

    /// Returns the maximum number of component instances that one request needs: one for the controller, one for each
    /// of its hooks, and one more if a component exports `actions`.
    pub fn guests(&self) -> usize {
        let chains = self.handlers.iter().map(|handler| handler.chain.all().len());
        chains.max().unwrap_or(0) + 1 + usize::from(self.runs_actions())
    }

    /// Returns the database with this name, or the default one for `None`.
    pub fn database(&self, name: Option<&str>) -> Option<&Arc<Database>> {
        match name {
            Some(name) => self.databases.get(name),
            None => self.database.as_ref(),
        }
    }

    /// Returns all databases with their names, the default one first.
    pub fn all_databases(&self) -> impl Iterator<Item = (&str, &Arc<Database>)> {
        let named = self.databases.iter().map(|(name, database)| (name.as_str(), database));
        self.database.iter().map(|database| (MAIN, database)).chain(named)
    }

    /// Replaces the component with the same name everywhere.
    pub(crate) fn replace(&mut self, component: &Arc<Component>) {
        let handlers = &mut self.handlers;
        let used =
            handlers.iter_mut().flat_map(|handler| handler.chain.hooks.iter_mut().chain([&mut handler.controller]));
        let used = used.chain(&mut self.global.hooks).chain(&mut self.components);
        used.filter(|other| other.name() == component.name()).for_each(|other| *other = component.clone());
    }

    /// Returns the component with this name.
    pub fn component(&self, name: &str) -> Option<&Arc<Component>> {
        self.components.iter().find(|component| **component.name() == *name)
    }
}
