//! Maps errors of the driver to [`DbError`], by SQLite's result codes.

use super::violation;
use crate::sql::error::{DbError, Kind, Violation};

/// Messages about values that are out of range or malformed. `json()` reports a malformed text, and `sum()` and `abs()`
/// report an overflow.
const DATA_ERRORS: [&str; 2] = ["integer overflow", "malformed JSON"];

const INVALID_PATTERN: &str = "the pattern of REGEXP is invalid, or its text is not UTF-8; patterns have the syntax of the \
    Rust package regex";

/// Converts an error of the driver.
pub(super) fn map_error(error: sqlx::Error) -> DbError {
    let sqlx::Error::Database(ref database) = error else {
        let kind = match error {
            sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed | sqlx::Error::Protocol(_) => Kind::Lost,
            _ => Kind::Other,
        };
        return DbError::new(kind, error.to_string());
    };
    let code = database.code().map(String::from);
    let extended: i32 = code.as_deref().and_then(|code| code.parse().ok()).unwrap_or_default();
    let kind = match extended & 0xff {
        // A `STRICT` table rejects a value of another type.
        _ if extended == libsqlite3_sys::SQLITE_CONSTRAINT_DATATYPE => Kind::Data,
        _ if extended == libsqlite3_sys::SQLITE_CONSTRAINT_FUNCTION => Kind::Data,
        libsqlite3_sys::SQLITE_CONSTRAINT => Kind::Constraint,
        // A value other than an integer for an `INTEGER PRIMARY KEY`.
        libsqlite3_sys::SQLITE_MISMATCH => Kind::Data,
        libsqlite3_sys::SQLITE_BUSY | libsqlite3_sys::SQLITE_LOCKED => Kind::Conflict,
        libsqlite3_sys::SQLITE_READONLY => Kind::ReadOnly,
        libsqlite3_sys::SQLITE_AUTH => Kind::Forbidden,
        // Functions that the authorizer refuses have no code of their own.
        libsqlite3_sys::SQLITE_ERROR if database.message().starts_with("not authorized") => Kind::Forbidden,
        // Functions and operators have no codes of their own either.
        libsqlite3_sys::SQLITE_ERROR if DATA_ERRORS.contains(&database.message()) => Kind::Data,
        libsqlite3_sys::SQLITE_INTERRUPT => Kind::Timeout,
        libsqlite3_sys::SQLITE_TOOBIG | libsqlite3_sys::SQLITE_NOMEM => Kind::Limit,
        libsqlite3_sys::SQLITE_CANTOPEN | libsqlite3_sys::SQLITE_NOTADB | libsqlite3_sys::SQLITE_IOERR => Kind::Lost,
        _ => Kind::Other,
    };
    let message = match kind {
        Kind::Timeout => "the statement ran longer than database.statement_timeout allows".to_owned(),
        // The driver's function `regexp` sets this code and no message.
        _ if extended == libsqlite3_sys::SQLITE_CONSTRAINT_FUNCTION => INVALID_PATTERN.to_owned(),
        _ => database.message().to_owned(),
    };
    let violation = violation::kind(extended, database.message()).map(|kind| Violation::new(kind).into());
    DbError { code, retryable: kind == Kind::Conflict, violation, ..DbError::new(kind, message) }
}
