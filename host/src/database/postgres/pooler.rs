//! Recognizes poolers such as PgBouncer, which lend the sessions of a server to many clients in turn. The host keeps
//! settings, prepared statements and transactions in its sessions, so each of them must be its own.
//!
//! The host sends a random mark in the startup message. A pooler rejects the message, drops the mark, or lends a session
//! that has the mark of another connection.

use sqlx::postgres::PgConnectOptions;

use crate::sql::error::{DbError, Kind};

/// Query for the mark of a session.
pub(super) const QUERY: &str = "SELECT current_setting('carya.session', true)";

/// Returns a new mark, and options of a connection with this mark.
pub(super) fn mark(options: PgConnectOptions) -> (String, PgConnectOptions) {
    let mark = format!("{:016x}", rand::random::<u64>());
    (mark.clone(), options.options([("carya.session", mark)]))
}

/// Converts the error of a connection that is being opened to a [`refusal`] if it comes from a pooler: PgBouncer rejects
/// settings in the startup message (08P01), and a session that the host has used before has its prepared statements
/// (42P05).
pub(super) fn explain(error: DbError) -> DbError {
    let is_rejected = error.is_one_of(&["08P01"]) && error.message.contains("startup parameter");
    if is_rejected || error.is_one_of(&["42P05"]) { refusal() } else { error }
}

/// Error for a connection through a pooler.
pub(super) fn refusal() -> DbError {
    let message = "a pooler such as PgBouncer is between the host and PostgreSQL, and lends sessions of the server to \
        several clients; set the URL to the address of PostgreSQL itself, since the host has pools of its own \
        (max_connections)";
    DbError::new(Kind::Other, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poolers_are_recognized_by_their_errors() {
        for (code, message, expected) in [
            ("08P01", "unsupported startup parameter: options", true),
            ("08P01", "unsupported startup parameter in options: carya.session", true),
            ("08P01", "no such database: items", false),
            ("42P05", "prepared statement \"carya_number\" already exists", true),
            ("28P01", "password authentication failed for user \"ann\"", false),
        ] {
            let error = DbError { code: Some(code.to_owned()), ..DbError::new(Kind::Other, message) };
            assert_eq!(explain(error).message == refusal().message, expected, "{message}");
        }
    }
}
