//! The actions that guests register for after the outcome.

use std::sync::Arc;

use super::trace::Event;
use crate::database::{
    error::{DbError, Kind},
    outbox::Entry,
};

/// The most actions that one request may register.
const MAX_ACTIONS: usize = 100;
/// The longest payload, in bytes.
const MAX_PAYLOAD: usize = 64 * 1024;

/// How hard the host tries to run an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Once.
    AtMostOnce,
    /// Until it succeeds, also after the host was killed.
    AtLeastOnce,
}

/// One registered action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The component that registered it and will run it.
    pub component: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its payload.
    pub payload: String,
    /// Whether it is for the commit or for the rollback.
    pub on_commit: bool,
    /// How hard the host tries.
    pub delivery: Delivery,
    /// The same for every delivery.
    pub id: String,
}

impl Action {
    /// What running it is in a trace.
    pub fn event(&self) -> Event {
        if self.on_commit { Event::AfterCommit } else { Event::AfterRollback }
    }

    /// As it is recorded for a delivery that must not be lost.
    pub fn to_entry(&self) -> Entry {
        Entry {
            id: self.id.clone(),
            component: self.component.to_string(),
            name: self.name.to_string(),
            payload: self.payload.clone(),
            attempts: 1,
        }
    }
}

/// What is registered so far, in order.
#[derive(Debug, Default)]
pub struct Actions(Vec<Action>);

impl Actions {
    /// Registers one more.
    pub fn register(&mut self, action: Action) -> Result<(), DbError> {
        if self.0.len() >= MAX_ACTIONS {
            return Err(DbError::new(Kind::Limit, format!("a request may register at most {MAX_ACTIONS} actions")));
        }
        if action.name.len() + action.payload.len() > MAX_PAYLOAD {
            let message = format!("name and payload of an action may have at most {MAX_PAYLOAD} bytes");
            return Err(DbError::new(Kind::Limit, message));
        }
        self.0.push(action);
        Ok(())
    }

    /// How many there are: the place to go back to when a savepoint is rolled back.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Forgets those registered since there were `count`.
    pub fn truncate(&mut self, count: usize) {
        self.0.truncate(count);
    }

    /// Those that must be recorded before the commit.
    pub fn durable(&self) -> impl Iterator<Item = &Action> {
        self.0.iter().filter(|action| action.on_commit && action.delivery == Delivery::AtLeastOnce)
    }

    /// Those for this outcome, in order of registration.
    pub fn due(self, committed: bool) -> Vec<Action> {
        let mut due = self.0;
        due.retain(|action| action.on_commit == committed);
        due
    }
}
