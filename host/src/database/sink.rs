//! Destinations for the rows of a guest's statement, and the limits on these rows. Independent of any engine.

use std::time::{Duration, Instant};

use super::Limits;
use crate::{
    gate::Verb,
    sql::{
        error::{DbError, Kind},
        value::{Column, Execution, JsonRows, Rows, Value},
    },
};

/// Time that the host waits beyond the engine's own timeout, so that normally the engine ends the statement.
pub(super) const GRACE: Duration = Duration::from_millis(500);

/// Number of rows between two reads of the clock. One read costs about as much as one value.
const CLOCK: usize = 32;

/// Destination of rows.
#[derive(Debug)]
pub(super) enum Sink<'a> {
    /// All rows, as values.
    Rows(&'a mut Rows),
    /// The values of the first row. The other rows are read and dropped, because an `INSERT .. RETURNING` must run to
    /// its end.
    First(&'a mut Option<Vec<Value>>),
    /// All rows, as JSON text.
    Json(&'a mut JsonRows),
    /// No destination: rows are dropped.
    Nothing,
}

impl Sink<'_> {
    /// Takes a row. Returns the number of bytes kept of it.
    fn row<'r>(
        &mut self,
        columns: impl FnOnce() -> Vec<Column>,
        names: impl Iterator<Item = &'r str>,
        values: impl Iterator<Item = Result<Value, DbError>>,
    ) -> Result<usize, DbError> {
        match self {
            Sink::Rows(all) => {
                if all.rows.is_empty() {
                    all.columns = columns();
                }
                let row: Vec<Value> = values.collect::<Result<_, _>>()?;
                let bytes = row.iter().map(|value| value.size() + size_of::<Value>()).sum();
                all.rows.push(row);
                Ok(bytes)
            }
            Sink::First(first @ None) => {
                **first = Some(values.collect::<Result<_, _>>()?);
                Ok(0)
            }
            Sink::Json(json) => {
                let before = json.size();
                json.start_row(names);
                for (index, value) in values.enumerate() {
                    json.value(index, &value?)?;
                }
                json.end_row();
                Ok(json.size() - before)
            }
            Sink::First(Some(_)) | Sink::Nothing => Ok(0),
        }
    }

    /// Returns whether the sink needs the columns and has received no row to take them from.
    pub(super) fn lacks_columns(&self) -> bool {
        matches!(self, Sink::Rows(all) if all.rows.is_empty())
    }

    /// Sets the columns of a result without rows.
    pub(super) fn columns(&mut self, columns: Vec<Column>) {
        if let Sink::Rows(all) = self {
            all.columns = columns;
        }
    }
}

/// A running statement: its limits, and its progress.
#[derive(Debug)]
pub(super) struct Run<'a, 's> {
    pub(super) sink: &'a mut Sink<'s>,
    pub(super) done: Execution,
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

impl<'a, 's> Run<'a, 's> {
    pub(super) fn new(sink: &'a mut Sink<'s>, limits: Limits, verb: Verb) -> Self {
        let done = Execution { rows_affected: 0, last_insert_id: None };
        Self { sink, done, limits, verb, started: Instant::now(), rows: 0, bytes: 0, broken: None, complete: false }
    }

    /// Takes a row. After an error the caller must stop reading: a limit or the timeout is exceeded.
    pub(super) fn row<'r>(
        &mut self,
        columns: impl FnOnce() -> Vec<Column>,
        names: impl Iterator<Item = &'r str>,
        values: impl Iterator<Item = Result<Value, DbError>>,
    ) -> Result<(), DbError> {
        self.rows += 1;
        if self.broken.is_none() {
            match self.sink.row(columns, names, values) {
                Ok(bytes) => self.bytes += bytes,
                Err(error) if error.kind == Kind::Limit => return Err(error),
                Err(error) => self.broken = Some(error),
            }
        }
        if self.rows > self.limits.max_rows || self.bytes > self.limits.max_result {
            return Err(too_much(self.limits));
        }
        if self.rows.is_multiple_of(CLOCK) && self.started.elapsed() > self.limits.statement_timeout + GRACE {
            return Err(too_long());
        }
        Ok(())
    }

    /// Records the counts that the driver reported at the end of the statement. The driver may repeat the count of an
    /// earlier statement, perhaps of another request. Therefore `rows_affected` is ignored for [`Verb::Query`], and
    /// `last_insert_id` for all but [`Verb::Insert`].
    pub(super) fn did(&mut self, rows_affected: u64, last_insert_id: Option<i64>) {
        self.complete = true;
        self.done.rows_affected += if self.verb == Verb::Query { 0 } else { rows_affected };
        self.done.last_insert_id = last_insert_id.filter(|_| self.verb == Verb::Insert);
    }

    /// Returns whether the driver has reported the end of the statement.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Ends the statement after the driver's last result.
    ///
    /// # Errors
    ///
    /// Returns the error of a row that could not be decoded. Returns [`Kind::Lost`] if the results stop before the
    /// driver has reported the end of the statement: the connection broke down, and the result is incomplete rather
    /// than empty.
    pub(super) fn end(&mut self) -> Result<(), DbError> {
        match self.broken.take() {
            Some(error) => Err(error),
            None if self.complete => Ok(()),
            None => Err(cut_short()),
        }
    }

    /// Logs the statement, for `echo`.
    pub(super) fn echo(&self, sql: &str, params: Option<&str>) {
        let (rows, affected, took) = (self.rows, self.done.rows_affected, self.started.elapsed());
        tracing::info!(target: "carya::sql", sql, params, rows, affected, ?took, "statement");
    }
}

/// Returns the parameters as text for the log, if `echo` and `echo_params` are set.
pub(super) fn shown(params: &[Value], limits: Limits) -> Option<String> {
    (limits.echo && limits.echo_params).then(|| format!("{params:?}"))
}

/// Error for results that stop before the end of the statement.
pub(super) fn cut_short() -> DbError {
    DbError::new(Kind::Lost, "the database connection broke down while the statement ran; its result is incomplete")
        .retryable()
}

/// Error for a result that exceeds `max_rows` or `max_result`.
pub(super) fn too_much(Limits { max_rows, max_result, .. }: Limits) -> DbError {
    let message =
        format!("the statement returns more than {max_rows} rows or {max_result} bytes; ask for less at a time");
    DbError::new(Kind::Limit, message)
}

/// Error for a statement that exceeds `statement_timeout`.
pub(super) fn too_long() -> DbError {
    DbError::new(Kind::Timeout, "the statement ran longer than database.statement_timeout allows")
}
