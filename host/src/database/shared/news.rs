//! Notifications of activations. PostgreSQL sends them by `NOTIFY`, to a connection of their own. Other servers send
//! none, and hosts poll the database instead.

use std::{future, str::FromStr, time::Duration};

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};

use crate::{
    config::{self, Dialect},
    database::postgres,
};

/// Channel of the notifications.
pub(super) const CHANNEL: &str = "carya_activations";
/// Maximum time to open the connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause after an error of the connection.
const PAUSE: Duration = Duration::from_secs(1);

/// Listener for activations.
#[derive(Debug)]
pub struct News {
    options: Option<PgConnectOptions>,
    listener: Option<PgListener>,
}

impl News {
    pub(super) fn new(settings: &config::Database) -> Self {
        let is_postgres = settings.dialect == Dialect::Postgres;
        let options = is_postgres.then(|| PgConnectOptions::from_str(&settings.url).ok()).flatten();
        Self { options: options.map(postgres::options), listener: None }
    }

    /// Waits until a generation may have been activated: after a notification, or after a new connection, because an
    /// earlier notification may have been missed. Never completes on servers without notifications.
    pub async fn heard(&mut self) {
        let Some(options) = &self.options else { return future::pending().await };
        loop {
            let heard = match &mut self.listener {
                // `try_recv` returns `None` after it has replaced a lost connection.
                Some(listener) => listener.try_recv().await.map(drop),
                None => listen(options.clone()).await.map(|listener| self.listener = Some(listener)),
            };
            let Err(error) = heard else { return };
            tracing::debug!(%error, "the database cannot be listened to for now");
            self.listener = None;
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn listen(options: PgConnectOptions) -> sqlx::Result<PgListener> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(options);
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}
