//! Receives the results of a statement, for all engines: enforces the limits, and passes the rows to a [`Sink`].

use std::{
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt};
use sqlx::Either;

use super::options::Limits;
use crate::{
    gate::Verb,
    sql::{
        Sink, StreamedRows,
        error::{DbError, Kind},
        flow::{Flow, PIECE},
        value::{Column, Execution, Value},
    },
    telemetry::{self, SQL},
};

/// Time that the host waits beyond the engine's own timeout, so that normally the engine ends the statement.
pub(super) const GRACE: Duration = Duration::from_millis(500);

/// Number of rows between two reads of the clock. A read of the clock takes about as much time as the decoding of one
/// value.
const CLOCK: usize = 32;

/// Number of rows of a stream that are read and dropped after a row that could not be decoded.
const MAX_DROPPED: usize = 512;

/// Receiver for the results of one statement.
#[derive(Debug)]
pub(super) struct Receiver<'a> {
    sink: Sink<'a>,
    counts: Execution,
    pub(super) limits: Limits,
    verb: Verb,
    started: Instant,
    rows: usize,
    bytes: usize,
    /// Error of a row that could not be decoded. The rows after it are read and dropped, so that the connection stays
    /// usable.
    broken: Option<DbError>,
    /// Whether the driver has reported the end of the statement.
    complete: bool,
}

/// A statement in the log.
#[derive(Debug)]
pub(super) struct Echoed {
    pub(super) component: Arc<str>,
    /// Id of the request.
    pub(super) request: Arc<str>,
    pub(super) sql: String,
    /// The parameters, with `echo_params`.
    pub(super) params: Option<String>,
}

/// Functions with which a dialect reads the results of its driver.
pub(super) struct Reader<Count, Take, Columns> {
    pub(super) map_error: fn(sqlx::Error) -> DbError,
    /// Returns the number of affected rows and the key of the last inserted row.
    pub(super) count: Count,
    /// Passes a row to [`Receiver::row`].
    pub(super) take: Take,
    /// Returns the columns of the prepared statement, for a result without rows.
    pub(super) columns: Columns,
}

/// Failure of a statement on a server.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: DbError,
    /// Whether the statement may still run, or the connection is lost. If false, the connection stays usable, and the
    /// transaction is in the state in which the server leaves it after an error.
    pub(super) is_cut_off: bool,
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        Self { is_cut_off: error.kind == Kind::Lost, error }
    }
}

impl<'a> Receiver<'a> {
    pub(super) fn new(sink: Sink<'a>, limits: Limits, verb: Verb) -> Self {
        let counts = Execution { rows_affected: 0, last_insert_id: None };
        Self { sink, counts, limits, verb, started: Instant::now(), rows: 0, bytes: 0, broken: None, complete: false }
    }

    /// Receives all results of a statement from a server's driver.
    pub(super) async fn receive<D, R>(
        &mut self,
        mut results: impl Stream<Item = Result<Either<D, R>, sqlx::Error>> + Unpin,
        reader: Reader<
            impl Fn(D) -> (u64, Option<i64>),
            impl Fn(&mut Self, R) -> Result<(), DbError>,
            impl FnOnce() -> Vec<Column>,
        >,
    ) -> Result<(), Failure> {
        while let Some(result) = results.next().await {
            match result.map_err(reader.map_error)? {
                Either::Left(done) => {
                    let (rows_affected, last_insert_id) = (reader.count)(done);
                    self.complete(rows_affected, last_insert_id);
                }
                // After an error the statement is cut off: the server continues to send the rows after this one.
                Either::Right(row) => {
                    let cut_off = |error| Failure { error, is_cut_off: true };
                    (reader.take)(self, row).map_err(cut_off)?;
                    if self.has_piece(PIECE) {
                        self.pass().await.map_err(cut_off)?;
                    }
                }
            }
        }
        if self.lacks_columns() {
            self.set_columns((reader.columns)());
        }
        self.end().map_err(|error| Failure { error, is_cut_off: false })
    }

    /// Returns the channel to the client, if the rows are streamed.
    pub(super) fn flow(&mut self) -> Option<Flow> {
        self.sink.streamed().map(|rows| rows.flow.clone())
    }

    /// Returns the rows, if they are streamed.
    pub(super) fn streamed(&mut self) -> Option<&mut StreamedRows> {
        self.sink.streamed()
    }

    /// Returns whether the rows are streamed and at least `size` bytes of them wait to be passed to the client.
    pub(super) fn has_piece(&mut self, size: usize) -> bool {
        self.broken.is_none() && self.sink.streamed().is_some_and(|rows| rows.pending() >= size)
    }

