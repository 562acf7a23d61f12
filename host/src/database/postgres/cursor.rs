//! Rows of a query by a cursor, in batches that each have the time of a statement. While the client has not taken a
//! batch, no statement runs on the server.
//!
//! The driver has no portals with a limit, so the cursor is one of SQL. It is a binary one, because a message without
//! parameters, which needs a single round trip, returns rows as text otherwise.

use std::mem;

use futures_util::StreamExt;
use sqlx::{
    AssertSqlSafe, Executor, PgConnection, Row, Statement as _,
    postgres::{PgArguments, PgColumn, PgStatement},
};

use super::{
    PgSession,
    error::map_error,
    statement::{self, parameter_types, prepared, query_batch},
    values,
};
use crate::{
    database::receiver::{Failure, Receiver},
    gate::Placeholder,
    sql::{
        error::{DbError, Kind, Stale},
        flow::PIECE,
        value::Value,
    },
};

/// Name of the cursor. Guests cannot use it: the gate accepts no `FETCH`.
const CURSOR: &str = "carya_rows";
/// Number of rows of the first batch, before the size of a row is known.
const FIRST_BATCH: usize = 100;
/// Maximum number of rows of a batch.
const MAX_BATCH: usize = 500;
/// Size of a batch in bytes that the host tries to reach.
const BATCH_SIZE: usize = 2 * PIECE;

/// Prepares a query and passes its rows to a client in pieces.
pub(in crate::database) async fn stream(
    session: &mut PgSession,
    sql: &str,
    placeholders: &[Placeholder],
    params: Vec<Value>,
    receiver: &mut Receiver<'_>,
) -> Result<(), Failure> {
    let PgSession { connection, last_text, has_cursor, .. } = session;
    let (statement, arguments) = statement::prepare(connection, sql, placeholders, params, last_text).await?;
    if mem::replace(has_cursor, true) {
        query_batch(connection, format!("CLOSE {CURSOR}")).await?;
    }
    declare(connection, &statement, arguments).await?;
    let columns = statement.columns();
    let timeout = receiver.streamed().map(|rows| rows.timeout).unwrap_or_default();
    // The server would end the session if the client took longer for a batch than the default timeout.
    let mut setting = format!("SET LOCAL idle_in_transaction_session_timeout = {}; ", timeout.as_millis().max(1));
    let mut batch = FIRST_BATCH;
    loop {
        let before = receiver.streamed().map_or(0, |rows| rows.total());
        let fetch = format!("{}FETCH {batch} FROM {CURSOR}", mem::take(&mut setting));
        let rows = fetch_batch(connection, fetch, columns, receiver).await?;
        receiver.check().map_err(between_batches)?;
        if receiver.has_piece(PIECE) {
            receiver.pass().await.map_err(between_batches)?;
        }
        if rows < batch {
            break;
        }
        let Some(streamed) = receiver.streamed() else { break };
        // The server limits the time of each batch.
        streamed.flow.made_progress();
        let size = streamed.total() - before;
        batch = (BATCH_SIZE * rows / size.max(1)).clamp(1, MAX_BATCH);
    }
    receiver.complete(0, None);
    if receiver.lacks_columns() {
        receiver.set_columns(columns.iter().map(values::column).collect());
    }
    receiver.end().map_err(between_batches)
}

/// Failure while no statement runs on the server, so that the connection stays usable.
fn between_batches(error: DbError) -> Failure {
    Failure { error, is_cut_off: false }
}

/// Opens the cursor with the text and the arguments of a prepared query.
async fn declare(connection: &mut PgConnection, query: &PgStatement, arguments: PgArguments) -> Result<(), DbError> {
    let text = format!("DECLARE {CURSOR} BINARY NO SCROLL CURSOR FOR {}", query.sql().as_str());
    let declare = prepared(connection, text.into()).await?;
    // The arguments are encoded for the types of the query.
    let oids = |statement| parameter_types(statement).iter().map(|type_info| type_info.oid());
    if !oids(query).eq(oids(&declare)) {
        return Err(schema_changed());
    }
    connection.execute(declare.query_with(arguments)).await.map(drop).map_err(map_error)
}

/// Runs a message that ends with a FETCH, and returns the number of its rows.
async fn fetch_batch(
    connection: &mut PgConnection,
    fetch: String,
    columns: &[PgColumn],
    receiver: &mut Receiver<'_>,
) -> Result<usize, Failure> {
    let version = connection.server_version_num().unwrap_or_default();
    let mut results = sqlx::raw_sql(AssertSqlSafe(fetch)).fetch(connection);
    let cut_off = |error| Failure { error, is_cut_off: true };
    let mut count = 0;
    while let Some(row) = results.next().await {
        let row = row.map_err(map_error)?;
        count += 1;
        if count == 1 && !have_same_types(row.columns(), columns) {
            return Err(cut_off(schema_changed()));
        }
        // The driver does not look up the types of the columns in an answer to a message without parameters.
        let (names, limits) = (columns.iter().map(sqlx::Column::name), receiver.limits);
        let each = values::decode_each(&row, columns, version, limits);
        receiver.row(|| columns.iter().map(values::column).collect(), names, each).map_err(cut_off)?;
        // Only wide rows make a batch this large. Usually the whole batch is read before the client takes it, so that no
        // statement waits for the client.
        if receiver.has_piece(receiver.limits.max_result) {
            receiver.pass().await.map_err(cut_off)?;
        }
    }
    Ok(count)
}

fn have_same_types(actual: &[PgColumn], known: &[PgColumn]) -> bool {
    let oids =
        |columns: &[PgColumn]| columns.iter().map(|column| sqlx::Column::type_info(column).oid()).collect::<Vec<_>>();
    oids(actual) == oids(known)
}

fn schema_changed() -> DbError {
    let message = "the schema has changed since the statement was prepared on this connection";
    DbError { stale: Stale::Yes, ..DbError::new(Kind::Other, message) }
}
