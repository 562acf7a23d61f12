//! Errors of statements, with the same classes as in the WIT package. Each engine maps its own codes to these classes.

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
    /// The connection or the handle is gone, or no connection could be obtained.
    Lost,
    /// Any other failure.
    Other,
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
}

impl DbError {
    /// Returns an error that the host detected. It has no code and is not retryable.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, code: None, message: message.into(), retryable: false, stale: Stale::No }
    }

    /// Returns whether the engine reported one of these codes.
    pub(crate) fn is_one_of(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }

    /// Marks the error as retryable.
    pub fn retryable(self) -> Self {
        Self { retryable: true, ..self }
    }
}
