//! Types for the messages that begin a transaction, end it, or look up its outcome, for both dialects.

use std::time::Duration;

use futures_util::{Stream, StreamExt};

use crate::sql::{
    Position,
    error::{DbError, Kind},
};

/// Timeouts that the server applies to a session.
#[derive(Debug, Clone, Copy)]
pub(in crate::database) struct Timeouts {
    pub(in crate::database) statement: Duration,
    pub(in crate::database) lock: Duration,
    /// Maximum time that a server waits for the host to read rows of a stream. Only MySQL has such a timeout.
    pub(in crate::database) stream: Duration,
}

/// Result of a commit.
#[derive(Debug)]
pub(in crate::database) struct Committed {
    /// Position of the server after the COMMIT, if it was requested.
    pub(in crate::database) position: Option<Position>,
    /// Name of the next transaction, if one was begun and has a name.
    pub(in crate::database) next: Option<String>,
    /// Whether the statements after the COMMIT succeeded. If not, the connection must be closed.
    pub(in crate::database) is_in_order: bool,
}

/// Part of the answer to a message of several statements.
#[derive(Debug)]
pub(in crate::database) enum Answer {
    /// First value of a row.
    Value(Option<String>),
    /// End of a statement.
    Done,
}

/// Status of a transaction on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::database) enum TransactionStatus {
    Committed,
    RolledBack,
    Running,
    /// The server does not know the outcome reliably.
    Unknown,
}

/// Reads the answer to a message in which statement number `commit`, counted from 1, is the COMMIT. Returns the values,
/// and whether all statements succeeded. An error after the COMMIT does not undo the COMMIT, so the error is only
/// logged.
pub(in crate::database) async fn read_commit(
    mut answers: impl Stream<Item = Result<Answer, DbError>> + Unpin,
    commit: usize,
) -> Result<(Vec<Option<String>>, bool), DbError> {
    let (mut values, mut done) = (Vec::new(), 0);
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(Answer::Value(value)) => values.push(value),
            Ok(Answer::Done) => done += 1,
            Err(error) if done >= commit => {
                tracing::warn!(%error, "the COMMIT succeeded, but a statement after it failed; the connection is closed");
                return Ok((values, false));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((values, true))
}

/// Converts the error of a message that should end a transaction. `code` is the dialect's error code for such a message
/// outside a transaction: it means that the transaction had ended already.
pub(in crate::database) fn ended_before(error: DbError, code: &str) -> DbError {
    if error.code.as_deref() != Some(code) {
        return error;
    }
    DbError::new(Kind::Lost, "the transaction was ended before the host ended it; its connection is closed")
}

/// Error for a connection that was lost.
pub(in crate::database) fn connection_lost() -> DbError {
    DbError::new(Kind::Lost, "the connection was lost")
}

/// Error for a server that does not answer in time.
pub(in crate::database) fn no_answer() -> DbError {
    DbError::new(Kind::Lost, "the server did not answer in time")
}
