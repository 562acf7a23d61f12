//! Hearing that something was activated, where a server can call its clients: PostgreSQL by NOTIFY, on a connection of
//! its own. Elsewhere nothing is ever heard, and hosts look from time to time.

use std::{future, str::FromStr, time::Duration};

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};

use crate::{
    config::{self, Dialect},
    database::postgres,
};

/// What is called out by.
pub(super) const CHANNEL: &str = "carya_activations";
/// How long a connection may take to be made.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it is left alone that cannot be made.
const PAUSE: Duration = Duration::from_secs(1);

/// An ear on the database.
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

    /// Ready when something may have been activated: it was called out, or could have been while nobody listened. Never
    /// ready where the server cannot be listened to.
    pub async fn heard(&mut self) {
        let Some(options) = &self.options else { return future::pending().await };
        loop {
            let heard = match &mut self.listener {
                // None after the connection was lost and made again.
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
