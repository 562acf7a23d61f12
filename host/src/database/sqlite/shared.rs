//! Settings and statements that all connections to one SQLite file share.

use std::{sync::Arc, time::Duration};

use super::{host_sql::HostSql, schema::LastSchema, wal::Wal};
use crate::database::options::Limits;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) wal: Arc<Wal>,
    pub(super) busy_timeout: Duration,
    pub(super) max_memory: usize,
    pub(super) limits: Limits,
    pub(super) host: HostSql,
    /// Schema that explains violated constraints.
    pub(super) last_schema: LastSchema,
}
