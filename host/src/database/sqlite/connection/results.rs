//! Receives the results of a guest's statement, and detects rows that the driver decodes with the wrong columns.

use std::mem;

use futures_util::{Stream, StreamExt};
use sqlx::{
    Either,
    sqlite::{SqliteQueryResult, SqliteRow},
};

use crate::{
    database::{
        receiver::{self, Receiver},
        sqlite::{barrier::Barrier, budget::Exceeded, error::map_error, values},
    },
    sql::{
        error::{DbError, Kind, Stale},
        flow::PIECE,
    },
};

/// Receives the results of a message: first those of the `leading` statements of the host, then those of the guest's
/// statement. `leading` is the number of statements of the host that have not ended. The `bool` of an error is true if
/// the connection's thread can still answer.
pub(super) async fn take(
    mut results: impl Stream<Item = Result<Either<SqliteQueryResult, SqliteRow>, sqlx::Error>> + Unpin,
    leading: &mut u8,
    barrier: &Barrier,
    receiver: &mut Receiver<'_>,
) -> Result<(), (DbError, bool)> {
    let mut is_first = true;
    while let Some(result) = results.next().await {
        match result {
            Ok(Either::Left(_)) if *leading > 0 => *leading -= 1,
            Ok(Either::Left(done)) => {
                // For a statement that cannot change rows, SQLite repeats the count of an earlier statement, perhaps of
                // another request.
                let changed = if barrier.can_change() { done.rows_affected() } else { 0 };
                receiver.complete(changed, Some(done.last_insert_rowid()).filter(|_| changed > 0));
            }
            Ok(Either::Right(row)) => {
                if mem::take(&mut is_first) && !barrier.has_columns(values::names(&row)) {
                    return Err((other_columns(), false));
                }
                let columns = || values::columns(&row);
                receiver.row(columns, values::names(&row), values::decode_each(&row)).map_err(|error| (error, true))?;
                if receiver.has_piece(PIECE) {
                    barrier.pause();
                    let passed = receiver.pass().await;
                    barrier.resume(receiver.limits.statement_timeout);
                    passed.map_err(|error| (error, true))?;
                }
            }
            Err(error) => {
                let error = map_error(error);
                let answers = error.kind != Kind::Lost;
                return Err((error, answers));
            }
        }
    }
    let is_complete = receiver.is_complete();
    receiver.end().map_err(|error| {
        // The driver's thread panics if a row has more columns than the driver expects.
        let stale = if !is_complete && barrier.is_recompiled() { Stale::Yes } else { Stale::No };
        (DbError { stale, ..error }, is_complete)
    })
}

/// Replaces the error of a statement that SQLite could not finish because an allocation exceeded the connection's
/// [`Budget`](super::super::budget::Budget).
pub(super) fn over_budget(error: DbError, barrier: &Barrier, max_memory: usize) -> DbError {
    let exceeded = barrier.exceeded();
    // Errors of SQLite have a code. If an error has no code, the driver's thread may have panicked because it could not
    // copy a row.
    if error.code.is_none() && error.kind != Kind::Lost {
        return error;
    }
    match exceeded {
        None => error,
        Some(Exceeded::Time) => receiver::timed_out(),
        Some(Exceeded::Memory) => {
            let message = format!(
                "the statement takes more memory than database.max_memory allows, {max_memory} bytes; sort, group or \
                 aggregate fewer rows"
            );
            DbError { code: error.code, ..DbError::new(Kind::Limit, message) }
        }
    }
}

/// Error for a statement that has other columns in SQLite than the driver knows.
pub(super) fn other_columns() -> DbError {
    let message = "the schema has changed since the statement was prepared on this connection";
    DbError { stale: Stale::Yes, ..DbError::new(Kind::Lost, message).retryable() }
}
