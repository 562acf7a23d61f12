//! Notifications that hosts send to each other through the database. PostgreSQL delivers them with `NOTIFY`, to a
//! separate connection of each host. The other engines have no notifications, so hosts poll the database instead.

use std::{future, time::Duration};

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};

use super::postgres;
use crate::config::{self, Dialect};

/// Maximum time to open the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after an error of the connection.
const PAUSE: Duration = Duration::from_secs(1);

/// Listener for the notifications of one channel.
#[derive(Debug)]
pub(crate) struct Listener {
    channel: &'static str,
    options: Option<PgConnectOptions>,
    listener: Option<PgListener>,
}

impl Listener {
    /// Creates a listener without connecting. The listener uses the login of `url`.
    pub(crate) fn new(settings: &config::DatabaseConfig, channel: &'static str) -> Self {
        let is_postgres = settings.dialect == Dialect::Postgres;
        let options = is_postgres.then(|| postgres::options(&settings.url).ok()).flatten();
        Self { channel, options, listener: None }
    }

    /// Waits for a notification. Also returns after it has opened a connection, because earlier notifications may have
    /// been missed. Never completes on engines without notifications.
    pub(crate) async fn notified(&mut self) {
        let Some(options) = &self.options else { return future::pending().await };
        loop {
            let received = match &mut self.listener {
                // `try_recv` returns `None` after it has replaced a lost connection.
                Some(listener) => listener.try_recv().await.map(drop),
                None => listen(options.clone(), self.channel).await.map(|listener| self.listener = Some(listener)),
            };
            let Err(error) = received else { return };
            tracing::debug!(%error, "the connection for notifications was lost; connecting again");
            self.listener = None;
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn listen(options: PgConnectOptions, channel: &str) -> sqlx::Result<PgListener> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(CONNECT_TIMEOUT)
        .connect_lazy_with(options);
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(channel).await?;
    Ok(listener)
}
