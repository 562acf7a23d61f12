//! History of the migrations that ran on a database, in the table of sqlx's migrator.

use sqlx::{
    AssertSqlSafe, Connection as _,
    migrate::{Migrate, MigrateError},
};

use crate::database::OwnerConnection;

/// Table of the migrator.
const TABLE: &str = "_sqlx_migrations";
/// SQL that acquires a lock named after the database, and waits for the lock for at most an hour. The name of the
/// database is hashed, because lock names have at most 64 characters. MySQL 9.6 removed `SHA1` and `MD5`.
const MYSQL_LOCK: &str = "SELECT GET_LOCK(CONCAT('carya migrate ', LEFT(SHA2(DATABASE(), 256), 40)), 3600)";
/// SQL that revokes the rights on the new table that other roles have through default privileges.
const ONLY_THE_OWNER: &str = "DO $$
    DECLARE other text;
    BEGIN
        FOR other IN
            SELECT DISTINCT CASE r.grantee WHEN 0 THEN 'PUBLIC' ELSE r.grantee::regrole::text END
            FROM pg_class c, aclexplode(c.relacl) r
            WHERE c.oid = '_sqlx_migrations'::regclass AND r.grantee <> c.relowner
        LOOP EXECUTE format('REVOKE ALL ON _sqlx_migrations FROM %s', other); END LOOP;
    END $$";
const HISTORY: &str = "SELECT version, description, checksum, success FROM _sqlx_migrations ORDER BY version";

/// A migration that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AppliedMigration {
    pub(super) version: i64,
    pub(super) description: String,
    pub(super) checksum: Vec<u8>,
    /// False while the migration runs. Stays false after a failure if the database keeps the statements that ran before
    /// the failure (MySQL).
    pub(super) success: bool,
}

impl AppliedMigration {
    pub(super) fn name(&self) -> String {
        name(self.version, &self.description)
    }
}

/// Returns the name of a migration: the name of its file without `.sql`.
pub(super) fn name(version: i64, description: &str) -> String {
    format!("{version:04}_{}", description.replace(' ', "_"))
}

impl OwnerConnection {
    /// Returns the migrations that ran, ordered by version. Returns none before the first run.
    pub(super) async fn history(&mut self) -> Result<Vec<AppliedMigration>, sqlx::Error> {
        let is_there = match self {
            Self::Sqlite(connection) => {
                let table = sqlx::query("SELECT 1 FROM sqlite_schema WHERE name = ?").bind(TABLE);
                table.fetch_optional(connection).await?.is_some()
            }
            Self::Postgres(connection) => {
                let table = sqlx::query("SELECT 1 WHERE to_regclass($1) IS NOT NULL").bind(TABLE);
                table.fetch_optional(&mut **connection).await?.is_some()
            }
            Self::MySql(connection) => {
                let table =
                    "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?";
                sqlx::query(table).bind(TABLE).fetch_optional(&mut **connection).await?.is_some()
            }
        };
        if !is_there {
            return Ok(Vec::new());
        }
        let rows: Vec<(i64, String, Vec<u8>, bool)> = match self {
            Self::Sqlite(connection) => sqlx::query_as(HISTORY).fetch_all(connection).await?,
            Self::Postgres(connection) => sqlx::query_as(HISTORY).fetch_all(&mut **connection).await?,
            Self::MySql(connection) => sqlx::query_as(HISTORY).fetch_all(&mut **connection).await?,
        };
        let ran =
            |(version, description, checksum, success)| AppliedMigration { version, description, checksum, success };
        Ok(rows.into_iter().map(ran).collect())
    }

    /// Returns the name of the database on its server, or `None` for SQLite.
    pub(super) async fn database_name(&mut self) -> Result<Option<String>, sqlx::Error> {
        match self {
            Self::Sqlite(_) => Ok(None),
            Self::Postgres(connection) => {
                sqlx::query_scalar("SELECT current_database()::text").fetch_one(&mut **connection).await.map(Some)
            }
            Self::MySql(connection) => {
                sqlx::query_scalar("SELECT DATABASE()").fetch_one(&mut **connection).await.map(Some)
            }
        }
    }

    /// Returns the time of the server in UTC, such as `20261128T141503Z`.
    pub(super) async fn now(&mut self) -> Result<String, sqlx::Error> {
        match self {
            Self::Sqlite(connection) => {
                sqlx::query_scalar("SELECT strftime('%Y%m%dT%H%M%SZ')").fetch_one(connection).await
            }
            Self::Postgres(connection) => {
                let now = r#"SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS"Z"')"#;
                sqlx::query_scalar(now).fetch_one(&mut **connection).await
            }
            Self::MySql(connection) => {
                let now = "SELECT DATE_FORMAT(UTC_TIMESTAMP(), '%Y%m%dT%H%i%sZ')";
                sqlx::query_scalar(now).fetch_one(&mut **connection).await
            }
        }
    }

    /// Removes the timeout of guests' statements from this session: a migration, and the wait for its lock, may take
    /// longer. On PostgreSQL the host's own sessions have no such timeout.
    pub(super) async fn lift_limit(&mut self) -> Result<(), sqlx::Error> {
        let Self::MySql(connection) = self else { return Ok(()) };
        // MariaDB has the first variable and MySQL the second. Each server rejects the variable that it does not have.
        for variable in ["max_statement_time", "max_execution_time"] {
            let set = sqlx::raw_sql(AssertSqlSafe(format!("SET SESSION {variable} = 0")));
            match set.execute(&mut **connection).await {
                Ok(_) | Err(sqlx::Error::Database(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until no other host runs migrations on this database, and makes other hosts wait until the connection is
    /// closed. On SQLite this does nothing: there, the write transaction of each migration keeps other hosts out.
    pub(super) async fn lock(&mut self) -> Result<(), sqlx::Error> {
        let locked = match self {
            Self::Sqlite(connection) => connection.lock().await,
            // This is the migrator's own lock. The migrator later acquires it again in the same session, which the
            // server permits.
            Self::Postgres(connection) => connection.lock().await,
            // MariaDB rejects the migrator's lock, which has no timeout.
            Self::MySql(connection) => {
                let taken: Option<i64> = sqlx::query_scalar(MYSQL_LOCK).fetch_one(&mut **connection).await?;
                let busy = "another host has been running migrations on this database for an hour";
                return if taken == Some(1) { Ok(()) } else { Err(sqlx::Error::Configuration(busy.into())) };
            }
        };
        locked.map_err(|error| match error {
            MigrateError::Execute(error) => error,
            other => sqlx::Error::Configuration(other.into()),
        })
    }

    /// Creates the migrator's table on PostgreSQL before the migrator does, with rights for its owner only. Otherwise
    /// the default privileges of `carya harden` would give guests rights on this table.
    pub(super) async fn make_table(&mut self) -> Result<(), MigrateError> {
        let Self::Postgres(connection) = self else { return Ok(()) };
        let found = sqlx::query("SELECT 1 WHERE to_regclass($1) IS NOT NULL").bind(TABLE);
        if found.fetch_optional(&mut **connection).await?.is_some() {
            return Ok(());
        }
        let mut transaction = connection.begin().await?;
        transaction.ensure_migrations_table(TABLE).await?;
        sqlx::raw_sql(AssertSqlSafe(ONLY_THE_OWNER)).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Returns the command that resets this database.
    pub(super) async fn reset_command(&mut self) -> Result<String, sqlx::Error> {
        let name = self.database_name().await?;
        Ok(name.map_or_else(|| "carya migrate --reset".to_owned(), |name| format!("carya migrate --reset={name}")))
    }
}
