//! The schema's history: a folder of `0001_name.sql` files, run in order, each once, by sqlx's migrator.

use std::{borrow::Cow, collections::BTreeMap, path::Path};

use sqlx::{
    SqliteConnection,
    migrate::{Migrate, MigrateError, Migrator},
};

use super::error::DbError;

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
    #[error(transparent)]
    Database(#[from] DbError),
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Names of the migrations that were run now, as `0001_shop`.
    pub applied: Vec<String>,
    /// How many had been run before.
    pub already_applied: usize,
}

/// Runs what is pending. Each migration runs in a transaction of its own; the first that fails ends the run.
pub(super) async fn run(connection: &mut SqliteConnection, folder: &Path) -> Result<Report, Error> {
    let failed = |source| Error::Migration { folder: folder.display().to_string(), source };
    let migrator = Migrator::new(folder).await.map_err(failed)?;
    let applied = names_of_pending(Some(connection), &migrator).await.map_err(failed)?;
    migrator.run_direct(None, connection, false).await.map_err(failed)?;
    let all = migrator.iter().filter(|migration| !migration.migration_type.is_down_migration()).count();
    Ok(Report { already_applied: all - applied.len(), applied })
}

/// Names of the migrations that a run would run; without a connection, on a database that is yet to be made. Only
/// reads, and fails where a run would fail before it ran any.
pub async fn pending(connection: Option<&mut SqliteConnection>, folder: &Path) -> Result<Vec<String>, Error> {
    let failed = |source| Error::Migration { folder: folder.display().to_string(), source };
    let migrator = Migrator::new(folder).await.map_err(failed)?;
    names_of_pending(connection, &migrator).await.map_err(failed)
}

async fn names_of_pending(
    connection: Option<&mut SqliteConnection>,
    migrator: &Migrator,
) -> Result<Vec<String>, MigrateError> {
    let applied = match connection {
        Some(connection) => applied(connection).await?,
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

/// What the book says: versions that have been run, with their checksums.
async fn applied(connection: &mut SqliteConnection) -> Result<BTreeMap<i64, Cow<'static, [u8]>>, MigrateError> {
    let book = sqlx::query("SELECT 1 FROM sqlite_schema WHERE name = ?").bind(TABLE);
    if book.fetch_optional(&mut *connection).await?.is_none() {
        return Ok(BTreeMap::new());
    }
    let applied = connection.list_applied_migrations(TABLE).await?;
    Ok(applied.into_iter().map(|migration| (migration.version, migration.checksum)).collect())
}
