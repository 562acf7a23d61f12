//! What can go wrong with a statement, in the words of the contract. Knows no engine.

/// Classes of failure that a guest can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A unique, foreign key, check or not-null constraint.
    Constraint,
    /// Another transaction was in the way.
    Conflict,
    /// A write through a reader.
    ReadOnly,
    /// Not a statement that guests may send.
    Forbidden,
    /// Ran longer than allowed.
    Timeout,
    /// Too large or too many.
    Limit,
    /// The connection or the handle is gone, or none was to be had.
    Lost,
    /// Anything else.
    Other,
}

/// Whether a statement failed because it was prepared before the schema changed. On a new connection it may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// The statement fails on any connection.
    No,
    /// Only if the types of its parameters have changed since it was prepared. The connection can look them up.
    Perhaps,
    /// The server or the driver reported it.
    Yes,
}

/// A failed statement.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct DbError {
    /// Its class.
    pub kind: Kind,
    /// SQLSTATE or the engine's own code.
    pub code: Option<String>,
    /// What happened, for the guest and the log.
    pub message: String,
    /// Whether the same work may succeed when it is done again.
    pub retryable: bool,
    /// Whether the schema changed since the statement was prepared.
    pub stale: Stale,
}

impl DbError {
    /// An error that the host found itself.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, code: None, message: message.into(), retryable: false, stale: Stale::No }
    }

    /// Returns whether the engine reported one of these codes.
    pub(super) fn is_one_of(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }

    /// The same error, marked as one that may go away.
    pub fn retryable(self) -> Self {
        Self { retryable: true, ..self }
    }
}
