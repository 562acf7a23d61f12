//! Migrations of the schema: a folder of `0001_name.sql` files, which sqlx's migrator runs in order, each once.
//!
//! The database may be ahead of the folder: after a rollback of the application, or after a deployment that was refused
//! although its migrations had run, the database has migrations that are newer than the newest in the folder. These
//! migrations stay applied, and a warning names them. Any other difference between the folder and the history is an
//! error.

mod history;
mod names;
mod problem;
pub(crate) mod reset;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sqlx::migrate::{MigrateError, Migration, Migrator};

use self::history::AppliedMigration;
pub(crate) use self::problem::{Error, Mismatch};
use crate::{
    config,
    database::{Database, OwnerConnection},
};

/// Time for which the host waits if a migration is partially applied, because another host may be running it.
const UNDER_WAY: Duration = Duration::from_secs(5);

/// Result of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// Names of the migrations that this run applied, such as `0001_shop`.
    pub applied: Vec<String>,
    /// Number of migrations that were applied before.
    pub already_applied: usize,
}

/// Runs pending migrations with the owner's login. Each migration runs in its own transaction, as far as the database
/// can roll back changes of the schema. The first migration that fails ends the run.
pub(crate) async fn apply(database: &Database, folder: &Path) -> Result<Report, Error> {
    apply_on(database.connect_as_owner().await?, folder).await
}

async fn apply_on(mut connection: OwnerConnection, folder: &Path) -> Result<Report, Error> {
    let mut folder = Folder::read(folder).await?;
    connection.lift_limit().await.map_err(|source| folder.unreadable(source))?;
    // Lock before planning: another host may be running the same migrations.
    connection.lock().await.map_err(|source| folder.unreadable(source))?;
    let plan = folder.plan(&mut connection).await?;
    let made = connection.make_table().await;
    made.map_err(|source| Error::Failed { folder: folder.path.clone(), source, applied: Vec::new() })?;
    // `plan` has checked for missing migrations already. It permits migrations of the history that are newer than the
    // newest in the folder.
    folder.migrator.set_ignore_missing(true);
    let migrated = match &mut connection {
        OwnerConnection::Sqlite(connection) => folder.migrator.run_direct(None, connection, false).await,
        OwnerConnection::Postgres(connection) => folder.migrator.run_direct(None, &mut **connection, false).await,
        OwnerConnection::MySql(connection) => folder.migrator.run_direct(None, &mut **connection, false).await,
    };
    match migrated {
        Ok(()) => Ok(Report { applied: plan.pending.into_values().collect(), already_applied: plan.applied }),
        Err(source) => Err(folder.failed(&mut connection, plan, source).await),
    }
}

/// Returns the names of the pending migrations, without creating or changing anything; an SQLite file need not exist.
/// Returns an error if a run would fail before its first migration.
pub(crate) async fn pending(config: &config::DatabaseConfig, folder: &Path) -> Result<Vec<String>, Error> {
    let folder = Folder::read(folder).await?;
    let connection = OwnerConnection::to_existing(config).await?;
    let plan = match connection {
        Some(mut connection) => folder.plan(&mut connection).await?,
        None => folder.compare(&[], String::new)?,
    };
    Ok(plan.pending.into_values().collect())
}

/// Returns an error if a run on an empty database would fail before its first migration.
pub(crate) async fn check_folder(folder: &Path) -> Result<(), Error> {
    Folder::read(folder).await?.compare(&[], String::new).map(drop)
}

/// A folder of migrations.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    migrator: Migrator,
}

/// Comparison of a folder with the history.
#[derive(Debug)]
struct Plan {
    /// Names of pending migrations by version.
    pending: BTreeMap<i64, String>,
    /// Number of migrations that were applied before.
    applied: usize,
    /// Names of applied migrations that are newer than the newest in the folder.
    ahead: Vec<String>,
}

