//! Opens connections to an SQLite file, and decides which connections of a pool are lent again.

use std::{io, path::Path, sync::Arc, time::Duration};

use deadpool::managed::{self, Metrics, Object, Pool, RecycleResult};
use rustix::fs::Access;
use sqlx::{
    ConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};

use super::{barrier::Barrier, error::map_error, memory, wal::Wal};
use crate::{
    config,
    database::{
        hand_over::OpenTransaction,
        pool::{lend_again, not_lent},
        schema_epoch::SchemaEpoch,
    },
    sql::error::{DbError, Kind},
};

/// Returns the path in the URL, without the driver's parser: a path may contain `?` and `%`.
///
/// # Errors
///
/// Returns an error if the folder does not exist, or if the path is that of a folder.
pub(crate) fn path(config: &config::DatabaseConfig) -> Result<&Path, DbError> {
    let path = Path::new(config.url.strip_prefix("sqlite://").unwrap_or(&config.url));
    let refused = |reason: String| Err(DbError::new(Kind::Other, reason));
    if path.is_dir() {
        return refused(format!("{} is a folder; add the name of a file", path.display()));
    }
    match path.parent().filter(|folder| *folder != "") {
        Some(folder) => match folder.metadata() {
            Ok(found) if found.is_dir() => Ok(path),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                refused(format!("the host's user must be able to use the folder {}: {error}", folder.display()))
            }
            _ => refused(format!("there is no folder {}; create it, or correct the path", folder.display())),
        },
        None => Ok(path),
    }
}

/// Adds the path to an error of opening a file, and the reason, which SQLite does not report.
pub(super) fn explain(path: &Path, error: DbError) -> DbError {
    use libsqlite3_sys::{
        SQLITE_BUSY, SQLITE_CANTOPEN, SQLITE_CORRUPT, SQLITE_IOERR, SQLITE_LOCKED, SQLITE_NOTADB, SQLITE_READONLY,
    };
    let extended: i32 = error.code.as_deref().and_then(|code| code.parse().ok()).unwrap_or_default();
    let reason = match extended & 0xff {
        SQLITE_CANTOPEN | SQLITE_READONLY | SQLITE_IOERR => denial(path),
        SQLITE_NOTADB => Some("is not an SQLite database; choose another path, where the host creates one".to_owned()),
        SQLITE_BUSY | SQLITE_LOCKED => {
            Some("is locked by another process; end its transaction, or raise `busy_timeout`".to_owned())
        }
        SQLITE_CORRUPT => Some(format!("is damaged ({}); restore a copy", error.message)),
        _ => None,
    };
    let message = match reason {
        Some(reason) => format!("{} {reason}", path.display()),
        None => format!("{}: {}", path.display(), error.message),
    };
    DbError { message, ..error }
}

/// Returns the reason why a file cannot be opened: the system denies access to it or to its folder.
fn denial(path: &Path) -> Option<String> {
    let denied = |path: &Path, access| rustix::fs::access(path, access).err().map(io::Error::from);
    if path.exists()
        && let Some(error) = denied(path, Access::READ_OK | Access::WRITE_OK)
    {
        return Some(format!("must be readable and writable for the host's user: {error}"));
    }
    let folder = path.parent().filter(|folder| *folder != "").unwrap_or(Path::new("."));
    let error = denied(folder, Access::WRITE_OK | Access::EXEC_OK)?;
    Some(format!("is in a folder that must be writable for the host's user, for SQLite's log: {error}"))
}

/// Opens a connection. All connections of the process are opened here, so that SQLite's allocator is configured before
/// the first connection.
pub(crate) async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    memory::install()?;
    options.connect().await
}

/// Opens a connection to a file without creating or changing it. Returns `None` if the file does not exist yet.
pub(in crate::database) async fn connect_existing(
    config: &config::DatabaseConfig,
) -> Result<Option<SqliteConnection>, DbError> {
    let path = path(config)?;
    if !path.exists() {
        return Ok(None);
    }
    let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(config.busy_timeout);
    let opening = async {
        let mut connection = connect(&options).await.map_err(map_error)?;
        touch(&mut connection).await?;
        Ok(connection)
    };
    opening.await.map(Some).map_err(|error| explain(path, error))
}

/// Makes the connection open the file and its log. SQLite opens them only at the first statement.
pub(super) async fn touch(connection: &mut SqliteConnection) -> Result<(), DbError> {
    sqlx::query("SELECT 1 FROM sqlite_schema").fetch_optional(connection).await.map(drop).map_err(map_error)
}

/// Takes a connection out of the pool, or opens one.
pub(super) async fn acquire(pool: &Pool<Opener>) -> Result<Object<Opener>, DbError> {
    let Opener { name, wal, .. } = pool.manager();
    // SQLite permits one writer, so a larger pool of writers would not help.
    let keys = if wal.is_some() { "acquire_timeout" } else { "max_connections or acquire_timeout" };
    pool.get().await.map_err(|error| not_lent(pool, error, name, keys))
}

/// Manager of a pool: opens its connections and decides which of them are lent again.
#[derive(Debug)]
pub(super) struct Opener {
    /// Name of the database, for errors of its pools.
    pub(super) name: String,
    pub(super) options: SqliteConnectOptions,
    /// Log to which the connections write. `None` for readers.
    pub(super) wal: Option<Arc<Wal>>,
    pub(super) max_lifetime: Duration,
    pub(super) schema_epoch: SchemaEpoch,
    pub(super) max_memory: usize,
    pub(super) echo: bool,
}

/// A connection of the driver in a pool, and its barrier.
#[derive(Debug)]
pub(super) struct PooledConnection {
    pub(super) connection: SqliteConnection,
    pub(super) barrier: Arc<Barrier>,
    pub(super) open: OpenTransaction,
    schema_epoch: u64,
}

impl managed::Manager for Opener {
    type Type = PooledConnection;
    type Error = DbError;

    async fn create(&self) -> Result<PooledConnection, DbError> {
        let schema_epoch = self.schema_epoch.current();
        // Boxed, because the future of every borrower contains this future, but few borrowers open a connection.
        let connecting = Box::pin(connect(&self.options));
        let mut connection = connecting.await.map_err(map_error)?;
        let barrier = Barrier::install(&mut connection, self.max_memory).await.map_err(map_error)?;
        // Load the schema now, before `Budget` counts memory: a large schema must not cause the connection to be
        // closed.
        touch(&mut connection).await?;
        if let Some(wal) = &self.wal {
            wal.open().map_err(|error| map_error(error.into()))?;
        }
        if self.echo {
            tracing::info!(target: "carya::pool", file = %self.options.get_filename().display(), "connection opened");
        }
        Ok(PooledConnection { connection, barrier, open: OpenTransaction::Nothing, schema_epoch })
    }

    async fn recycle(&self, pooled: &mut PooledConnection, metrics: &Metrics) -> RecycleResult<DbError> {
        lend_again(pooled.schema_epoch == self.schema_epoch.current(), metrics, self.max_lifetime, self.echo)
    }
}
