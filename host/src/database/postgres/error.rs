//! Maps errors of the driver to [`DbError`], by SQLSTATE. The mapping does not depend on the statement.

use sqlx::postgres::PgDatabaseError;

use crate::sql::error::{DbError, Kind, Stale, Violation, ViolationKind};

/// Converts an error of the driver.
pub(super) fn map_error(error: sqlx::Error) -> DbError {
    match error {
        sqlx::Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
            Some(error) => of_server(error),
            None => DbError::new(Kind::Other, error.message()),
        },
        // The driver looks up unknown types on the server, and cannot read some of them, such as multiranges.
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
    let kind = kind(code);
    // The detail is apart from the message, because it quotes rows, and messages are logged.
    let message = match kind {
        Kind::Timeout => "the statement ran longer than database.statement_timeout allows".to_owned(),
        Kind::Conflict if by_recovery(error) => {
            format!("the replica stopped the query to keep up with its primary: {}", error.message())
        }
        _ => error.message().to_owned(),
    };
    DbError {
        code: Some(code.to_owned()),
        retryable: matches!(kind, Kind::Conflict | Kind::Lost | Kind::Busy),
        stale: stale(code, error.routine(), error.message()),
        violation: violation(error).map(Box::new),
        detail: error.detail().map(Box::from),
        hint: error.hint().or_else(|| remedy(code)).map(Box::from),
        ..DbError::new(kind, message)
    }
}

/// Returns the violated constraint, as far as the server reports it: it reports the column for NOT NULL only.
fn violation(error: &PgDatabaseError) -> Option<Violation> {
    let kind = violation_kind(error.code())?;
    // Newer servers give a NOT NULL constraint a name, which other engines do not have.
    let name = error.constraint().filter(|_| kind != ViolationKind::NotNull);
    Some(Violation {
        kind,
        name: name.map(str::to_owned),
        schema: error.schema().map(str::to_owned),
        table: error.table().map(str::to_owned),
        columns: error.column().map(str::to_owned).into_iter().collect(),
    })
}

fn violation_kind(code: &str) -> Option<ViolationKind> {
    match code {
        "23505" => Some(ViolationKind::Unique),
        // 23001: `ON DELETE RESTRICT` and `ON UPDATE RESTRICT` on newer servers.
        "23503" | "23001" => Some(ViolationKind::ForeignKey),
        "23514" => Some(ViolationKind::Check),
        "23502" => Some(ViolationKind::NotNull),
        "23P01" => Some(ViolationKind::Exclusion),
        _ => None,
    }
}

/// Returns a remedy for an error without a hint of the server.
fn remedy(code: &str) -> Option<&'static str> {
    match code {
        // The server infers the types of parameters, and nothing in the statement determines the type of this
        // parameter.
        "42P18" => Some("add a cast to the parameter, as in `?::int8`"),
        _ => None,
    }
}

/// Returns the class of an SQLSTATE.
fn kind(code: &str) -> Kind {
    match code {
        // Serialization failure (also a conflict with recovery), deadlock, lock not available.
        "40001" | "40P01" | "55P03" => Kind::Conflict,
        "25006" => Kind::ReadOnly,
        "42501" => Kind::Forbidden,
        "57014" => Kind::Timeout,
        // Too many connections: of the server, the database or the role.
        "53300" => Kind::Busy,
        // The server stops or starts; the session was ended, or was idle for too long.
        "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "25P03" => Kind::Lost,
        _ => match code.get(..2) {
            // 44: the check option of a view.
            Some("23" | "44") => Kind::Constraint,
            // Data exceptions: values that are out of range, too long or malformed, and a division by zero.
            Some("22") => Kind::Data,
            Some("08") => Kind::Lost,
            Some("53" | "54") => Kind::Limit,
            _ => Kind::Other,
        },
    }
}

/// Returns whether the statement failed because it was prepared before the schema changed. On the same connection, the
/// driver would reuse the prepared statement; a new connection prepares the statement again.
fn stale(code: &str, routine: Option<&str>, message: &str) -> Stale {
    match code {
        // The result has other columns or types than when the statement was prepared.
        "0A000" if routine == Some("RevalidateCachedQuery") => Stale::Yes,
        // A type, function or table of the prepared statement is gone. Internal messages are not translated.
        "XX000" if message.starts_with("cache lookup failed for") => Stale::Yes,
        "XX000" if message.starts_with("could not open relation with OID") => Stale::Yes,
        // The prepared statement itself is gone, for example after a `DISCARD` by a pooler.
        "26000" => Stale::Yes,
        // Wrong types, operators or casts. Below, codes that begin with 22: values that are out of range or malformed
        // for the type that the parameter had.
        "42804" | "42883" | "42846" | "42725" => Stale::Perhaps,
        _ if code.starts_with("22") => Stale::Perhaps,
        _ => Stale::No,
    }
}

/// Returns whether a hot standby cancelled the query. The message depends on the server's language; the routine does
/// not.
fn by_recovery(error: &PgDatabaseError) -> bool {
    // The same routine reports a lock timeout, so check the code too.
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
            ("53300", Kind::Busy),
            ("53200", Kind::Limit),
            ("54001", Kind::Limit),
            ("42P01", Kind::Other),
            ("22003", Kind::Data),
            ("22P02", Kind::Data),
            ("22012", Kind::Data),
            ("44000", Kind::Constraint),
            ("25P02", Kind::Other),
            ("", Kind::Other),
        ];
        for (code, expected) in table {
            assert_eq!(kind(code), expected, "{code}");
        }
    }

    #[test]
    fn codes_of_constraints_have_kinds() {
        let table = [
            ("23505", Some(ViolationKind::Unique)),
            ("23503", Some(ViolationKind::ForeignKey)),
            ("23001", Some(ViolationKind::ForeignKey)),
            ("23514", Some(ViolationKind::Check)),
            ("23502", Some(ViolationKind::NotNull)),
            ("23P01", Some(ViolationKind::Exclusion)),
            ("23000", None),
            ("44000", None),
            ("22003", None),
        ];
        for (code, expected) in table {
            assert_eq!(violation_kind(code), expected, "{code}");
        }
    }

    #[test]
    fn recognizes_statements_that_were_prepared_for_another_schema() {
        let table = [
            ("0A000", Some("RevalidateCachedQuery"), "cached plan must not change result type", Stale::Yes),
            ("0A000", Some("transformFromClause"), "not supported", Stale::No),
            ("XX000", None, "cache lookup failed for type 16400", Stale::Yes),
            ("XX000", None, "cache lookup failed for function 16401", Stale::Yes),
            ("XX000", None, "could not open relation with OID 16402", Stale::Yes),
            ("XX000", None, "could not find block containing chunk", Stale::No),
            ("26000", None, "prepared statement \"sqlx_s_1\" does not exist", Stale::Yes),
            ("22P02", None, "invalid input syntax for type integer: \"a\"", Stale::Perhaps),
            ("42804", None, "column \"mood\" is of type mood but expression is of type old_mood", Stale::Perhaps),
            ("42P01", None, "relation \"gone\" does not exist", Stale::No),
        ];
        for (code, routine, message, expected) in table {
            assert_eq!(stale(code, routine, message), expected, "{code} {message}");
        }
    }

    #[test]
    fn a_broken_connection_is_lost_and_worth_another_try() {
        let error = map_error(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()));
        assert_eq!((error.kind, error.retryable), (Kind::Lost, true));
        let error = map_error(sqlx::Error::Protocol("unable to resolve type OIDs: [1]".into()));
        assert_eq!((error.kind, error.retryable), (Kind::Other, false));
    }
}
