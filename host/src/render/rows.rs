//! Rows as the body of a response. A small result is read in one go. On a read-only request, a larger result is
//! streamed: this module reads its first piece, so that early failures still get their status.

use std::mem;

use crate::{
    component::{
        Component, RequestState,
        answer::{RowsFormat, RowsQuery},
    },
    config::Access,
    database::{Size, StatementHash},
    error::Failure,
    message::Limits,
    render::Wanted,
    sql::{
        Kind, Sink, Statement,
        csv::CsvRows,
        error::{DbError, statement_excerpt},
        flow::{PIECE, RowsText},
        json::{JsonRows, Layout},
    },
    transaction::{Begun, Bound, RowStream, Session, Trace},
};

/// Rows of a response.
pub(super) enum Rows {
    /// All rows.
    Complete(String),
    /// Rows that are streamed. `None` if the client only requested the head.
    Streamed(Option<Box<RowStream>>),
}

/// Runs the query of a `rows` body.
pub(super) async fn render(
    query: RowsQuery,
    component: &Component,
    state: &mut RequestState,
    limits: &Limits,
    wanted: Wanted,
) -> Result<Rows, Failure> {
    let RequestState { request, bound, trace, .. } = &mut *state;
    let is_streamable = bound.access() == Access::ReadOnly && wanted != Wanted::Complete;
    let session = bound
        .session()
        .ok_or_else(|| Failure::invalid_response("the response has a `rows` body on a request without a database"))?;
    let statement = Statement {
        component: component.name().clone(),
        request: request.id.clone(),
        sql: query.sql,
        params: query.params,
    };
    if !is_streamable {
        return read(session, trace, statement, query.format).await.map(Rows::Complete).map_err(failed);
    }
    let hash = session.streams().map(|streams| streams.hash(&statement.sql));
    let expected = hash.and_then(|hash| Some(session.streams()?.expected(hash)));
    if let Some(size @ (Size::Unknown | Size::Large)) = expected {
        return stream(statement, query.format, state, size, wanted).await;
    }
    let result = read(session, trace, statement, query.format).await;
    let outgrown = match &result {
        Ok(text) => text.len() > limits.body,
        Err(error) => error.kind == Kind::Limit,
    };
    if outgrown {
        session.outgrow();
    }
    let is_large = outgrown || result.as_ref().is_ok_and(|text| text.len() > PIECE);
    if let (true, Some(hash), Some(streams)) = (is_large, hash, session.streams()) {
        streams.learn(hash, true);
    }
    result.map(Rows::Complete).map_err(failed)
}

fn failed(error: DbError) -> Failure {
    Failure::statement(&error, "the query of the `rows` body failed")
}

/// Reads all rows.
async fn read(
    session: &mut Session,
    trace: &mut Trace,
    statement: Statement,
    format: RowsFormat,
) -> Result<String, DbError> {
    match text(format) {
        RowsText::Json(mut json) => {
            let run = session.run(trace, statement, Sink::Json(&mut json)).await;
            run.map(|_| json.finish())
        }
        RowsText::Csv(mut csv) => {
            let run = session.run(trace, statement, Sink::Csv(&mut csv)).await;
            run.map(|_| csv.finish())
        }
    }
}

fn text(format: RowsFormat) -> RowsText {
    match format {
        RowsFormat::Json => RowsText::Json(JsonRows::new(Layout::Array)),
        RowsFormat::Ndjson => RowsText::Json(JsonRows::new(Layout::Lines)),
        RowsFormat::Csv => RowsText::Csv(CsvRows::default()),
    }
}

/// Reads the first piece of the rows. If there are more, the rows are streamed.
async fn stream(
    statement: Statement,
    format: RowsFormat,
    state: &mut RequestState,
    size: Size,
    wanted: Wanted,
) -> Result<Rows, Failure> {
    let no_database = || failed(DbError::new(Kind::Other, "no [database] is configured"));
    let session = state.bound.session().ok_or_else(no_database)?;
    let streams = session.streams().ok_or_else(no_database)?;
    let (hash, timeout) = (streams.hash(&statement.sql), streams.timeout);
    // A request that waits must not hold a connection: half of them are reserved for requests that do not stream.
    let may_wait = !session.has_begun();
    let permit = match (wanted, size) {
        (Wanted::Any, Size::Large) => Some(streams.admit(may_wait).await.map_err(failed)?),
        _ => None,
    };
    session.begin(&mut state.trace).await.map_err(failed)?;
    let binding = match mem::take(&mut state.bound) {
        Bound::ReadOnly(binding) => binding,
        other => {
            state.bound = other;
            return Err(Failure::host("only a read-only request can stream rows"));
        }
    };
    // For the log, if the request is interrupted.
    state.cancelled = Some(format!("waiting for the statement `{}`", statement_excerpt(&statement.sql)));
    state.trace.add_streamed(&statement);
    let begun = binding.stream(statement, text(format), timeout).await;
    state.cancelled = None;
    let mut stream = match begun {
        Begun::Ended(binding, result) => {
            state.bound = Bound::ReadOnly(binding);
            let text = result.map_err(failed)?;
            learn(&mut state.bound, hash, text.len() > PIECE);
            return Ok(Rows::Complete(text));
        }
        Begun::Partial(stream) => stream,
    };
    state.bound = stream.take_companion().map(Bound::ReadOnly).unwrap_or_default();
    learn(&mut state.bound, hash, true);
    if wanted == Wanted::Head {
        return Ok(Rows::Streamed(None));
    }
    let session = state.bound.session().ok_or_else(no_database)?;
    let streams = session.streams().ok_or_else(no_database)?;
    let admitted = match permit {
        Some(permit) => Ok(permit),
        None => streams.admit(false).await,
    };
    match admitted {
        Ok(permit) => stream.admit(streams.open(permit)),
        Err(error) => {
            // The statement is known to be large now, so the next attempt waits for a permit.
            session.outgrow();
            return Err(failed(error));
        }
    }
    Ok(Rows::Streamed(Some(Box::new(stream))))
}

fn learn(bound: &mut Bound, hash: StatementHash, is_large: bool) {
    if let Some(streams) = bound.session().and_then(|session| session.streams()) {
        streams.learn(hash, is_large);
    }
}
