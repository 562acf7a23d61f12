//! Handlers of the workloads with a database. Each request runs in one explicit transaction. Sizes of pools and
//! settings of connections are the same as in the host.

use std::time::Duration;

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sqlx::{
    ConnectOptions, Pool, Row,
    mysql::MySqlConnectOptions,
    pool::PoolOptions,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::work::{Failed, json};

/// Maximum number of retries of a request, the same as `retries = 10` of the host.
const RETRIES: u32 = 10;
const SQLITE_READERS: u32 = 4;
const SERVER_CONNECTIONS: u32 = 10;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

const HUNDRED: &str = "SELECT id, name, price_cents, stock FROM items ORDER BY id LIMIT 100";

#[derive(Serialize)]
struct Item<'a> {
    id: i64,
    name: &'a str,
    price_cents: i64,
    stock: i64,
}

#[derive(Deserialize)]
struct Order {
    item_id: i64,
    quantity: i64,
}

#[derive(Serialize)]
struct Created {
    id: i64,
}

#[derive(Serialize)]
struct Counted {
    n: i64,
}

struct Store<D: sqlx::Database> {
    readers: Pool<D>,
    writers: Pool<D>,
}

impl<D: sqlx::Database> Clone for Store<D> {
    fn clone(&self) -> Self {
        Self { readers: self.readers.clone(), writers: self.writers.clone() }
    }
}

fn pool<D: sqlx::Database>(size: u32) -> PoolOptions<D> {
    PoolOptions::new().max_connections(size).acquire_timeout(ACQUIRE_TIMEOUT).test_before_acquire(false)
}

/// Connects to the database of the URL, on any engine, and returns the routes.
pub(crate) async fn routes(url: &str) -> anyhow::Result<Router> {
    if let Some(file) = url.strip_prefix("sqlite://") {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(1))
            .pragma("temp_store", "MEMORY")
            .disable_statement_logging();
        let writers = pool(1).connect_with(options.clone()).await?;
        let readers = pool(SQLITE_READERS).connect_with(options.read_only(true).pragma("query_only", "ON")).await?;
        Ok(sqlite::routes(Store { readers, writers }))
    } else if url.starts_with("postgres://") {
        let options = url.parse::<PgConnectOptions>()?.disable_statement_logging();
        let pool = pool(SERVER_CONNECTIONS).connect_with(options).await?;
        Ok(postgres::routes(Store { readers: pool.clone(), writers: pool }))
    } else {
        let options = url.parse::<MySqlConnectOptions>()?.disable_statement_logging();
        let pool = pool(SERVER_CONNECTIONS).connect_with(options).await?;
        Ok(mariadb::routes(Store { readers: pool.clone(), writers: pool }))
    }
}

/// Returns whether a statement failed because of a concurrent transaction.
fn is_conflict(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    // SQLSTATEs of PostgreSQL's serialization failures and deadlocks. MySQL uses 40001 for both.
    matches!(code.as_deref(), Some("40001" | "40P01"))
}

/// Returns the delay before another attempt, with the same formula as the host.
fn back_off(attempt: u32) -> Duration {
    let most: u64 = 10_000 << attempt.min(6);
    Duration::from_micros(rand::random_range(most / 2..most))
}

/// Defines the handlers for one engine. The engines differ in the driver's types, the statements that begin a
/// transaction, and the placeholders.
macro_rules! engine {
    ($engine:ident, $database:ty, read $read:literal, write $write:literal, serial $serial:expr, $one:literal, $two:literal) => {
        mod $engine {
            use super::*;

            pub(super) fn routes(store: Store<$database>) -> Router {
                Router::new()
                    .route("/items/{id}", get(one))
                    .route("/rows/{how}", get(hundred))
                    .route("/orders", post(order))
                    .route("/counter", post(count))
                    .with_state(store)
            }

            async fn one(State(store): State<Store<$database>>, Path(id): Path<i64>) -> Result<Response, Failed> {
                let mut transaction = store.readers.begin_with($read).await?;
                let sql = concat!("SELECT id, name, price_cents, stock FROM items WHERE id = ", $one);
                let row = sqlx::query(sql).bind(id).fetch_one(&mut *transaction).await?;
                let answer = json(StatusCode::OK, &item(&row)?)?;
                transaction.commit().await?;
                Ok(answer)
            }

            /// Ignores `how`: native code has only one way to read the rows.
            async fn hundred(State(store): State<Store<$database>>) -> Result<Response, Failed> {
                let mut transaction = store.readers.begin_with($read).await?;
                let rows = sqlx::query(HUNDRED).fetch_all(&mut *transaction).await?;
                let answer = json(StatusCode::OK, &rows.iter().map(item).collect::<Result<Vec<_>, _>>()?)?;
                transaction.commit().await?;
                Ok(answer)
            }

            fn item(row: &<$database as sqlx::Database>::Row) -> Result<Item<'_>, sqlx::Error> {
                Ok(Item {
                    id: row.try_get(0)?,
                    name: row.try_get(1)?,
                    price_cents: row.try_get(2)?,
                    stock: row.try_get(3)?,
                })
            }

            async fn order(State(store): State<Store<$database>>, body: Bytes) -> Result<Response, Failed> {
                let order: Order = serde_json::from_slice(&body)?;
                let mut transaction = store.writers.begin_with($write).await?;
                let sql =
                    concat!("INSERT INTO orders (item_id, quantity) VALUES (", $one, ", ", $two, ") RETURNING id");
                let insert = sqlx::query(sql).bind(order.item_id).bind(order.quantity);
                let id = insert.fetch_one(&mut *transaction).await?.try_get(0)?;
                transaction.commit().await?;
                json(StatusCode::CREATED, &Created { id })
            }

            async fn count(State(store): State<Store<$database>>) -> Result<Response, Failed> {
                let mut attempt = 0;
                loop {
                    match increment(&store).await {
                        Ok(n) => return json(StatusCode::OK, &Counted { n }),
                        Err(error) if is_conflict(&error) && attempt < RETRIES => {
                            tokio::time::sleep(back_off(attempt)).await;
                            attempt += 1;
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
            }

            async fn increment(store: &Store<$database>) -> Result<i64, sqlx::Error> {
                let mut transaction = serial(store).await?;
                let select = sqlx::query("SELECT n FROM counters WHERE id = 1");
                let n: i64 = select.fetch_one(&mut *transaction).await?.try_get(0)?;
                let sql = concat!("UPDATE counters SET n = ", $one, " WHERE id = 1");
                sqlx::query(sql).bind(n + 1).execute(&mut *transaction).await?;
                transaction.commit().await?;
                Ok(n + 1)
            }

            async fn serial(store: &Store<$database>) -> Result<sqlx::Transaction<'static, $database>, sqlx::Error> {
                store.writers.begin_with($serial).await
            }
        }
    };
}

engine! { sqlite, sqlx::Sqlite, read "BEGIN", write "BEGIN IMMEDIATE", serial "BEGIN IMMEDIATE", "?", "?" }
engine! {
    postgres, sqlx::Postgres, read "BEGIN READ ONLY", write "BEGIN", serial "BEGIN ISOLATION LEVEL SERIALIZABLE", "$1", "$2"
}
engine! {
    mariadb, sqlx::MySql, read "START TRANSACTION READ ONLY", write "START TRANSACTION",
    // A client that disconnects cancels its handler, possibly while it begins a transaction. The pool then lends a
    // connection with an open transaction, in which the isolation level cannot be set.
    serial "ROLLBACK; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; START TRANSACTION", "?", "?"
}
