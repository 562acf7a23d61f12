//! Asking registries what their tags mean, and reloading when one of those that are served has moved; and having what
//! was pulled removed when its time has come.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use tokio::time::sleep;

use crate::{
    config::Config,
    oci,
    reload::{Reloader, Tell, told},
};

/// How often a host says what it uses of the cache. Many times within the time that others' files are spared.
const DAILY: Duration = Duration::from_secs(24 * 60 * 60);

/// Follows the tags that are served, where the configuration asks for it, for as long as the process lives.
pub async fn follow(reloader: Arc<Reloader>, tell: Tell) -> Infallible {
    let (mut attempts, mut tags) = (reloader.owed(), Tags::default());
    loop {
        let poll = reloader.live().generation().config.reload.poll;
        match poll {
            Some(poll) => sleep(about(poll)).await,
            // Another configuration may ask for it.
            None => {
                let _ = attempts.changed().await;
                continue;
            }
        }
        let served = reloader.live().generation();
        if tags.have_moved(&served.config).await {
            tell(&reloader.reload().await, &served);
        }
    }
}

/// What was last heard of registries.
#[derive(Default)]
struct Tags {
    /// What tags meant by component when a reload was asked for. One that failed is not asked for again until they mean
    /// something else.
    tried: BTreeMap<String, String>,
    /// The components whose registries could not be asked, which is said once.
    away: BTreeSet<String>,
}

impl Tags {
    async fn have_moved(&mut self, config: &Config) -> bool {
        let mut moved = false;
        for name in config.components.keys() {
            match oci::moved(config, name).await {
                Ok(digest) => {
                    if self.away.remove(name) {
                        tracing::info!(component = name, "its registry answers again");
                    }
                    let before = match &digest {
                        Some(digest) => self.tried.insert(name.clone(), digest.clone()),
                        None => self.tried.remove(name),
                    };
                    moved |= digest.is_some() && digest != before;
                }
                Err(error) if self.away.insert(name.clone()) => {
                    let error = told(&error.into());
                    tracing::warn!(
                        component = name,
                        "its tag cannot be asked for, and what it meant is served on: {error}"
                    );
                }
                Err(_) => tracing::debug!(component = name, "its tag still cannot be asked for"),
            }
        }
        moved
    }
}

/// A little more or less, so that a fleet does not ask with one voice.
fn about(interval: Duration) -> Duration {
    interval.mul_f64(rand::random_range(0.9..1.1))
}

/// Has pulled files removed that no host uses, for as long as the process lives.
pub async fn collect(reloader: Arc<Reloader>) -> Infallible {
    loop {
        let served = reloader.live().generation();
        let collected = tokio::task::spawn_blocking(move || oci::collect(&served.config)).await;
        if let Ok(Err(error)) = collected {
            tracing::warn!(%error, "what was pulled and is not used could not be removed from the cache");
        }
        sleep(DAILY).await;
    }
}
