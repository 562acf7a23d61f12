//! Statements of the host on an SQLite connection.

use std::sync::Arc;

use sqlx::AssertSqlSafe;

/// Statements that begin and end transactions. They have a comment that guests cannot guess, so that no text of a guest
/// equals the text of such a statement. The driver caches compiled statements by their text, and SQLite calls the
/// authorizer only when it compiles a statement.
#[derive(Debug)]
pub(super) struct HostSql {
    pub(super) begin_reading: Arc<str>,
    pub(super) begin_writing: Arc<str>,
    pub(super) commit: Arc<str>,
    pub(super) rollback: Arc<str>,
    secret: String,
}

impl HostSql {
    pub(super) fn new() -> Self {
        let secret = format!("/* {:016x} */", rand::random::<u64>());
        Self {
            begin_reading: format!("{secret} BEGIN").into(),
            begin_writing: format!("{secret} BEGIN IMMEDIATE").into(),
            commit: format!("{secret} COMMIT").into(),
            rollback: format!("{secret} ROLLBACK").into(),
            secret,
        }
    }

    pub(super) fn savepoint(&self, keyword: &str, level: usize) -> Arc<str> {
        format!("{} {keyword} carya_{level}", self.secret).into()
    }

    /// Adds the comment. It is in front, because SQLite names a column without an alias by the text up to the end.
    pub(super) fn sign(&self, sql: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(format!("{} {sql}", self.secret))
    }
}
