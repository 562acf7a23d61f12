//! Polls registries and reloads after a tag has moved. Also removes unused images from the cache.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use tokio::time::sleep;

use crate::{
    app::format_error,
    content::Digest,
    generation::Generation,
    oci,
    reload::{Reloader, Report},
};

/// How often a host marks its files in the cache as used: several times in the week after which unused files are
/// removed.
const TOUCH_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Polls the tags in use every `[reload] poll`, for as long as the process runs.
pub(crate) async fn follow_tags(reloader: Arc<Reloader>, report: Report) -> Infallible {
    let (mut attempts, mut tags) = (reloader.pending_retry(), Tags::default());
    loop {
        let poll = reloader.live().generation().config.reload.poll;
        match poll {
            Some(poll) => sleep(about(poll)).await,
            // Polling is off. A reload may turn it on.
            None => {
                let _ = attempts.changed().await;
                continue;
            }
        }
        let served = reloader.live().generation();
        if tags.have_moved(&served).await {
            report(&reloader.reload().await, &served);
        }
    }
}

/// State of the registries at the last poll.
#[derive(Default)]
struct Tags {
    /// The new digests of moved tags, by component, for which this loop has requested a reload. If the reload fails,
    /// the next one is requested only when the tag moves again.
    tried: BTreeMap<String, Digest>,
    /// The components whose registries could not be queried. The log has one warning for each.
    unreachable: BTreeSet<String>,
}

impl Tags {
    async fn have_moved(&mut self, served: &Generation) -> bool {
        let mut moved = false;
        for name in served.config.components.keys() {
            match oci::moved(&served.config, &served.images, name).await {
                Ok(digest) => {
                    if self.unreachable.remove(name) {
                        tracing::info!(component = name, "its registry can be reached again");
                    }
                    let before = match digest {
                        Some(digest) => self.tried.insert(name.clone(), digest),
                        None => self.tried.remove(name),
                    };
                    moved |= digest.is_some() && digest != before;
                }
                Err(error) if self.unreachable.insert(name.clone()) => {
                    let error = format_error(&error.into());
                    tracing::warn!(
                        component = name,
                        "its tag cannot be resolved; the pulled image stays in use: {error}"
                    );
                }
                Err(_) => tracing::debug!(component = name, "its tag still cannot be resolved"),
            }
        }
        moved
    }
}

/// Varies an interval by up to 10 %, so that the hosts of a fleet do not query a registry at the same time.
fn about(interval: Duration) -> Duration {
    interval.mul_f64(rand::random_range(0.9..1.1))
}

/// Removes pulled files that no host uses, once a day, for as long as the process runs.
pub(crate) async fn collect_images(reloader: Arc<Reloader>) -> Infallible {
    loop {
        let served = reloader.live().generation();
        let collected = tokio::task::spawn_blocking(move || oci::collect(&served.config, &served.images)).await;
        if let Ok(Err(error)) = collected {
            tracing::warn!(%error, "unused images could not be removed from the cache");
        }
        sleep(TOUCH_INTERVAL).await;
    }
}
