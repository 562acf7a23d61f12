//! State of an outbox that all generations with its database share. The room `outbox` has the SQL.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::sync::Notify;

use crate::{config, telemetry::metrics::OutboxTally};

/// Name and settings of an outbox, and the signal for its workers.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// Name of the database in the configuration.
    pub(crate) database: String,
    /// Qualified name of the table in SQL.
    pub(crate) table: String,
    /// Time for which a taken action is hidden from other deliveries.
    pub(crate) lease: Duration,
    /// Number of failed deliveries after which an action is dead.
    pub(crate) max_attempts: u32,
    /// Counters for the metrics.
    pub(crate) tally: Arc<OutboxTally>,
    /// Whether the host has a login of the owner, apart from the login for guests' statements.
    pub(crate) has_owner: bool,
    secret: OnceLock<String>,
    work: Notify,
    /// How far the clock of the outbox is ahead, in milliseconds: 0 except in `carya test`.
    ahead: AtomicI64,
}

impl Outbox {
    pub(super) fn new(database: &str, table: String, config: &config::DatabaseConfig) -> Self {
        Self {
            database: database.to_owned(),
            table,
            lease: config.outbox_lease,
            max_attempts: config.max_attempts,
            tally: OutboxTally::new(database),
            has_owner: config.admin_url.is_some(),
            secret: OnceLock::new(),
            work: Notify::new(),
            ahead: AtomicI64::new(0),
        }
    }

    /// Returns the time after `wait`, in milliseconds since 1970.
    pub(crate) fn millis_after(&self, wait: Duration) -> i64 {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + wait;
        i64::try_from(at.as_millis()).unwrap_or(i64::MAX).saturating_add(self.ahead.load(Relaxed))
    }

    /// Sets the clock of the outbox forward. Actions that become due are delivered at once.
    pub(crate) fn advance_clock(&self, by: Duration) {
        self.ahead.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Relaxed);
        self.wake();
    }

    /// Returns the secret for the functions of the owner. `None` if the host writes to the table directly.
    pub(crate) fn secret(&self) -> Option<&str> {
        self.secret.get().map(String::as_str)
    }

    /// Makes the host call the functions of the owner, with this secret, instead of writing to the table.
    pub(crate) fn call_functions(&self, secret: String) {
        // A second call has the same secret, because the table has one.
        let _ = self.secret.set(secret);
    }

    /// Wakes a worker: an action may be due.
    pub(crate) fn wake(&self) {
        self.work.notify_one();
    }

    /// Resolves after the next call of [`wake`](Self::wake), or at once if no worker has noticed the last call.
    pub(crate) async fn woken(&self) {
        self.work.notified().await;
    }
}
