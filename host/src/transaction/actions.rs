//! Actions that guests register to run after the commit or after the rollback.

use std::sync::Arc;

use super::trace::Event;
use crate::{
    outbox::Entry,
    sql::error::{DbError, Kind},
};

/// Maximum number of actions that one request may register.
const MAX_ACTIONS: usize = 100;
/// Maximum length of name and payload of an action together, in bytes.
const MAX_PAYLOAD: usize = 64 * 1024;

/// Delivery guarantee of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The host does not repeat the action if it fails. If the host is killed before it runs the action, the action is
    /// lost.
    AtMostOnce,
    /// The host repeats the action until it succeeds. If the host is killed in between, it continues after its next
    /// start.
    AtLeastOnce,
}

/// A registered action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The component that registered the action and will run it.
    pub component: Arc<str>,
    /// The name, which the component passed at registration.
    pub name: Arc<str>,
    /// The payload, which the component passed at registration.
    pub payload: String,
    /// Whether the action runs after a commit; otherwise it runs after a rollback.
    pub on_commit: bool,
    /// The delivery guarantee.
    pub delivery: Delivery,
    /// Id of the action, the same for every delivery.
    pub id: String,
}

impl Action {
    /// Returns the trace event for a run of this action.
    pub(crate) fn event(&self) -> Event {
        if self.on_commit { Event::AfterCommit } else { Event::AfterRollback }
    }

    /// Returns the outbox entry of this action. The entry counts the first delivery as started.
    pub(crate) fn to_entry(&self) -> Entry {
        Entry {
            id: self.id.clone(),
            component: self.component.to_string(),
            name: self.name.to_string(),
            payload: self.payload.clone(),
            attempts: 1,
        }
    }
}

/// The actions registered so far, in order.
#[derive(Debug, Default)]
pub(super) struct Actions(Vec<Action>);

impl Actions {
    /// Registers an action.
    ///
    /// # Errors
    ///
    /// Returns [`Kind::Limit`] if the request has registered 100 actions already, or if name and payload are longer
    /// than 64 KiB together.
    pub(super) fn register(&mut self, action: Action) -> Result<(), DbError> {
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

    /// Returns the number of actions. A savepoint stores this number, and a rollback to the savepoint passes it to
    /// [`truncate`](Self::truncate).
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Removes the actions registered after the first `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        self.0.truncate(count);
    }

    /// Returns the actions that must be recorded in the outbox before the commit.
    pub(super) fn durable(&self) -> impl Iterator<Item = &Action> {
        self.0.iter().filter(|action| action.on_commit && action.delivery == Delivery::AtLeastOnce)
    }

    /// Returns the actions to run after a commit (`committed`) or after a rollback, in order of registration.
    pub(super) fn due(self, committed: bool) -> Vec<Action> {
        let mut due = self.0;
        due.retain(|action| action.on_commit == committed);
        due
    }
}
