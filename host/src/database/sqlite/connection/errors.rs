//! Completes errors: a refusal with the access of the handle, and a violated constraint from the schema of the file. A
//! failed statement does not end the transaction, so the connection can read the schema inside it.

use std::{mem, sync::Arc};

use sqlx::{
    Row,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::Connection;
use crate::{
    config::{Access, Dialect},
    database::sqlite::{
        error::map_error,
        schema::{Object, Schema},
        violation::{self, Cause, Test},
    },
    gate::Target,
    sql::error::{DbError, Kind, ViolationKind},
};

impl Connection {
    /// Adds to the authorizer's error "not authorized" that the handle is a reader, and sets the kind to
    /// [`Kind::ReadOnly`]. Returns other errors unchanged.
    pub(super) fn in_context(&self, error: DbError) -> DbError {
        match error.kind {
            Kind::Forbidden if self.access != Access::ReadWrite => DbError {
                kind: Kind::ReadOnly,
                message: format!("{}: this handle only reads, and only the application's tables", error.message),
                ..error
            },
            _ => error,
        }
    }

    /// Completes the error of the guest's statement `sent`, which has these arguments.
    pub(super) async fn explain_statement(&mut self, mut error: DbError, arguments: &SqliteArguments) -> DbError {
        // With `running` the state of the connection is unknown, for example after `ON CONFLICT ROLLBACK`.
        let Some(violation) = error.violation.as_mut().filter(|_| !self.running) else { return error };
        // The statements of the host clear `sent`, which the log of the error needs.
        let sent = mem::take(&mut self.sent);
        let (target, message) = (Target::of(Dialect::Sqlite, &sent), &error.message);
        let completing = async {
            let schema = self.schema().await?;
            violation::complete(violation, message, &Cause::Statement(target.as_ref()), &schema);
            let is_unknown = violation.kind == ViolationKind::ForeignKey && violation.table.is_none();
            if let Some(target) = target.as_ref().filter(|_| is_unknown)
                && let Some(test) = Test::new(&schema, target, &sent)
            {
                let rows = self.host_rows(&test.sql, arguments.clone()).await?;
                let row = rows.first().map_or_else(Vec::new, |row| (0..row.len()).map(|at| row.try_get(at)).collect());
                let row = row.into_iter().collect::<Result<Vec<_>, _>>().map_err(map_error)?;
                if let Some(found) = test.conclude(&row) {
                    **violation = found;
                }
            }
            Ok(())
        };
        log(completing.await);
        self.sent = sent;
        error
    }

    /// Completes the error of a COMMIT. The caller must then drop the connection, which closes it.
    pub(super) async fn explain_commit(&mut self, mut error: DbError) -> DbError {
        let Some(violation) = &mut error.violation else { return error };
        // A COMMIT that violates a constraint leaves the transaction open, and the state of the connection is known.
        let schema = self.schema().await;
        log(schema.map(|schema| violation::complete(violation, &error.message, &Cause::Commit, &schema)));
        error
    }

    /// Returns the current schema. Reads it if it has changed since it was last read.
    async fn schema(&mut self) -> Result<Arc<Schema>, DbError> {
        let version = self.host_rows("PRAGMA schema_version", SqliteArguments::default()).await?;
        let version = version.first().map_or(Ok(0), |row| row.try_get(0)).map_err(map_error)?;
        if let Some(schema) = self.shared.last_schema.of_version(version) {
            return Ok(schema);
        }
        let objects = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema";
        let rows = self.host_rows(objects, SqliteArguments::default()).await?;
        let object = |row: &SqliteRow| {
            let [kind, name, table, sql] = [row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?];
            Ok(Object { kind, name, table, sql })
        };
        let objects = rows.iter().map(object).collect::<Result<Vec<_>, _>>().map_err(map_error)?;
        Ok(self.shared.last_schema.store(version, Schema::new(&objects)))
    }

    async fn host_rows(&mut self, sql: &str, arguments: SqliteArguments) -> Result<Vec<SqliteRow>, DbError> {
        let (sql, timeout) = (self.shared.host.sign(sql), self.timeout());
        self.host_query(sql, arguments, timeout).await.map(|(rows, _)| rows)
    }
}

/// Logs why a violation could not be completed. Its error stays incomplete.
fn log(completed: Result<(), DbError>) {
    if let Err(error) = completed {
        tracing::debug!(%error, "a violated constraint could not be looked up");
    }
}
