//! Actions that guests register to run after the commit or after the rollback.

use std::sync::Arc;

use super::trace::Event;
use crate::{
    outbox::{Entry, Lease},
    sql::error::{DbError, Kind},
};

/// Maximum number of actions that one request may register.
const MAX_ACTIONS: usize = 100;
/// Maximum length of name and payload of an action together, in bytes.
const MAX_PAYLOAD: usize = 64 * 1024;
/// Maximum length of a chain of actions of which each registers the next. Without a limit, an action that registers
/// itself would run forever.
const MAX_DEPTH: u8 = 8;

/// Delivery guarantee of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The host does not repeat the action if it fails. If the host is killed before it runs the action, the action is
    /// lost.
    AtMostOnce,
    /// A worker repeats the action until it succeeds. If the host is killed in between, it continues after its next
    /// start. The reply does not wait for the action.
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
    /// Id of the request that registered the action. An action that an action registered has the request of that action.
    pub request: Arc<str>,
    /// Number of actions in the chain of registrations that ends with this action. The session sets it.
    pub depth: u8,
}

impl Action {
    /// Returns the trace event for a run of this action.
    pub(crate) fn event(&self) -> Event {
        if self.on_commit { Event::AfterCommit } else { Event::AfterRollback }
    }

    /// Returns the outbox entry of this action.
    pub(crate) fn to_entry(&self) -> Entry {
        Entry {
            id: self.id.clone(),
            component: self.component.to_string(),
            name: self.name.to_string(),
            payload: self.payload.clone(),
            request: self.request.to_string(),
            depth: self.depth,
        }
    }

    /// Returns whether the outbox keeps this action.
    fn is_durable(&self) -> bool {
        self.on_commit && self.delivery == Delivery::AtLeastOnce
    }
}

impl From<Entry> for Action {
    fn from(entry: Entry) -> Self {
        Self {
            component: entry.component.into(),
            name: entry.name.into(),
            payload: entry.payload,
            on_commit: true,
            delivery: Delivery::AtLeastOnce,
            id: entry.id,
            request: entry.request.into(),
            depth: entry.depth,
        }
    }
}

/// The actions registered so far, in order.
#[derive(Debug, Default)]
pub(super) struct Actions {
    registered: Vec<Action>,
    /// [`Action::depth`] of the action that runs in this transaction. 0 for a request.
    depth: u8,
    /// Lease of the action that runs in this transaction, if the transaction completes its delivery.
    pub(super) completes: Option<Lease>,
}

impl Actions {
    /// Returns the actions that an action of this depth registers.
    pub(super) fn of_action(depth: u8) -> Self {
        Self { depth, ..Self::default() }
    }

    /// Registers an action.
    ///
    /// # Errors
    ///
    /// Returns [`Kind::Limit`] if the request has registered 100 actions already, if name and payload are longer than
    /// 64 KiB together, or if the chain of registrations is longer than 8 actions. Returns [`Kind::Forbidden`] if an
    /// action registers an action that the outbox would not keep: nothing runs it.
    pub(super) fn register(&mut self, mut action: Action) -> Result<(), DbError> {
        if self.registered.len() >= MAX_ACTIONS {
            return Err(DbError::new(Kind::Limit, format!("a request may register at most {MAX_ACTIONS} actions")));
        }
        action.depth = self.depth.saturating_add(1);
        if self.depth > 0 && !action.is_durable() {
            let message = "an action may only register `at-least-once` actions with `after-commit`";
            return Err(DbError::new(Kind::Forbidden, message));
        }
        if action.depth > MAX_DEPTH {
            let message = format!("a chain of actions that register each other has at most {MAX_DEPTH} actions");
            return Err(DbError::new(Kind::Limit, message));
        }
        if action.name.len() + action.payload.len() > MAX_PAYLOAD {
            let message = format!("name and payload of an action may have at most {MAX_PAYLOAD} bytes");
            return Err(DbError::new(Kind::Limit, message));
        }
        self.registered.push(action);
        Ok(())
    }

    /// Returns the number of actions. A savepoint stores this number, and a rollback to the savepoint passes it to
    /// [`truncate`](Self::truncate).
    pub(super) fn count(&self) -> usize {
        self.registered.len()
    }

    /// Removes the actions registered after the first `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        self.registered.truncate(count);
    }

    /// Returns the actions that must be recorded in the outbox before the commit.
    pub(super) fn durable(&self) -> impl Iterator<Item = &Action> {
        self.registered.iter().filter(|action| action.is_durable())
    }

    /// Returns the actions that the host must run after a commit (`committed`) or after a rollback, in order of
    /// registration. The actions in the outbox are left to its workers.
    pub(super) fn due(self, committed: bool) -> Vec<Action> {
        let mut due = self.registered;
        due.retain(|action| action.on_commit == committed && !action.is_durable());
        due
    }
}
