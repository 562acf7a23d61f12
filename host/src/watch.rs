//! Reloading without being asked: when a file of the application has changed, when a tag that is served means something
//! else, when what made a reload fail may have passed.

mod places;
mod retry;
mod tags;
mod watcher;

use std::{convert::Infallible, sync::Arc};

pub use self::{
    places::{Filter, Places},
    retry::retry,
    tags::{collect, follow},
    watcher::Watcher,
};
use crate::{
    config::Config,
    reload::{Reloader, Tell},
};

/// Reloads after every change, for as long as the process lives.
pub async fn run(reloader: Arc<Reloader>, tell: Tell) -> notify::Result<Infallible> {
    let mut watcher = Watcher::new()?;
    let mut told = false;
    loop {
        let places = places(reloader.config().await.as_ref());
        watcher.follow(places.clone());
        // Only now: what changes from here on is noticed.
        let served = reloader.live().generation();
        if let Some(result) = reloader.reload_if_changed().await.transpose() {
            tell(&result, &served);
        }
        drop(served);
        if !std::mem::replace(&mut told, true) {
            tracing::info!(folders = places.folders().count(), "watching");
        }
        // Places that have only now come into it may have changed before they were listened to.
        if self::places(reloader.config().await.as_ref()) == places {
            watcher.changed().await;
        }
    }
}

/// Where the files of an application are, or will be.
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
