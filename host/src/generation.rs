//! Everything that requests are served with, fixed: a request sees one of these from start to end.

mod files;

use std::{collections::BTreeMap, sync::Arc};

pub use self::files::{Files, is_source};
use crate::{
    component::{Component, Engine},
    config::{Access, Config, MAIN, StatusSet},
    database::{Database, Isolation},
    render::Templates,
    routes::Routes,
    telemetry::metrics::Counted,
};

/// A served application.
#[derive(Debug)]
pub struct Generation {
    /// A short name that follows from everything that it was made of.
    pub id: String,
    /// What it was made by.
    pub config: Config,
    /// The files that it was made of, as they were before any of them was used.
    pub files: Files,
    /// Makes stores.
    pub engine: Engine,
    /// Which handler a request meets.
    pub routes: Routes,
    /// What routes lead to.
    pub handlers: Vec<Handler>,
    /// The hooks of requests without a route.
    pub global: Chain,
    /// What guests' answers are rendered with.
    pub templates: Templates,
    /// Where guests' statements go, unless their route says otherwise.
    pub database: Option<Arc<Database>>,
    /// The other databases, by name.
    pub databases: BTreeMap<String, Arc<Database>>,
    /// All components, to find one by name.
    pub components: Vec<Arc<Component>>,
    /// Has metrics count it for as long as it is there.
    pub counted: Counted,
}

/// A controller with its hooks and its policy.
#[derive(Debug)]
pub struct Handler {
    /// The controller.
    pub controller: Arc<Component>,
    /// The access mode, whatever the method.
    pub access: Option<Access>,
    /// The statuses that commit.
    pub commit_on: StatusSet,
    /// Redirects roll back.
    pub rollback_on_redirect: bool,
    /// Where its statements go, if not to the default database.
    pub database: Option<String>,
    /// How its transactions are kept apart from others.
    pub isolation: Option<Isolation>,
    /// It reads on the primary only.
    pub primary: bool,
    /// How often everything inside is done again after a conflict.
    pub retries: u32,
    /// Global and route-level hooks, merged.
    pub chain: Chain,
}

/// Hooks in ascending order of priority, with the transaction standing somewhere among them.
#[derive(Debug, Default)]
pub struct Chain {
    hooks: Vec<Arc<Component>>,
    /// Hooks from here on stand inside the transaction.
    inside: usize,
}

impl Chain {
    /// Orders hooks by priority. At equal priority route-level hooks stand outside global ones, then order of
    /// registration counts. A hook that is both is kept once, where the route has it.
    pub fn new(route: &[(i32, Arc<Component>)], global: &[(i32, Arc<Component>)], transaction: i32) -> Self {
        let is_ours = |hook: &Arc<Component>| route.iter().any(|(_, other)| Arc::ptr_eq(other, hook));
        let inherited = global.iter().filter(|(_, hook)| !is_ours(hook));
        let mut hooks: Vec<_> = route.iter().chain(inherited).cloned().collect();
        hooks.sort_by_key(|(priority, _)| *priority);
        let inside = hooks.partition_point(|(priority, _)| *priority < transaction);
        Self { hooks: hooks.into_iter().map(|(_, hook)| hook).collect(), inside }
    }

    /// All hooks, outermost first.
    pub fn all(&self) -> &[Arc<Component>] {
        &self.hooks
    }

    /// The hooks outside the transaction, outermost first.
    pub fn outside(&self) -> &[Arc<Component>] {
        &self.hooks[..self.inside]
    }

    /// The hooks inside the transaction, outermost first.
    pub fn inside(&self) -> &[Arc<Component>] {
        &self.hooks[self.inside..]
    }
}

impl Generation {
    /// Whether any component runs actions.
    pub fn runs_actions(&self) -> bool {
        self.components.iter().any(|component| component.runs_actions())
    }

    /// The most guests that a request meets: a controller with its hooks, and an action.
    pub fn guests(&self) -> usize {
        let chains = self.handlers.iter().map(|handler| handler.chain.all().len());
        chains.max().unwrap_or(0) + 1 + usize::from(self.runs_actions())
    }

    /// The database of a name, or the default one.
    pub fn database(&self, name: Option<&str>) -> Option<&Arc<Database>> {
        match name {
            Some(name) => self.databases.get(name),
            None => self.database.as_ref(),
        }
    }

    /// All databases with their names.
    pub fn all_databases(&self) -> impl Iterator<Item = (&str, &Arc<Database>)> {
        let named = self.databases.iter().map(|(name, database)| (name.as_str(), database));
        self.database.iter().map(|database| (MAIN, database)).chain(named)
    }

    /// The component of a name.
    pub fn component(&self, name: &str) -> Option<&Arc<Component>> {
        self.components.iter().find(|component| **component.name() == *name)
    }
}
