//! Where the rows of a guest's statement go, and what they may amount to. Knows no engine.

use std::time::{Duration, Instant};

use super::{
    Limits,
    error::{DbError, Kind},
    guard::Verb,
    value::{Column, Execution, JsonRows, Rows, Value},
};

/// How much longer than the engine the host waits for the end of a statement: the engine's own timeout comes first.
pub(super) const GRACE: Duration = Duration::from_millis(500);

/// After how many rows there is a look at the clock, which costs as much as a value.
const CLOCK: usize = 32;

/// Where rows go.
#[derive(Debug)]
pub(super) enum Sink<'a> {
    /// All of them, as values.
    Rows(&'a mut Rows),
    /// The values of the first; the rest is read to its end, since an INSERT .. RETURNING must not stop half way.
    First(&'a mut Option<Vec<Value>>),
    /// All of them, as JSON text.
    Json(&'a mut JsonRows),
    /// Nowhere.
    Nothing,
}

impl Sink<'_> {
    /// Takes a row, and tells how many bytes of it are kept.
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

    /// Whether columns are wanted that no row has told.
    pub(super) fn lacks_columns(&self) -> bool {
        matches!(self, Sink::Rows(all) if all.rows.is_empty())
    }

    /// Takes the columns of a result without rows.
    pub(super) fn columns(&mut self, columns: Vec<Column>) {
        if let Sink::Rows(all) = self {
            all.columns = columns;
        }
    }
}

/// One running statement: its limits, and what it did so far.
#[derive(Debug)]
pub(super) struct Run<'a, 's> {
    pub(super) sink: &'a mut Sink<'s>,
    pub(super) done: Execution,
    pub(super) limits: Limits,
    verb: Verb,
    started: Instant,
    rows: usize,
    bytes: usize,
    /// A row that could not be taken. The rest is read past, so that the connection stays in order.
    broken: Option<DbError>,
    /// The driver has reported the end of the statement.
    complete: bool,
}

impl<'a, 's> Run<'a, 's> {
    pub(super) fn new(sink: &'a mut Sink<'s>, limits: Limits, verb: Verb) -> Self {
        let done = Execution { rows_affected: 0, last_insert_id: None };
        Self { sink, done, limits, verb, started: Instant::now(), rows: 0, bytes: 0, broken: None, complete: false }
    }

    /// Takes a row. An error means to stop here: it is one too many, or too late.
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

    /// Takes what a statement did. Where it has no such number, the driver may tell that of one before it, perhaps of
    /// another request.
    pub(super) fn did(&mut self, rows_affected: u64, last_insert_id: Option<i64>) {
        self.complete = true;
        self.done.rows_affected += if self.verb == Verb::Query { 0 } else { rows_affected };
        self.done.last_insert_id = last_insert_id.filter(|_| self.verb == Verb::Insert);
    }

    /// Whether the driver has reported the end of the statement.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Ends the statement when the driver has no more results.
    ///
    /// # Errors
    ///
    /// The error of a row that could not be taken; [`Kind::Lost`] where the results stop before the driver has reported
    /// the end of the statement, which is no empty result but a connection that broke down.
    pub(super) fn end(&mut self) -> Result<(), DbError> {
        match self.broken.take() {
            Some(error) => Err(error),
            None if self.complete => Ok(()),
            None => Err(cut_short()),
        }
    }

    /// Tells the log, where it is to know.
    pub(super) fn echo(&self, sql: &str, params: Option<&str>) {
        let (rows, affected, took) = (self.rows, self.done.rows_affected, self.started.elapsed());
        tracing::info!(target: "carya::sql", sql, params, rows, affected, ?took, "statement");
    }
}

/// The parameters as the log may show them.
pub(super) fn shown(params: &[Value], limits: Limits) -> Option<String> {
    (limits.echo && limits.echo_params).then(|| format!("{params:?}"))
}

/// The driver's results stop before the end of the statement.
pub(super) fn cut_short() -> DbError {
    DbError::new(Kind::Lost, "the database connection broke down while the statement ran; its result is incomplete")
        .retryable()
}

/// The statement returns more than it may.
pub(super) fn too_much(Limits { max_rows, max_result, .. }: Limits) -> DbError {
    let message =
        format!("the statement returns more than {max_rows} rows or {max_result} bytes; ask for less at a time");
    DbError::new(Kind::Limit, message)
}

/// The statement ran longer than it may.
pub(super) fn too_long() -> DbError {
    DbError::new(Kind::Timeout, "the statement ran longer than database.statement_timeout allows")
}