    /// Passes the rows so far to the client, and waits until the client needs more. Boxed, because few statements are
    /// streamed, and the future of every statement would contain this one.
    pub(super) fn pass(&mut self) -> Pin<Box<dyn Future<Output = Result<(), DbError>> + Send + '_>> {
        match self.sink.streamed() {
            Some(rows) => Box::pin(rows.pass()),
            None => Box::pin(ready(Ok(()))),
        }
    }

    /// Passes a row to the sink. Returns an error if a limit or the timeout is exceeded; the caller must then stop
    /// reading.
    ///
    /// The rows of a stream have neither a limit nor a timeout here: only each single row is limited, and
    /// [`Flow::limit`] limits the time of each piece.
    pub(super) fn row<'r>(
        &mut self,
        columns: impl FnOnce() -> Vec<Column>,
        names: impl Iterator<Item = &'r str>,
        values: impl Iterator<Item = Result<Value, DbError>>,
    ) -> Result<(), DbError> {
        self.rows += 1;
        let before = self.bytes;
        if self.broken.is_none() {
            match self.sink.row(columns, names, values) {
                Ok(bytes) => self.bytes += bytes,
                Err(error) if error.kind == Kind::Limit => return Err(error),
                Err(error) => self.broken = Some(error),
            }
        }
        if self.sink.streamed().is_some() {
            return self.check_streamed(self.bytes - before);
        }
        if self.rows > self.limits.max_rows || self.bytes > self.limits.max_result {
            return Err(too_large(self.limits));
        }
        if self.rows.is_multiple_of(CLOCK) && self.started.elapsed() > self.limits.statement_timeout + GRACE {
            return Err(timed_out());
        }
        Ok(())
    }

    /// Returns an error if a row of a stream, with this size, is larger than a whole result may be, or if an earlier row
    /// could not be decoded. A few rows after such a row are dropped, so that the connection stays usable if the result
    /// is short.
    fn check_streamed(&mut self, size: usize) -> Result<(), DbError> {
        if size > self.limits.max_result {
            let message = format!("a row has more than max_result = {} bytes", self.limits.max_result);
            return Err(DbError::new(Kind::Limit, message));
        }
        match self.broken.take_if(|_| self.rows.is_multiple_of(MAX_DROPPED)) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Records the counts that the driver reported at the end of the statement. The driver may repeat the count of an
    /// earlier statement, perhaps of another request. Therefore `rows_affected` is ignored for [`Verb::Query`], and
    /// `last_insert_id` for all but [`Verb::Insert`].
    pub(super) fn complete(&mut self, rows_affected: u64, last_insert_id: Option<i64>) {
        self.complete = true;
        self.counts.rows_affected += if self.verb == Verb::Query { 0 } else { rows_affected };
        self.counts.last_insert_id = last_insert_id.filter(|_| self.verb == Verb::Insert);
    }

    /// Returns the counts of the statement. MariaDB counts no affected rows for a statement with RETURNING, but returns
    /// a row for each of them.
    pub(super) fn counts(&self) -> Execution {
        let returned = match self.verb {
            Verb::Insert | Verb::Change => self.rows as u64,
            Verb::Query | Verb::With => 0,
        };
        Execution { rows_affected: self.counts.rows_affected.max(returned), ..self.counts }
    }

    /// Returns whether the sink needs the columns and has received no row to take them from.
    pub(super) fn lacks_columns(&self) -> bool {
        self.sink.lacks_columns()
    }

    /// Sets the columns of a result without rows.
    pub(super) fn set_columns(&mut self, columns: Vec<Column>) {
        self.sink.set_columns(columns);
    }

    /// Returns whether the driver has reported the end of the statement.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Returns the error of a row that could not be decoded.
    pub(super) fn check(&mut self) -> Result<(), DbError> {
        self.broken.take().map_or(Ok(()), Err)
    }

    /// Ends the statement after the driver's last result.
    ///
    /// # Errors
    ///
    /// Returns the error of a row that could not be decoded. Returns [`Kind::Lost`] if the results stop before the
    /// driver has reported the end of the statement: the connection broke down, and the result is incomplete rather
    /// than empty.
    pub(super) fn end(&mut self) -> Result<(), DbError> {
        self.check()?;
        if self.complete { Ok(()) } else { Err(cut_short()) }
    }

    /// Logs the statement, for `echo`.
    pub(super) fn echo(&self, statement: Echoed) {
        let Echoed { component, request, sql, mut params } = statement;
        if let Some(params) = &mut params {
            telemetry::cut(params);
        }
        let (component, request, us) = (&*component, &*request, telemetry::micros(self.started.elapsed()));
        let (rows, affected) = (self.rows, self.counts().rows_affected);
        tracing::info!(target: SQL, component, request, sql, params, rows, affected, us, "statement");
    }
}

/// Error for results that stop before the end of the statement.
pub(super) fn cut_short() -> DbError {
    DbError::new(Kind::Lost, "the database connection broke down while the statement ran; its result is incomplete")
        .retryable()
}

/// Error for a result that exceeds `max_rows` or `max_result`.
pub(super) fn too_large(Limits { max_rows, max_result, .. }: Limits) -> DbError {
    let message =
        format!("the statement returns more than {max_rows} rows or {max_result} bytes; query fewer or smaller rows");
    DbError::new(Kind::Limit, message)
}

/// Error for a statement that exceeds `statement_timeout`.
pub(super) fn timed_out() -> DbError {
    DbError::new(Kind::Timeout, "the statement ran longer than database.statement_timeout allows")
}
