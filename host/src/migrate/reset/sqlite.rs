//! Empties an SQLite file in place, so that a process that opens it later finds the same file.

use std::path::PathBuf;

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteLockingMode},
};

use super::{CLOSE_TIMEOUT, Error};
use crate::{config, database::sqlite, migrate::OwnerConnection};

/// Query for the objects to drop: views, then virtual tables, then all other tables. Virtual tables precede other
/// tables, because their shadow tables are dropped with them.
const OBJECTS: &str = r"
    SELECT type, name FROM sqlite_schema
    WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
    ORDER BY type = 'view' DESC, sql LIKE 'CREATE VIRTUAL%' DESC";

/// Locks the file, saves a copy beside it, and drops everything in it. The returned connection holds the lock.
pub(super) async fn empty(config: &config::DatabaseConfig, name: &str) -> Result<(OwnerConnection, PathBuf), Error> {
    let path = sqlite::opener::path(config)?;
    let own = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.is_empty() && name != own {
        return Err(Error::NotConfirmed { name: own });
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .foreign_keys(false)
        .locking_mode(SqliteLockingMode::Exclusive)
        .busy_timeout(CLOSE_TIMEOUT)
        .disable_statement_logging();
    let mut connection = sqlite::opener::connect(&options).await?;
    lock(&mut connection).await?;
    let now: String = sqlx::query_scalar("SELECT strftime('%Y%m%dT%H%M%SZ')").fetch_one(&mut connection).await?;
    let copy = path.with_file_name(format!("{own}.{now}"));
    let target = copy.to_str().ok_or_else(|| Error::NotSaved { reason: "its path is not UTF-8".to_owned() })?;
    let copying = sqlx::query("VACUUM INTO ?").bind(target).execute(&mut connection).await;
    copying.map_err(|error| Error::NotSaved { reason: format!("{}: {error}", copy.display()) })?;
    match delete_all(&mut connection).await {
        Ok(()) => Ok((OwnerConnection::Sqlite(connection), copy)),
        Err(source) => Err(Error::NotEmptied { source, saved: Some(copy) }),
    }
}

/// Locks the file exclusively. Fails if another connection is open, because SQLite leaves WAL mode only without other
/// connections.
async fn lock(connection: &mut SqliteConnection) -> Result<(), Error> {
    let left = sqlx::query_scalar::<_, String>("PRAGMA journal_mode = DELETE").fetch_one(&mut *connection).await;
    let locked = match left {
        Ok(mode) if mode == "delete" => sqlx::raw_sql("BEGIN EXCLUSIVE; COMMIT").execute(connection).await.map(drop),
        Ok(_) => return Err(Error::InUse { users: String::new() }),
        Err(error) => Err(error),
    };
    locked.map_err(|error| match error.as_database_error().and_then(|error| error.code()) {
        // SQLITE_BUSY, with any of its extended codes.
        Some(code) if code.parse::<i32>().is_ok_and(|code| code & 0xff == 5) => Error::InUse { users: String::new() },
        _ => error.into(),
    })
}

async fn delete_all(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let objects: Vec<(String, String)> = sqlx::query_as(OBJECTS).fetch_all(&mut *transaction).await?;
    for (kind, name) in objects {
        let name = name.replace('"', "\"\"");
        let drop = format!("DROP {kind} IF EXISTS \"{name}\"");
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}
