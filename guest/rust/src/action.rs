//! Actions: work after a transaction has ended.

use serde::{Serialize, de::DeserializeOwned};

use crate::bindings::actions::exports::carya::host::actions as host;

/// The payload of an action: work that the host runs after the transaction was committed or rolled back.
///
/// Do not implement this trait by hand. Write a function with `#[action]` in a [`routes`](macro@crate::routes) or
/// [`actions`](macro@crate::actions) module. The type of its first parameter becomes an action with the name of the
/// function, and [`DbMut::after_commit`](crate::DbMut::after_commit) accepts values of this type:
///
/// ```no_run
/// use carya_guest::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[carya_guest::routes]
/// mod orders {
///     use super::*;
///
///     #[derive(Serialize, Deserialize)]
///     pub struct Confirm { pub order: i64 }
///
///     #[post("/orders")]
///     fn create(db: &Writer) -> Result<NoContent, Problem> {
///         let order = db.fetch_one("INSERT INTO orders DEFAULT VALUES RETURNING id", ())?;
///         db.after_commit(&Confirm { order }, Delivery::AtLeastOnce)?;
///         Ok(NoContent)
///     }
///
///     #[action]
///     fn confirm(db: &Writer, job: Confirm, attempt: Attempt) -> Result<(), Problem> {
///         carya_guest::info!("order {} is confirmed, attempt {}", job.order, attempt.number);
///         db.execute("UPDATE orders SET confirmed = TRUE WHERE id = ?", (job.order,))?;
///         Ok(())
///     }
/// }
/// # fn main() {}
/// ```
///
/// The host runs each action in a fresh instance and in a transaction of its own, on the database of the request. If the
/// function returns an error, the host rolls back and logs the error, and runs an action with
/// [`Delivery::AtLeastOnce`](crate::Delivery::AtLeastOnce) again later.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the payload of an action",
    note = "write `#[action] fn name(db: &Writer, job: {Self})` in a `#[carya_guest::routes]` or `#[carya_guest::actions]` module"
)]
pub trait Action: Serialize + DeserializeOwned {
    /// The name of the action in the contract: that of the function.
    const NAME: &'static str;
}

/// A delivery of an action, which the function can take as a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The identifier of the action. It is the same for every delivery, so that a receiver can detect a repeated one.
    pub id: String,
    /// The number of this delivery, from 1.
    pub number: u32,
    /// Whether the transaction that registered the action was committed or rolled back.
    pub committed: bool,
    /// The identifier of the request that registered the action. An action that was registered by another action has the
    /// request of that action.
    pub request_id: String,
}

/// Splits an action of the contract into name, payload and delivery.
#[doc(hidden)]
pub fn split(action: host::Action) -> (String, String, Attempt) {
    let attempt = Attempt {
        id: action.id,
        number: action.attempt,
        committed: matches!(action.outcome, host::Outcome::Commit),
        request_id: action.request_id,
    };
    (action.name, action.payload, attempt)
}

/// Parses the payload of an action.
#[doc(hidden)]
pub fn parse<A: Action>(payload: &str) -> Result<A, String> {
    serde_json::from_str(payload).map_err(|error| format!("the payload of action `{}`: {error}", A::NAME))
}
