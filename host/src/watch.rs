//! Automatic reloads: [`watch_files`] reloads after a change to a file of the application, [`follow_tags`] after the
//! tag of an image has moved, and [`retry()`] after a temporary failure. [`watch_certificates`] replaces the certificates
//! of a listener after a change to their files.

mod certificates;
mod places;
mod retry;
mod tags;
mod watcher;

use std::{convert::Infallible, sync::Arc};

pub(crate) use self::{
    certificates::{reload_certificates, watch_certificates},
    places::{Filter, Places},
    retry::retry,
    tags::{collect_images, follow_tags},
    watcher::Watcher,
};
use crate::{
    config::Config,
    reload::{Reloader, Report},
};

/// Watches the files of the application and reloads after every change, for as long as the process runs.
///
/// # Errors
///
/// Fails if the system has no more file watches.
pub(crate) async fn watch_files(reloader: Arc<Reloader>, report: Report) -> notify::Result<Infallible> {
    let mut watcher = Watcher::new()?;
    let mut is_first = true;
    loop {
        let places = places(reloader.config().await.as_ref());
        watcher.follow(places.clone());
        // Read the files only after the watches are set, so that no change in between is missed.
        let served = reloader.live().generation();
        if let Some(result) = reloader.reload_if_changed().await.transpose() {
            report(&result, &served);
        }
        drop(served);
        if std::mem::take(&mut is_first) {
            tracing::info!(folders = places.folders().count(), "watching");
        }
        // If the reload has added places, their files may have changed before they were watched, so check again before
        // waiting.
        if self::places(reloader.config().await.as_ref()) == places {
            watcher.changed().await;
        }
    }
}

/// Returns the places to watch for changes to an application's files, including files that do not exist yet.
fn places(config: &Config) -> Places {
    let mut places = Places::default();
    places.add_file(&config.file);
    config.deployed.iter().for_each(|deployed| places.add_file(&deployed.host));
    let files = config.components.values().filter(|component| component.image.is_none());
    files.for_each(|component| places.add_file(&component.path));
    let migrations = config.all_databases().filter_map(|(_, database)| database.migrations.as_ref());
    config.templates.iter().chain(migrations).for_each(|folder| places.add_folder(folder, Filter::All));
    places
}
