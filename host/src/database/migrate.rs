//! The schema's history: a folder of `0001_name.sql` files, run in order, each once, by sqlx's migrator.

use std::{borrow::Cow, collections::BTreeMap, path::Path};

use sqlx::{
    MySqlConnection, PgConnection, SqliteConnection,
    migrate::{Migrate, MigrateError, Migrator},
};

use super::{error::DbError, server::Link};

/// Where the migrator keeps its book.
const TABLE: &str = "_sqlx_migrations";

/// Why migrations could not be run or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder or a file in it, or a migration itself.
    #[error("migrations in {folder}: {source}")]
    Migration {
        /// The folder.
        folder: String,
        /// What the migrator says.
        source: MigrateError,
    },
    /// The database could not be reached.
    #[error("[database] cannot be opened: {0}")]
    Database(#[from] DbError),
}

impl Error {
    /// Whether it may go better the next time: it was the connection that failed.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Database(error) => error.retryable,
            Self::Migration {
                source: MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _), ..
            } => {
                matches!(error, sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_))
            }
            Self::Migration { .. } => false,
        }
    }
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Names of the migrations that were run now, as `0001_shop`.
    pub applied: Vec<String>,
    /// How many had been run before.
    pub already_applied: usize,
}

/// The database whose history it is.
#[derive(Debug)]
pub(super) enum Book {
    Sqlite(SqliteConnection),
    Postgres(Box<PgConnection>),
    MySql(Box<MySqlConnection>),
}

impl From<Link> for Book {
    fn from(link: Link) -> Self {
        match link {
            Link::Postgres(session) => Book::Postgres(Box::new(session.connection)),
            Link::MySql(session) => Book::MySql(Box::new(session.connection)),
        }
    }
}

/// Runs what is pending. Each migration runs in a transaction of its own, as far as the database can take back changes
/// of its schema; the first that fails ends the run.
pub(super) async fn run(mut book: Book, folder: &Path) -> Result<Report, Error> {
    let failed = |source| Error::Migration { folder: folder.display().to_string(), source };
    let migrator = Migrator::new(folder).await.map_err(failed)?;
    let applied = names_of_pending(Some(&mut book), &migrator).await.map_err(failed)?;
    match &mut book {
        Book::Sqlite(connection) => migrator.run_direct(None, connection, false).await,
        Book::Postgres(connection) => migrator.run_direct(None, &mut **connection, false).await,
        Book::MySql(connection) => migrator.run_direct(None, &mut **connection, false).await,
    }
    .map_err(failed)?;
    let all = migrator.iter().filter(|migration| !migration.migration_type.is_down_migration()).count();
    Ok(Report { already_applied: all - applied.len(), applied })
}

/// Names of the migrations that a run would run; without a book, on a database that is yet to be made. Only reads, and
/// fails where a run would fail before it ran any.
pub(super) async fn pending(mut book: Option<Book>, folder: &Path) -> Result<Vec<String>, Error> {
    let failed = |source| Error::Migration { folder: folder.display().to_string(), source };
    let migrator = Migrator::new(folder).await.map_err(failed)?;
    names_of_pending(book.as_mut(), &migrator).await.map_err(failed)
}

async fn names_of_pending(book: Option<&mut Book>, migrator: &Migrator) -> Result<Vec<String>, MigrateError> {
    let applied = match book {
        Some(book) => applied(book).await?,
        None => BTreeMap::new(),
    };
    if let Some(version) = applied.keys().find(|version| !migrator.version_exists(**version)) {
        return Err(MigrateError::VersionMissing(*version));
    }
    let mut names = Vec::new();
    for migration in migrator.iter().filter(|migration| !migration.migration_type.is_down_migration()) {
        match applied.get(&migration.version) {
            Some(checksum) if *checksum != migration.checksum => {
                return Err(MigrateError::VersionMismatch(migration.version));
            }
            Some(_) => {}
            None => names.push(format!("{:04}_{}", migration.version, migration.description.replace(' ', "_"))),
        }
    }
    Ok(names)
}

/// What the book says: versions that have been run, with their checksums. There is none before the first run.
async fn applied(book: &mut Book) -> Result<BTreeMap<i64, Cow<'static, [u8]>>, MigrateError> {
    let is_there = match book {
        Book::Sqlite(connection) => {
            let table = sqlx::query("SELECT 1 FROM sqlite_schema WHERE name = ?").bind(TABLE);
            table.fetch_optional(connection).await?.is_some()
        }
        Book::Postgres(connection) => {
            let table = sqlx::query("SELECT 1 WHERE to_regclass($1) IS NOT NULL").bind(TABLE);
            table.fetch_optional(&mut **connection).await?.is_some()
        }
        Book::MySql(connection) => {
            let table = "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?";
            sqlx::query(table).bind(TABLE).fetch_optional(&mut **connection).await?.is_some()
        }
    };
    if !is_there {
        return Ok(BTreeMap::new());
    }
    let applied = match book {
        Book::Sqlite(connection) => connection.list_applied_migrations(TABLE).await?,
        Book::Postgres(connection) => connection.list_applied_migrations(TABLE).await?,
        Book::MySql(connection) => connection.list_applied_migrations(TABLE).await?,
    };
    Ok(applied.into_iter().map(|migration| (migration.version, migration.checksum)).collect())
}
