//! Options of transactions and limits of statements, for all engines.

use std::time::Duration;

use crate::{
    config::{self, Access, Isolation},
    sql::Position,
};

/// Maximum time of a commit, which may wait for a disk or a replica.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Requirements of a transaction.
#[derive(Debug, Clone)]
pub struct TransactionOptions {
    /// Access mode of the transaction.
    pub access: Access,
    /// Isolation level. `None` selects the server's default.
    pub isolation: Option<Isolation>,
    /// Read on the primary, even if there are replicas.
    pub primary: bool,
    /// Read from a server that has reached this position.
    pub after: Option<Position>,
    /// Use a newly opened connection, which has no prepared statements.
    pub fresh_connection: bool,
}

impl TransactionOptions {
    /// Returns options with an access mode and no other requirement.
    pub fn new(access: Access) -> Self {
        Self { access, isolation: None, primary: false, after: None, fresh_connection: false }
    }
}

/// Access mode and isolation level of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mode {
    pub(super) access: Access,
    pub(super) isolation: Option<Isolation>,
}

impl Mode {
    /// Returns the access mode in SQL, which is the same in the dialects of both servers.
    pub(super) fn access_as_sql(self) -> &'static str {
        match self.access {
            Access::ReadWrite => "READ WRITE",
            Access::ReadOnly | Access::None => "READ ONLY",
        }
    }
}

/// Limits of statements and commits, and whether statements are logged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) statement_timeout: Duration,
    pub(super) commit_timeout: Duration,
    pub(super) max_rows: usize,
    pub(super) max_result: usize,
    pub(super) echo: bool,
    pub(super) echo_params: bool,
}

impl Limits {
    pub(super) fn new(config: &config::DatabaseConfig) -> Self {
        Self {
            statement_timeout: config.statement_timeout,
            commit_timeout: COMMIT_TIMEOUT,
            max_rows: config.max_rows,
            max_result: config.max_result,
            echo: config.echo,
            echo_params: config.echo_params,
        }
    }
}
