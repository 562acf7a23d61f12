//! Maps errors of the driver to [`DbError`], by the error numbers of MySQL and MariaDB. The mapping does not depend on
//! the statement.
//!
//! The code of an error is always the server's error number, such as `1062`. Nearly half of all errors share the
//! SQLSTATE HY000, and 23000 does not distinguish a duplicate key from a foreign key without a parent row.

use sqlx::mysql::MySqlDatabaseError;

use super::violation;
use crate::sql::error::{DbError, Kind, Stale};

/// The server failed to prepare a statement again after its tables had changed.
const NEED_REPREPARE: u16 = 1615;

/// Part of the driver's error for a login of `caching_sha2_password` or `sha256_password` on a connection without TLS. The
/// driver is built without RSA, whose implementation has a known weakness (RUSTSEC-2023-0071).
const NO_RSA: &str = "RSA auth backend disabled";
const NEEDS_TLS: &str = "the password of this login can be sent only over TLS; remove ssl-mode=disabled from the URL, or let the \
                         server accept TLS";

/// Converts an error of the driver.
pub(super) fn map_error(error: sqlx::Error) -> DbError {
    let sqlx::Error::Database(database) = &error else {
        let kind = match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Kind::Lost,
            _ => Kind::Other,
        };
        let message = error.to_string();
        return DbError::new(kind, if message.contains(NO_RSA) { NEEDS_TLS.to_owned() } else { message });
    };
    match database.try_downcast_ref::<MySqlDatabaseError>() {
        Some(error) => reported(error.number(), error.code().unwrap_or_default(), error.message()),
        None => DbError::new(Kind::Other, database.message()),
    }
}

/// Converts an error that the server reported.
fn reported(number: u16, state: &str, message: &str) -> DbError {
    let kind = kind(number, state, message);
    let violation = violation::reported(number, state, message).map(Box::new);
    let message = match kind {
        Kind::Timeout => "the statement ran longer than database.statement_timeout allows".to_owned(),
        _ => without_entry(message),
    };
    DbError {
        code: Some(number.to_string()),
        retryable: matches!(kind, Kind::Conflict | Kind::Busy),
        stale: if number == NEED_REPREPARE { Stale::Yes } else { Stale::No },
        violation,
        ..DbError::new(kind, message)
    }
}

/// Removes the values of the row from `Duplicate entry 'a-b' for key 'k'`, because messages are logged.
fn without_entry(message: &str) -> String {
    match (message.find("entry '"), message.rfind("' for key ")) {
        (Some(entry), Some(key)) if entry < key => format!("{}{}", &message[..entry + 5], &message[key + 1..]),
        _ => message.to_owned(),
    }
}

