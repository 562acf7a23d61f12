//! Repeats reloads that failed with a temporary error.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{
    app::format_error,
    reload::{Reloader, Report},
};

/// Pause before the first repetition. The pause doubles with each repetition up to [`MAX_PAUSE`].
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// Maximum pause.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Repeats a reload that failed with a temporary error, until an attempt succeeds or fails with another kind of error.
/// Runs for as long as the process does.
pub(crate) async fn retry(reloader: Arc<Reloader>, report: Report) -> Infallible {
    let mut pending = reloader.pending_retry();
    loop {
        let failed = pending.wait_for(Option::is_some).await.ok().and_then(|failed| failed.clone());
        // The channel stays open: `reloader` owns its sender.
        let Some(mut known) = failed else { return std::future::pending().await };
        tracing::info!("the reload is tried again until it succeeds or the files change");
        let mut pause = MIN_PAUSE;
        while pending.borrow().is_some() {
            sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
            let served = reloader.live().generation();
            match reloader.retry().await {
                // Report an error only if it differs from the last one.
                Some(Err(error)) if format_error(&error) == known => tracing::debug!("the reload failed once more"),
                Some(result) => {
                    report(&result, &served);
                    known = result.err().as_ref().map(format_error).unwrap_or_default();
                }
                None => {}
            }
        }
    }
}
