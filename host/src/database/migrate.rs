//! The schema's history: a folder of `0001_name.sql` files, run in order, each once, by sqlx's migrator.

use std::{collections::BTreeSet, path::Path};

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
    let applied = names_of_pending(connection, &migrator).await.map_err(failed)?;
    migrator.run_direct(None, connection, false).await.map_err(failed)?;
    let all = migrator.iter().filter(|migration| !migration.migration_type.is_down_migration()).count();
    Ok(Report { already_applied: all - applied.len(), applied })
}

/// Names of the migrations that a run would run.
pub(super) async fn pending(connection: &mut SqliteConnection, folder: &Path) -> Result<Vec<String>, Error> {
    let failed = |source| Error::Migration { folder: folder.display().to_string(), source };
    let migrator = Migrator::new(folder).await.map_err(failed)?;
    names_of_pending(connection, &migrator).await.map_err(failed)
}

async fn names_of_pending(connection: &mut SqliteConnection, migrator: &Migrator) -> Result<Vec<String>, MigrateError> {
    connection.ensure_migrations_table(TABLE).await?;
    let applied: BTreeSet<i64> =
        connection.list_applied_migrations(TABLE).await?.into_iter().map(|migration| migration.version).collect();
    Ok(migrator
        .iter()
        .filter(|migration| !migration.migration_type.is_down_migration() && !applied.contains(&migration.version))
        .map(|migration| format!("{:04}_{}", migration.version, migration.description.replace(' ', "_")))
        .collect())
}