/// Returns the class of an error. If MySQL and MariaDB use a number for different errors, SQLSTATE or the message
/// distinguishes them.
fn kind(number: u16, state: &str, message: &str) -> Kind {
    match number {
        // Unique keys.
        1022 | 1062 | 1169 | 1557 | 1586 | 1761 | 1762 | 1859 => Kind::Constraint,
        // NOT NULL, and columns without a default.
        1048 | 1263 | 1364 => Kind::Constraint,
        // Foreign keys.
        1216 | 1217 | 1451 | 1452 => Kind::Constraint,
        // WITH CHECK OPTION of views; CHECK on MySQL. 4025 is CHECK on MariaDB, and another error on MySQL.
        1369 | 3819 => Kind::Constraint,
        4025 if state == "23000" => Kind::Constraint,
        // A value is out of range, cut off, too long or malformed: for a column, a function or an operator; 1365 is a
        // division by zero.
        1264..=1265 | 1292 | 1365..=1367 | 1406 | 1411 | 1441 | 1525 | 1690 => Kind::Data,
        // Bytes that are no text of the character set, and malformed geometries.
        1300 | 1416 | 3037 | 3854 => Kind::Data,
        // JSON on MySQL: malformed, of the wrong type, not convertible.
        3140 | 3141 | 3144 | 3146 | 3156 | 3157 | 3903 => Kind::Data,
        // A text that the character set of the column lacks, on MySQL.
        3988 => Kind::Data,
        // Record changed since it was read, lock wait timeout, deadlock, NOWAIT on MySQL, conflict with another cluster
        // node.
        1020 | 1205 | 1213 | 3101 | 3572 => Kind::Conflict,
        // Read-only transaction, read-only server.
        1792 | 1836 => Kind::ReadOnly,
        // "running with the --read-only option", but also "with the --secure-file-priv option".
        1290 if message.contains("read-only") || message.contains("read_only") => Kind::ReadOnly,
        1290 => Kind::Forbidden,
        // Missing privileges on a database, files, a table, a column, a routine or the server; statements that cannot
        // be prepared (1295).
        1044 | 1045 | 1142 | 1143 | 1227 | 1295 | 1370 | 1419 => Kind::Forbidden,
        // `max_statement_time` on MariaDB; `max_execution_time` on MySQL.
        1969 | 3024 => Kind::Timeout,
        // Memory, sort memory, table size, packet size, join size, binary log, number of locks, stack, recursion.
        1037 | 1038 | 1041 | 1104 | 1114 | 1153 | 1197 | 1206 | 1301 | 1436 | 1456 | 3636 => Kind::Limit,
        // Too many connections: of the server, or of the user.
        1040 | 1203 => Kind::Busy,
        1226 if message.contains("max_user_connections") => Kind::Busy,
        // Limits of the user's other resources, the number of parameters and the number of prepared statements.
        1226 | 1390 | 1461 => Kind::Limit,
        // No connection: cluster node not ready, no such database, host refused.
        1047 | 1049 | 1129 | 1130 => Kind::Lost,
        // The statement is interrupted: MySQL does this before it shuts down, and an administrator by KILL QUERY.
        1317 => Kind::Lost,
        // The connection ends: shutdown, network error, killed, idle.
        1053 | 1080 | 1152 | 1158..=1161 | 1184 | 1927 | 2006 | 2013 | 3168 | 3169 | 4031 => Kind::Lost,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_kinds() {
        let table = [
            (1062, "23000", "Duplicate entry for key 'PRIMARY'", Kind::Constraint),
            (4025, "23000", "CONSTRAINT `c` failed for `t`.`t`", Kind::Constraint),
            (4025, "HY000", "InnoDB: invalid AUTOEXTEND_SIZE", Kind::Other),
            (
                3988,
                "HY000",
                "Conversion from collation utf8mb4_0900_ai_ci into latin1_swedish_ci impossible",
                Kind::Data,
            ),
            (1213, "40001", "Deadlock found when trying to get lock; try restarting transaction", Kind::Conflict),
            (1020, "HY000", "Record has changed since last read in table 't'", Kind::Conflict),
            (1792, "25006", "Cannot execute statement in a READ ONLY transaction", Kind::ReadOnly),
            (1290, "HY000", "The MariaDB server is running with the --read-only option", Kind::ReadOnly),
            (1290, "HY000", "The MySQL server is running with the --secure-file-priv option", Kind::Forbidden),
            (1142, "42000", "DELETE command denied to user", Kind::Forbidden),
            (1153, "08S01", "Got a packet bigger than 'max_allowed_packet' bytes", Kind::Limit),
            (1927, "70100", "Connection was killed", Kind::Lost),
            (1317, "70100", "Query execution was interrupted", Kind::Lost),
            (1040, "08004", "Too many connections", Kind::Busy),
            (1203, "42000", "User a already has more than 'max_user_connections' active connections", Kind::Busy),
            (1226, "42000", "User 'a' has exceeded the 'max_user_connections' resource (current value: 1)", Kind::Busy),
            (1226, "42000", "User 'a' has exceeded the 'max_questions' resource (current value: 1)", Kind::Limit),
            (1264, "22003", "Out of range value for column 'a' at row 1", Kind::Data),
            (1366, "22007", "Incorrect integer value: 'a' for column `d`.`t`.`a` at row 1", Kind::Data),
            (1365, "22012", "Division by 0", Kind::Data),
            (3140, "22032", "Invalid JSON text: \"Invalid value.\" at position 0", Kind::Data),
            (1064, "42000", "You have an error in your SQL syntax", Kind::Other),
        ];
        for (number, state, message, kind) in table {
            let error = reported(number, state, message);
            assert_eq!((error.kind, error.code), (kind, Some(number.to_string())), "{message}");
            assert_eq!(
                (error.message.as_str(), error.retryable),
                (message, matches!(kind, Kind::Conflict | Kind::Busy))
            );
        }
    }

    #[test]
    fn the_message_of_a_duplicate_key_omits_the_values() {
        for entry in ["1", "", "a' for key 'b"] {
            let message = format!("Duplicate entry '{entry}' for key 'PRIMARY'");
            assert_eq!(reported(1062, "23000", &message).message, "Duplicate entry for key 'PRIMARY'");
        }
    }

    #[test]
    fn a_timeout_names_the_setting() {
        for number in [1969, 3024] {
            let error = reported(number, "70100", "Query execution was interrupted");
            assert_eq!(error.kind, Kind::Timeout);
            assert!(error.message.contains("database.statement_timeout"), "{}", error.message);
        }
    }

    #[test]
    fn io_and_protocol_errors_lose_the_connection() {
        let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(map_error(sqlx::Error::Io(broken)).kind, Kind::Lost);
        assert_eq!(map_error(sqlx::Error::Protocol("unexpected".into())).kind, Kind::Lost);
        assert_eq!(map_error(sqlx::Error::RowNotFound).kind, Kind::Other);
    }
}
