//! The driver's errors in the contract's words, by SQLSTATE. Knows no statement.

use sqlx::postgres::PgDatabaseError;

use crate::database::error::{DbError, Kind};

/// An error of the driver in the contract's words.
pub(super) fn failed(error: sqlx::Error) -> DbError {
    match error {
        sqlx::Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
            Some(error) => of_server(error),
            None => DbError::new(Kind::Other, error.message()),
        },
        // The driver looks up types that it does not know; some it cannot read, as multiranges.
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::TypeNotFound { .. } => {
            let message = format!("the statement has a type that the driver cannot read; select it as text: {error}");
            DbError::new(Kind::Other, message)
        }
        sqlx::Error::Protocol(message) if message.starts_with("unable to resolve type") => {
            DbError::new(Kind::Other, format!("the statement has a type that the driver cannot read: {message}"))
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::PoolClosed
        | sqlx::Error::PoolTimedOut => DbError::new(Kind::Lost, error.to_string()).retryable(),
        _ => DbError::new(Kind::Other, error.to_string()),
    }
}

fn of_server(error: &PgDatabaseError) -> DbError {
    let code = error.code();
    if is_stale(error) {
        // The driver would send it again and again; on another connection it is prepared anew.
        let message = "the tables were changed since the statement was prepared on this connection".to_owned();
        return DbError { kind: Kind::Lost, code: Some(code.to_owned()), message, retryable: true };
    }
    let kind = kind(code);
    // The detail is left out: it quotes rows, and messages are logged.
    let message = match kind {
        Kind::Timeout => "the statement ran longer than database.statement_timeout allows".to_owned(),
        Kind::Conflict if by_recovery(error) => {
            format!("the replica stopped the query to keep up with its primary: {}", error.message())
        }
        // Types are inferred, and here nothing tells one.
        _ if code == "42P18" => format!("{}; name it in the statement, as in `?::int8`", error.message()),
        _ => error.message().to_owned(),
    };
    DbError { kind, code: Some(code.to_owned()), message, retryable: matches!(kind, Kind::Conflict | Kind::Lost) }
}

/// The class of an SQLSTATE.
fn kind(code: &str) -> Kind {
    match code {
        // Serialization failure (a conflict with recovery too), deadlock, lock not available.
        "40001" | "40P01" | "55P03" => Kind::Conflict,
        "25006" => Kind::ReadOnly,
        "42501" => Kind::Forbidden,
        "57014" => Kind::Timeout,
        // The server stops or starts, a session was ended or stood idle for too long.
        "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "25P03" => Kind::Lost,
        _ => match code.get(..2) {
            Some("23") => Kind::Constraint,
            Some("08") => Kind::Lost,
            Some("53" | "54") => Kind::Limit,
            _ => Kind::Other,
        },
    }
}

/// Whether a prepared statement has other columns now than when it was prepared.
fn is_stale(error: &PgDatabaseError) -> bool {
    error.code() == "0A000" && error.routine() == Some("RevalidateCachedQuery")
}

/// Whether a hot standby cancelled the query. The message is in the server's language, the routine is not.
fn by_recovery(error: &PgDatabaseError) -> bool {
    // A lock that was not available in time is told by the same routine.
    matches!(error.code(), "40001" | "40P01")
        && matches!(error.routine(), Some("ProcessInterrupts" | "ProcessRecoveryConflictInterrupt"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_classes() {
        let table = [
            ("23505", Kind::Constraint),
            ("23P01", Kind::Constraint),
            ("40001", Kind::Conflict),
            ("40P01", Kind::Conflict),
            ("55P03", Kind::Conflict),
            ("25006", Kind::ReadOnly),
            ("42501", Kind::Forbidden),
            ("57014", Kind::Timeout),
            ("57P01", Kind::Lost),
            ("08006", Kind::Lost),
            ("53300", Kind::Limit),
            ("54001", Kind::Limit),
            ("42P01", Kind::Other),
            ("22003", Kind::Other),
            ("25P02", Kind::Other),
            ("", Kind::Other),
        ];
        for (code, expected) in table {
            assert_eq!(kind(code), expected, "{code}");
        }
    }

    #[test]
    fn a_broken_connection_is_lost_and_worth_another_try() {
        let error = failed(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()));
        assert_eq!((error.kind, error.retryable), (Kind::Lost, true));
        let error = failed(sqlx::Error::Protocol("unable to resolve type OIDs: [1]".into()));
        assert_eq!((error.kind, error.retryable), (Kind::Other, false));
    }
}
