//! The application that requests are served with. A [`Generation`] never changes, and a request sees one from start to
//! end.

mod files;

use std::{collections::BTreeMap, sync::Arc};

pub use self::files::{Files, is_source};
use crate::{
    component::{Component, Engine, Export},
    config::{Access, Config, Isolation, MAIN, StatusSet},
    database::Database,
    oci::Images,
    render::Templates,
    routes::Routes,
    telemetry::metrics::Counted,
};

/// A loaded application: configuration, components, templates and databases.
#[derive(Debug)]
pub struct Generation {
    /// Short id. For a deployed generation it is that of its manifest, else it is derived from paths and contents.
    pub id: String,
    /// The configuration that it was made from.
    pub config: Config,
    /// The files that it was made from, with the digests that they had before they were loaded.
    pub files: Files,
    /// The images that were pulled for it.
    pub images: Images,
    /// Makes a `wasmtime` store for each guest.
    pub engine: Engine,
    /// Finds the index in `handlers` for a request.
    pub routes: Routes,
    /// The handlers, in the order of `config.routes`.
    pub handlers: Vec<Handler>,
    /// The hooks of requests that match no route.
    pub global: Chain,
    /// Renders the templates that guests respond with.
    pub templates: Templates,
    /// The default database, which routes use unless they name another.
    pub database: Option<Arc<Database>>,
    /// The other databases, by name.
    pub databases: BTreeMap<String, Arc<Database>>,
    /// All components.
    pub components: Vec<Arc<Component>>,
    /// Counts this generation in the metrics until it is dropped.
    pub counted: Counted,
}

/// A controller with its hooks and its policy.
#[derive(Debug)]
pub struct Handler {
    /// The controller.
    pub controller: Arc<Component>,
    /// The access mode for all methods. `None`: the method decides.
    pub access: Option<Access>,
    /// The statuses that commit.
    pub commit_on: StatusSet,
    /// Whether redirects roll back.
    pub rollback_on_redirect: bool,
    /// The name of the database for its statements. `None`: the default database.
    pub database: Option<String>,
    /// The isolation level of its transactions. `None`: that of the database.
    pub isolation: Option<Isolation>,
    /// Whether it reads from the primary only.
    pub primary: bool,
    /// Maximum number of times that the transaction is run again after a conflict.
    pub retries: u32,
    /// Global and route-level hooks, merged.
    pub chain: Chain,
}

/// Hooks in ascending order of priority. The transaction encloses those from `inside` on.
#[derive(Debug, Default)]
pub struct Chain {
    hooks: Vec<Arc<Component>>,
    /// Index of the first hook inside the transaction.
    inside: usize,
}

impl Chain {
    /// Merges and sorts the hooks of a route and the global ones. `transaction` is the priority of the transaction:
    /// hooks with this priority or a higher one are inside.
    ///
    /// At equal priority, route-level hooks are outside global ones, and hooks of one kind keep their order of
    /// registration. A hook of both kinds runs once, at the priority that the route gives it.
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
    /// Returns whether any component runs actions.
    pub fn runs_actions(&self) -> bool {
        self.components.iter().any(|component| component.exports(Export::Actions))
    }

    /// Returns the maximum number of guests that one request needs: a controller with its hooks, and an action.
    pub fn guests(&self) -> usize {
        let chains = self.handlers.iter().map(|handler| handler.chain.all().len());
        chains.max().unwrap_or(0) + 1 + usize::from(self.runs_actions())
    }

    /// Returns the database with this name; the default one for `None`.
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

    /// Returns the component with this name.
    pub fn component(&self, name: &str) -> Option<&Arc<Component>> {
        self.components.iter().find(|component| **component.name() == *name)
    }
}
