//! The database: handles, parameters and rows.

mod error;
mod handle;
mod params;
mod row;

use serde::de::DeserializeOwned;

pub use error::{DbError, DbResult};
pub use handle::{Handle, Reader, Writer, WritesThroughReader};
pub use params::{Params, ToValue};

use crate::{Action, JsonText};

/// The types of the contract that this crate uses as they are.
pub(crate) mod types {
    pub use crate::raw::database::{
        Column, DbErrorKind, Delivery, Dialect, Execution, OtherValue, StatementResult, Value, Violation, ViolationKind,
    };
}
use types::{Delivery, Dialect, Execution, StatementResult, Value};

/// Reading from the database: the functions that [`Reader`] and [`Writer`] share.
///
/// Write a function that only reads once, for both handles:
///
/// ```no_run
/// use carya_guest::prelude::*;
///
/// fn open_tickets(db: &impl Db) -> Result<i64, DbError> {
///     db.fetch_one("SELECT count(*) FROM tickets WHERE closed_at IS NULL", ())
/// }
/// ```
///
/// On every engine, `?` is the placeholder of the next parameter and `?1` that of the first one. The parameters are a
/// tuple: `()`, `(id,)`, `(id, &name)`.
///
/// # Rows
///
/// A row becomes any type that implements [`Deserialize`](serde::Deserialize):
///
/// - a struct takes the columns by name,
/// - a tuple takes them by position,
/// - a number, a text, a boolean, `Vec<u8>` or a newtype of these takes the only column,
/// - an `Option` is `None` for NULL.
///
/// Numbers must fit into the type of the field: a wrong type is an error that names the column. Dates, decimal numbers
/// and UUIDs are texts, in the format of the engine.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handle of the database",
    note = "pass the `db: &Reader` or `db: &Writer` that the handler received"
)]
pub trait Db: sealed::Handle {
    /// Runs a query and returns all rows.
    ///
    /// ```no_run
    /// # use carya_guest::prelude::*;
    /// #[derive(serde::Deserialize)]
    /// struct Ticket {
    ///     id: i64,
    ///     title: String,
    ///     closed_at: Option<String>,
    /// }
    ///
    /// fn search(db: &impl Db, words: &str) -> Result<Vec<Ticket>, DbError> {
    ///     db.fetch("SELECT id, title, closed_at FROM tickets WHERE title LIKE ?", (format!("%{words}%"),))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the statement fails, or if a row does not have the type `T`.
    fn fetch<T: DeserializeOwned>(&self, sql: &str, params: impl Params) -> Result<Vec<T>, DbError> {
        let rows = self.query(sql, &params.into_values())?;
        rows.rows.into_iter().map(|values| row::read(&rows.columns, values)).collect()
    }

    /// Runs a query and returns the first row, or `None` if there is no row.
    ///
    /// ```no_run
    /// # use carya_guest::prelude::*;
    /// fn title(db: &impl Db, id: i64) -> Result<String, Problem> {
    ///     let title = db.fetch_optional("SELECT title FROM tickets WHERE id = ?", (id,))?;
    ///     title.ok_or(Problem::not_found("there is no such ticket"))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the statement fails, or if the row does not have the type `T`.
    fn fetch_optional<T: DeserializeOwned>(&self, sql: &str, params: impl Params) -> Result<Option<T>, DbError> {
        // Not `query-one`, which returns no names of columns.
        let mut rows = self.query(sql, &params.into_values())?;
        rows.rows.truncate(1);
        rows.rows.pop().map(|values| row::read(&rows.columns, values)).transpose()
    }

    /// Runs a query and returns the first row. Use it where a row always exists, as for an aggregate or RETURNING.
    ///
    /// ```no_run
    /// # use carya_guest::prelude::*;
    /// # fn f(db: &impl Db) -> Result<(), DbError> {
    /// let (open, oldest): (i64, Option<String>) =
    ///     db.fetch_one("SELECT count(*), min(opened_at) FROM tickets WHERE closed_at IS NULL", ())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the statement fails, if there is no row, or if the row does not have the type `T`.
    fn fetch_one<T: DeserializeOwned>(&self, sql: &str, params: impl Params) -> Result<T, DbError> {
        self.fetch_optional(sql, params)?.ok_or_else(|| DbError::no_row(sql))
    }

    /// Runs a query and returns all rows as JSON text: an array with one object for each row. The host writes the JSON,
    /// so the guest neither parses nor serializes the rows.
    ///
    /// # Errors
    ///
    /// Returns an error if the statement fails.
    fn fetch_json(&self, sql: &str, params: impl Params) -> Result<JsonText, DbError> {
        self.query_json(sql, &params.into_values()).map(JsonText)
    }

