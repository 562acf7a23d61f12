//! Completes the errors of violated constraints from the server's catalogue. The failed statement has aborted its
//! transaction on PostgreSQL, so the catalogue is read on a connection of its own, with the login of `admin_url` if it
//! is set: logins of guests may not see their tables. Constraints are cached for each table.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{opener::Opener, transaction::no_answer};
use crate::{
    database::constraint::Table,
    gate::Target,
    sql::error::{DbError, Violation, ViolationKind},
};

/// Maximum time to read the constraints of a table, including the time to connect. Until then, the failed request waits.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// Maximum age of cached constraints. A program other than the host may replace a constraint by one of the same name.
const MAX_AGE: Duration = Duration::from_secs(10);
/// Pause after a failure to read constraints, so that not every violation waits for a server that does not answer.
const PAUSE: Duration = Duration::from_secs(5);
/// Maximum number of cached tables.
const MAX_TABLES: usize = 1000;

/// Catalogue of a server, as far as violations have needed it.
#[derive(Debug)]
pub(in crate::database) struct Catalogue {
    opener: Opener,
    /// Database of the guests on MySQL.
    database: String,
    tables: Mutex<HashMap<TableName, Cached>>,
    /// Time of the last failure. Locked during a query, so that at most one connection is open.
    failed: tokio::sync::Mutex<Option<Instant>>,
}

/// Name of a table and of its schema (PostgreSQL) or database (MySQL).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TableName {
    schema: String,
    table: String,
}

#[derive(Debug)]
struct Cached {
    table: Arc<Table>,
    read: Instant,
    /// Constraints that the table did not have when it was read. The login may not see them.
    unknown: HashSet<String>,
}

impl Catalogue {
    /// Creates an empty catalogue. `opener` has the login that reads the catalogue, and `database` is the name of the
    /// guests' database.
    pub(super) fn new(opener: Opener, database: &str) -> Self {
        Self { opener, database: database.to_owned(), tables: Mutex::default(), failed: tokio::sync::Mutex::default() }
    }

    /// Completes the violation in the error of a statement, or of a COMMIT with an empty `sql`. Leaves parts out that
    /// cannot be determined.
    pub(super) async fn complete(&self, mut error: DbError, sql: &str) -> DbError {
        let Some(violation) = &mut error.violation else { return error };
        if violation.table.is_some() && !violation.columns.is_empty() {
            return error;
        }
        let Some(label) = label(violation) else { return error };
        let target = || Target::of(self.opener.dialect, sql).map(|target| target.table);
        let (named, is_reported) = (violation.table.clone().or_else(target), violation.table.is_some());
        let Some(table) = named else { return error };
        let schema = violation.schema.clone().unwrap_or_else(|| self.database.clone());
        let name = TableName { schema, table };
        if let Some(table) = self.table(&name, violation.kind, &label).await
            // A trigger may have violated a constraint of another table.
            && (is_reported || !table.has_triggers)
            && let Some(constraint) = table.find(violation.kind, &name.table, &label)
        {
            violation.name.clone_from(&constraint.name);
            violation.columns.clone_from(&constraint.columns);
            violation.table = Some(name.table);
        }
        error
    }

    /// Forgets all tables, after a change of the schema.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// Returns a table that has the constraint `label`, or that did not have it when it was last read.
    async fn table(&self, name: &TableName, kind: ViolationKind, label: &str) -> Option<Arc<Table>> {
        if let Some(table) = self.cached(name, kind, label) {
            return Some(table);
        }
        let mut failed = self.failed.lock().await;
        // Another caller may have read the table while this caller waited for the lock.
        if let Some(table) = self.cached(name, kind, label) {
            return Some(table);
        }
        if failed.is_some_and(|failed| failed.elapsed() < PAUSE) {
            return None;
        }
        let read = tokio::time::timeout(MAX_WAIT, self.read(name)).await.unwrap_or_else(|_| Err(no_answer()));
        match read {
            Ok(table) => {
                *failed = None;
                Some(self.store(name, table, kind, label))
            }
            Err(error) => {
                tracing::debug!(database = self.opener.name, %error, "the constraints of a table cannot be read");
                *failed = Some(Instant::now());
                None
            }
        }
    }

    fn cached(&self, name: &TableName, kind: ViolationKind, label: &str) -> Option<Arc<Table>> {
        let tables = self.lock();
        let Cached { table, read, unknown } = tables.get(name)?;
        let is_known = table.find(kind, &name.table, label).is_some() || unknown.contains(label);
        (is_known && read.elapsed() < MAX_AGE).then(|| table.clone())
    }

    fn store(&self, name: &TableName, table: Table, kind: ViolationKind, label: &str) -> Arc<Table> {
        let table = Arc::new(table);
        let mut tables = self.lock();
        if tables.len() >= MAX_TABLES {
            tables.clear();
        }
        let old = tables.remove(name).filter(|old| old.read.elapsed() < MAX_AGE);
        let mut unknown = old.map_or_else(HashSet::new, |old| old.unknown);
        if table.find(kind, &name.table, label).is_none() {
            unknown.insert(label.to_owned());
        }
        tables.insert(name.clone(), Cached { table: table.clone(), read: Instant::now(), unknown });
        table
    }

    async fn read(&self, TableName { schema, table }: &TableName) -> Result<Table, DbError> {
        self.opener.connect().await?.read_table(schema, table).await
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TableName, Cached>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the text by which the server's message identifies the constraint.
fn label(violation: &Violation) -> Option<String> {
    match violation.kind {
        ViolationKind::NotNull => violation.columns.first().cloned(),
        _ => violation.name.clone(),
    }
}
