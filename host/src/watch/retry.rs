//! Repeats reloads that failed for a reason that may have passed.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::reload::{Reloader, Tell, told};

/// Pause before the first repetition. It doubles up to `LONGEST`.
const SHORTEST: Duration = Duration::from_secs(1);
/// Maximum pause.
const LONGEST: Duration = Duration::from_secs(60);

/// Repeats a reload that failed for a reason that may pass, until an attempt succeeds or fails for another reason. Runs
/// for as long as the process does.
pub async fn retry(reloader: Arc<Reloader>, tell: Tell) -> Infallible {
    let mut owed = reloader.owed();
    loop {
        let failed = owed.wait_for(Option::is_some).await.ok().and_then(|failed| failed.clone());
        // The channel stays open: `reloader` owns its sender.
        let Some(mut known) = failed else { return std::future::pending().await };
        tracing::info!("this may pass: it is tried again until it succeeds, or until the files have changed");
        let mut wait = SHORTEST;
        while owed.borrow().is_some() {
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST);
            let served = reloader.live().generation();
            match reloader.try_again().await {
                // Call `tell` only for a different error.
                Some(Err(error)) if told(&error) == known => tracing::debug!("it failed once more"),
                Some(result) => {
                    tell(&result, &served);
                    known = result.err().as_ref().map(told).unwrap_or_default();
                }
                None => {}
            }
        }
    }
}