    /// Runs a query and returns the first row as a JSON object, or `None` if there is no row.
    ///
    /// # Errors
    ///
    /// Returns an error if the statement fails.
    fn fetch_optional_json(&self, sql: &str, params: impl Params) -> Result<Option<JsonText>, DbError> {
        Ok(self.query_one_json(sql, &params.into_values())?.map(JsonText))
    }

    /// Runs a query and returns the first row as a JSON object. Use it where a row always exists, as for RETURNING.
    ///
    /// # Errors
    ///
    /// Returns an error if the statement fails, or if there is no row.
    fn fetch_one_json(&self, sql: &str, params: impl Params) -> Result<JsonText, DbError> {
        self.fetch_optional_json(sql, params)?.ok_or_else(|| DbError::no_row(sql))
    }

    /// Runs a statement of any kind and returns its complete result, for object-relational mappers.
    ///
    /// # Errors
    ///
    /// Returns an error if the statement fails.
    fn run(&self, sql: &str, params: &[Value]) -> Result<StatementResult, DbError>;

    /// Returns the dialect of the database.
    fn dialect(&self) -> Dialect;
}

/// Writing to the database: the functions of a [`Writer`].
///
/// A [`Reader`] does not implement this trait, so a function that writes does not compile in a handler that reads.
///
/// The host owns the transaction. It commits after a response with a status from 200 to 399, and rolls back otherwise.
#[diagnostic::on_unimplemented(
    message = "this handle cannot write to the database",
    label = "a `{Self}` only reads",
    note = "GET and HEAD receive a `Reader`. A handler that writes must serve POST, PUT, PATCH or DELETE and take `db: &Writer`"
)]
pub trait DbMut: Db {
    /// Runs a statement and returns the number of affected rows and, on SQLite and MySQL, the generated key.
    ///
    /// ```no_run
    /// # use carya_guest::prelude::*;
    /// fn close(db: &impl DbMut, id: i64) -> Result<(), Problem> {
    ///     let done = db.execute("UPDATE tickets SET closed_at = CURRENT_TIMESTAMP WHERE id = ?", (id,))?;
    ///     if done.rows_affected == 0 {
    ///         return Err(Problem::not_found("there is no such ticket"));
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the statement fails. A failed statement dooms the transaction, unless the guest rolls back to
    /// a [savepoint](Self::savepoint).
    fn execute(&self, sql: &str, params: impl Params) -> Result<Execution, DbError>;

    /// Runs a statement once for each tuple of parameters, and returns the total number of affected rows.
    ///
    /// ```no_run
    /// # use carya_guest::prelude::*;
    /// # fn f(db: &Writer) -> Result<(), DbError> {
    /// db.execute_batch("INSERT INTO tags (ticket, name) VALUES (?, ?)", [(1, "urgent"), (1, "billing")])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the statement fails.
    fn execute_batch<P: Params>(&self, sql: &str, rows: impl IntoIterator<Item = P>) -> Result<u64, DbError>;

    /// Runs `work` inside a savepoint. If `work` returns an error, its changes are undone, and the transaction is not
    /// doomed by a statement that failed in `work`.
    ///
    /// ```no_run
    /// # use carya_guest::prelude::*;
    /// # fn f(db: &Writer) -> Result<(), Problem> {
    /// let added = db.savepoint(|| db.execute("INSERT INTO tags (ticket, name) VALUES (1, 'urgent')", ()));
    /// if added.is_err_and(|error| !error.violates(ViolationKind::Unique)) {
    ///     return Err(Problem::conflict("the ticket is closed"));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the error of `work`, or the error of the savepoint.
    fn savepoint<T, E: From<DbError>>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E>;

    /// Marks the transaction for a rollback. The client still receives the response of the handler.
    fn mark_rollback(&self);

    /// Registers an action that runs after the commit. See [`Action`].
    ///
    /// # Errors
    ///
    /// Returns an error if the component has no function for actions, or beyond the limits of the host.
    fn after_commit<A: Action>(&self, action: &A, delivery: Delivery) -> Result<(), DbError>;

    /// Registers an action that runs after a rollback, at most once. See [`Action`].
    ///
    /// # Errors
    ///
    /// Returns an error if the component has no function for actions, or beyond the limits of the host.
    fn after_rollback<A: Action>(&self, action: &A) -> Result<(), DbError>;
}

pub(crate) mod sealed {
    use super::{DbError, types::Value};
    use crate::raw::database::Rows;

    /// The functions of the contract on which [`Db`](super::Db) is built. The trait is private, so that only the two handles
    /// implement [`Db`](super::Db).
    pub trait Handle {
        fn query(&self, sql: &str, params: &[Value]) -> Result<Rows, DbError>;
        fn query_json(&self, sql: &str, params: &[Value]) -> Result<String, DbError>;
        fn query_one_json(&self, sql: &str, params: &[Value]) -> Result<Option<String>, DbError>;
    }
}