impl Folder {
    async fn read(path: &Path) -> Result<Self, Error> {
        let path = path.to_owned();
        let skipped = names::skipped(&path);
        let skipped = skipped.map_err(|source| Error::Unreadable { folder: path.clone(), source })?;
        if !skipped.is_empty() {
            return Err(Error::Mismatch { folder: path, mismatch: Box::new(Mismatch::Skipped { files: skipped }) });
        }
        let read = Migrator::new(path.as_path()).await;
        let migrator = read.map_err(|source| Error::Failed { folder: path.clone(), source, applied: Vec::new() })?;
        let folder = Self { path, migrator };
        let versions: Vec<i64> = folder.migrations().map(|migration| migration.version).collect();
        match versions.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => {
                let (version, files) = (pair[0], names::of_version(&folder.path, pair[0]));
                Err(folder.mismatch(Mismatch::DuplicateVersion { version, files }))
            }
            None => Ok(folder),
        }
    }

    /// Returns the migrations in the order of their versions, without down migrations.
    fn migrations(&self) -> impl Iterator<Item = &Migration> {
        self.migrator.iter().filter(|migration| !migration.migration_type.is_down_migration())
    }

    /// Returns the path of the file of a version, which the migrator does not store. Returns the path of the folder if
    /// the file does not exist.
    fn file(&self, version: i64) -> PathBuf {
        names::of_version(&self.path, version).into_iter().next().unwrap_or_else(|| self.path.clone())
    }

    fn mismatch(&self, mismatch: Mismatch) -> Error {
        Error::Mismatch { folder: self.path.clone(), mismatch: Box::new(mismatch) }
    }

    async fn plan(&self, connection: &mut OwnerConnection) -> Result<Plan, Error> {
        let begun = Instant::now();
        let plan = loop {
            match self.look(connection).await {
                // Another host may be running this migration now, because `pending` reads the history without the lock.
                Err(Error::Mismatch { mismatch, .. })
                    if matches!(*mismatch, Mismatch::HalfDone { .. }) && begun.elapsed() < UNDER_WAY =>
                {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                plan => break plan?,
            }
        };
        if !plan.ahead.is_empty() {
            let (folder, migrations) = (self.path.display(), plan.ahead.join(", "));
            tracing::warn!(
                migrations,
                "the database has migrations that are newer than those in {folder}; they stay applied"
            );
        }
        Ok(plan)
    }

    async fn look(&self, connection: &mut OwnerConnection) -> Result<Plan, Error> {
        let history = connection.history().await.map_err(|source| self.unreadable(source))?;
        let reset = connection.reset_command().await.map_err(|source| self.unreadable(source))?;
        self.compare(&history, || reset)
    }

    fn unreadable(&self, source: sqlx::Error) -> Error {
        Error::Failed { folder: self.path.clone(), source: source.into(), applied: Vec::new() }
    }

    /// Compares the folder with the history. `reset` is the command that resets the database.
    fn compare(&self, history: &[AppliedMigration], reset: impl FnOnce() -> String) -> Result<Plan, Error> {
        let newest = self.migrations().map(|migration| migration.version).max();
        let (mut ahead, mut applied) = (Vec::new(), 0);
        for ran in history {
            let (version, name) = (ran.version, ran.name());
            let migration = self.migrations().find(|migration| migration.version == version);
            let mismatch = match migration {
                _ if !ran.success => Mismatch::HalfDone { version, file: self.file(version), reset: reset() },
                None if newest.is_none_or(|newest| newest < version) => {
                    ahead.push(name);
                    continue;
                }
                None => Mismatch::Missing { version, name, reset: reset() },
                Some(migration) if *migration.checksum != *ran.checksum => {
                    let change = problem::change(migration.sql.as_str(), &ran.checksum);
                    Mismatch::Edited { version, file: self.file(version), change, reset: reset() }
                }
                Some(_) => {
                    applied += 1;
                    continue;
                }
            };
            return Err(self.mismatch(mismatch));
        }
        let is_pending = |migration: &&Migration| !history.iter().any(|ran| ran.version == migration.version);
        let name =
            |migration: &Migration| (migration.version, history::name(migration.version, &migration.description));
        Ok(Plan { pending: self.migrations().filter(is_pending).map(name).collect(), applied, ahead })
    }

    /// Converts the error of a run. Adds the names of the migrations that the run applied before it failed.
    async fn failed(&self, connection: &mut OwnerConnection, plan: Plan, source: MigrateError) -> Error {
        // If the history cannot be read, for example because the connection is lost, do not report any migration as
        // applied.
        let history = connection.history().await.unwrap_or_default();
        let ran = |version: i64, success| history.iter().any(|ran| ran.version == version && ran.success == success);
        let applied =
            plan.pending.iter().filter(|(version, _)| ran(**version, true)).map(|(_, name)| name.clone()).collect();
        let folder = self.path.clone();
        let MigrateError::ExecuteMigration(source, version) = source else {
            return Error::Failed { folder, source, applied };
        };
        let half = if ran(version, false) {
            let reset = connection.reset_command().await.unwrap_or_default();
            Some(Box::new(Mismatch::HalfDone { version, file: self.file(version), reset }))
        } else {
            None
        };
        let text = self.migrations().find(|migration| migration.version == version).map(|migration| &migration.sql);
        let line = text.and_then(|text| problem::line(text.as_str(), &source));
        let file = self.file(version).display().to_string();
        let place = line.map_or_else(|| file.clone(), |line| format!("{file}:{line}"));
        Error::Statement { folder, version, place, source: Box::new(source), applied, half }
    }
}
