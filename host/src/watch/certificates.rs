//! Reloads the certificates of a listener when their files change.

use std::{convert::Infallible, sync::Arc};

use super::{places::Places, watcher::Watcher};
use crate::tls::Certificates;

/// Watches the files of certificates and replaces the certificates after every change, for as long as the process runs.
///
/// # Errors
///
/// Fails if the system has no more file watches.
pub(crate) async fn watch_certificates(certificates: Arc<Certificates>) -> notify::Result<Infallible> {
    let mut watcher = Watcher::new()?;
    loop {
        let places = places(&certificates);
        watcher.follow(places.clone());
        // Read the files only after the watches are set, so that no change in between is missed.
        reload_certificates(certificates.clone()).await;
        // A link with another target leads to other places, and their files may have changed before they were watched.
        if self::places(&certificates) == places {
            watcher.changed().await;
        }
    }
}

/// Reads the files of certificates again, and logs the result.
pub(crate) async fn reload_certificates(certificates: Arc<Certificates>) {
    let files = certificates.clone();
    let reading = tokio::task::spawn_blocking(move || files.reload());
    match reading.await {
        Ok(Ok(true)) => tracing::info!("the certificates were replaced"),
        Ok(Ok(false)) => {}
        Ok(Err(error)) => tracing::error!(%error, "the old certificates stay; write both files, or send SIGHUP"),
        Err(error) => tracing::error!(%error, "the certificates were not read"),
    }
}

fn places(certificates: &Certificates) -> Places {
    let mut places = Places::default();
    certificates.files().for_each(|file| places.add_file(file));
    places
}
