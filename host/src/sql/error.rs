//! Errors of statements, with the same classes as in the WIT package. Each engine maps its own codes to these classes.

use crate::telemetry::excerpt;

/// Maximum length of a message in a [report](DbError::report), in bytes.
const MAX_MESSAGE: usize = 300;
/// Maximum length of a hint in a report, in bytes.
const MAX_HINT: usize = 100;
/// Maximum length of a statement in a report, in bytes.
const MAX_STATEMENT: usize = 200;

/// Class of a failure. Guests receive it, and can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A `UNIQUE`, `FOREIGN KEY`, `CHECK` or `NOT NULL` constraint is violated.
    Constraint,
    /// The transaction conflicts with another transaction.
    Conflict,
    /// A write through a reader.
    ReadOnly,
    /// Guests must not send this statement.
    Forbidden,
    /// The statement ran longer than its timeout.
    Timeout,
    /// A size or a number exceeds a limit.
    Limit,
    /// The connection or the handle is gone, or no connection could be opened.
    Lost,
    /// No connection is free: the pool is in use, or the server refuses further connections.
    Busy,
    /// A value does not fit, or cannot be converted to the type of its column.
    Data,
    /// Any other failure.
    Other,
}

impl Kind {
    /// Returns the name of the class in logs, which is also its name in the contract.
    fn as_str(self) -> &'static str {
        match self {
            Kind::Constraint => "constraint",
            Kind::Conflict => "conflict",
            Kind::ReadOnly => "read-only",
            Kind::Forbidden => "forbidden",
            Kind::Timeout => "timeout",
            Kind::Limit => "limit",
            Kind::Lost => "lost",
            Kind::Busy => "busy",
            Kind::Data => "data",
            Kind::Other => "other",
        }
    }
}

/// Whether a statement failed because it was prepared before the schema changed. Such a statement may succeed on a new
/// connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// No: the statement fails on any connection.
    No,
    /// Yes, if the types of the statement's parameters have changed since it was prepared. The host can query the
    /// server for the current types.
    Perhaps,
    /// Yes: the server or the driver reported a stale statement.
    Yes,
}

/// Kind of a violated constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The names are those of SQL.
pub enum ViolationKind {
    Unique,
    ForeignKey,
    Check,
    NotNull,
    Exclusion,
}

/// A violated constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Kind of the constraint.
    pub kind: ViolationKind,
    /// Name of the constraint or of its unique index. `None` for NOT NULL, and if the constraint has no name.
    pub name: Option<String>,
    /// Schema of the table on PostgreSQL, database of the table on MySQL, if the server reported it.
    pub(crate) schema: Option<String>,
    /// Table of the constraint.
    pub table: Option<String>,
    /// Columns of the constraint, in its order. Empty if they are unknown.
    pub columns: Vec<String>,
}

impl Violation {
    /// Returns a violation of which only the kind is known.
    pub(crate) fn new(kind: ViolationKind) -> Self {
        Self { kind, name: None, schema: None, table: None, columns: Vec::new() }
    }
}

/// Error of a statement, a commit or a connection.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct DbError {
    /// Class of the failure.
    pub kind: Kind,
    /// `SQLSTATE` or the number of the error, if the engine reported it.
    pub code: Option<String>,
    /// Description for the guest and the log.
    pub message: String,
    /// Whether the same work may succeed when it is repeated.
    pub retryable: bool,
    /// Whether the statement was prepared before the schema changed.
    pub stale: Stale,
    /// The constraint that was violated, if the kind is [`Kind::Constraint`] and the engine reported it.
    pub violation: Option<Box<Violation>>,
    /// Details of PostgreSQL, which may contain values of other rows.
    pub detail: Option<Box<str>>,
    /// Proposal of PostgreSQL or of the host for a correction.
    pub hint: Option<Box<str>>,
    /// Beginning of the guest's statement, for the log. `None` if no statement of a guest failed.
    pub(crate) statement: Option<Box<str>>,
}

impl DbError {
    /// Returns an error that the host detected. It has no code and is not retryable.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: None,
            message: message.into(),
            retryable: false,
            stale: Stale::No,
            violation: None,
            detail: None,
            hint: None,
            statement: None,
        }
    }

    /// Returns whether the engine reported one of these codes.
    pub(crate) fn is_one_of(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }

    /// Adds the statement that failed. Only its text is kept, and not its parameters.
    pub(crate) fn in_statement(self, sql: &str) -> Self {
        Self { statement: Some(statement_excerpt(sql).into()), ..self }
    }

    /// Returns a line for the log: message, kind, code, statement and hint. The detail may contain values of rows, so it
    /// is left out.
    pub(crate) fn report(&self) -> String {
        let mut line = format!("{} ({}", excerpt(&self.message, MAX_MESSAGE), self.kind.as_str());
        if let Some(code) = &self.code {
            line.extend([", code ", code]);
        }
        line.push(')');
        if let Some(statement) = &self.statement {
            line.extend([" in `", statement, "`"]);
        }
        if let Some(hint) = &self.hint {
            line.extend(["; hint: ", &*excerpt(hint, MAX_HINT)]);
        }
        line
    }

    /// Marks the error as retryable.
    pub fn retryable(self) -> Self {
        Self { retryable: true, ..self }
    }
}

/// Returns the beginning of a statement, for the log.
pub(crate) fn statement_excerpt(sql: &str) -> String {
    excerpt(sql, MAX_STATEMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_one_short_line() {
        let error = DbError::new(Kind::Lost, "the connection\nwas lost");
        assert_eq!(error.report(), "the connection was lost (lost)");
        let error = DbError { code: Some("23505".to_owned()), ..DbError::new(Kind::Constraint, "duplicate key") };
        let error = error.in_statement("INSERT INTO items\n    VALUES (?)");
        assert_eq!(error.report(), "duplicate key (constraint, code 23505) in `INSERT INTO items VALUES (?)`");
        let error = DbError {
            hint: Some("add a cast,\nas in `?::int8`".into()),
            detail: Some("a secret".into()),
            ..DbError::new(Kind::Other, "could not determine data type of parameter $1").in_statement("SELECT ?")
        };
        let expected =
            "could not determine data type of parameter $1 (other) in `SELECT ?`; hint: add a cast, as in `?::int8`";
        assert_eq!(error.report(), expected);
        let (message, sql) = ("m".repeat(1 << 20), "s".repeat(1 << 20));
        let line = DbError::new(Kind::Other, message).in_statement(&sql).report();
        assert!(line.len() < 600 && line.contains("mm [cut] (other) in `ss"), "{line}");
    }
}
