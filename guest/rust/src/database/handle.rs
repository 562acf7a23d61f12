//! The handles of the database.

use super::{
    Db, DbError, DbMut, Params, sealed,
    types::{Delivery, Dialect, Execution, StatementResult, Value},
};
use crate::{
    Action,
    raw::database::{self, Rows},
};

/// Handle of a request that only reads. See [`Db`] for its functions.
#[derive(Debug)]
pub struct Reader(database::Reader);

/// Handle of a request that reads and writes. See [`Db`] and [`DbMut`] for its functions.
#[derive(Debug)]
pub struct Writer(database::Writer);

/// Handle of a hook.
///
/// Whether a hook receives a handle depends on the access mode of the request, and on whether the hook runs inside the
/// transaction (priority 100 or more).
#[derive(Debug)]
pub enum Handle {
    /// The request has no transaction, or the hook runs outside of it.
    None,
    /// The handle of a read-only request.
    Reader(Reader),
    /// The handle of a read/write request.
    Writer(Writer),
}

impl Handle {
    /// Returns the handle of a read/write request.
    pub fn writer(&self) -> Option<&Writer> {
        match self {
            Self::Writer(writer) => Some(writer),
            _ => None,
        }
    }

    /// Returns the handle of a read-only request.
    pub fn reader(&self) -> Option<&Reader> {
        match self {
            Self::Reader(reader) => Some(reader),
            _ => None,
        }
    }

    #[doc(hidden)]
    pub fn __from_raw(handle: database::Handle) -> Self {
        match handle {
            database::Handle::None => Self::None,
            database::Handle::Reader(reader) => Self::Reader(Reader(reader)),
            database::Handle::Writer(writer) => Self::Writer(Writer(writer)),
        }
    }
}

/// Implements the reading half of a handle.
macro_rules! reads {
    ($handle:ident) => {
        impl $handle {
            /// Returns the generated handle.
            pub fn raw(&self) -> &database::$handle {
                &self.0
            }

            #[doc(hidden)]
            pub fn __from_raw(handle: database::$handle) -> Self {
                Self(handle)
            }
        }

        impl sealed::Handle for $handle {
            fn query(&self, sql: &str, params: &[Value]) -> Result<Rows, DbError> {
                self.0.query(sql, params).map_err(DbError::from_raw)
            }

            fn query_json(&self, sql: &str, params: &[Value]) -> Result<String, DbError> {
                self.0.query_json(sql, params).map_err(DbError::from_raw)
            }

            fn query_one_json(&self, sql: &str, params: &[Value]) -> Result<Option<String>, DbError> {
                self.0.query_one_json(sql, params).map_err(DbError::from_raw)
            }
        }

        impl Db for $handle {
            fn run(&self, sql: &str, params: &[Value]) -> Result<StatementResult, DbError> {
                self.0.run(sql, params).map_err(DbError::from_raw)
            }

            fn dialect(&self) -> Dialect {
                self.0.dialect()
            }
        }
    };
}

reads!(Reader);
reads!(Writer);

/// Bound that no type satisfies. Without the functions below, the compiler would only report that a [`Reader`] has no
/// function `execute`, and not why.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a `Reader` cannot write to the database",
    label = "this statement needs a `Writer`",
    note = "GET and HEAD receive a `Reader`. A handler that writes must serve POST, PUT, PATCH or DELETE and take `db: &Writer`"
)]
pub trait WritesThroughReader {}

#[doc(hidden)]
impl Reader {
    pub fn execute<P: WritesThroughReader>(&self, _sql: &str, _params: P) -> Result<Execution, DbError> {
        Err(DbError::data("a reader cannot write".to_owned()))
    }

    pub fn execute_batch<P: WritesThroughReader>(&self, _sql: &str, _rows: P) -> Result<u64, DbError> {
        Err(DbError::data("a reader cannot write".to_owned()))
    }

    pub fn after_commit<A: WritesThroughReader>(&self, _action: A, _delivery: Delivery) -> Result<(), DbError> {
        Err(DbError::data("a reader cannot register actions".to_owned()))
    }
}

impl DbMut for Writer {
    fn execute(&self, sql: &str, params: impl Params) -> Result<Execution, DbError> {
        self.0.execute(sql, &params.into_values()).map_err(DbError::from_raw)
    }

    fn execute_batch<P: Params>(&self, sql: &str, rows: impl IntoIterator<Item = P>) -> Result<u64, DbError> {
        let rows: Vec<_> = rows.into_iter().map(Params::into_values).collect();
        self.0.execute_batch(sql, &rows).map_err(DbError::from_raw)
    }

    fn savepoint<T, E: From<DbError>>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let savepoint = self.0.savepoint().map_err(DbError::from_raw)?;
        match work() {
            Ok(value) => savepoint.release().map(|()| value).map_err(|error| DbError::from_raw(error).into()),
            Err(error) => match savepoint.rollback() {
                Ok(()) => Err(error),
                // The changes of `work` remain, and the error of `work` does not report that.
                Err(failed) => Err(DbError::from_raw(failed).into()),
            },
        }
    }

    fn mark_rollback(&self) {
        self.0.mark_rollback();
    }

    fn after_commit<A: Action>(&self, action: &A, delivery: Delivery) -> Result<(), DbError> {
        self.0.after_commit(A::NAME, &payload(action)?, delivery).map_err(DbError::from_raw)
    }

    fn after_rollback<A: Action>(&self, action: &A) -> Result<(), DbError> {
        self.0.after_rollback(A::NAME, &payload(action)?).map_err(DbError::from_raw)
    }
}

fn payload<A: Action>(action: &A) -> Result<String, DbError> {
    serde_json::to_string(action)
        .map_err(|error| DbError::data(format!("the payload of action `{}`: {error}", A::NAME)))
}
