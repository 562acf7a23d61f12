//! Waits until a watched file has changed and the change is complete, because editors and compilers write in several
//! steps. Does not report the kind of change; the caller compares the files.

use std::{collections::HashSet, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use notify::{
    ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{Instant, timeout_at},
};

use super::places::Places;

/// Time without events after which a change is complete.
const QUIET: Duration = Duration::from_millis(30);
/// Maximum duration of a change. A file that is written to without pause must not hide other changes.
const MAX_DURATION: Duration = Duration::from_millis(500);

/// Watcher of the files at a set of places.
#[derive(Debug)]
pub(crate) struct Watcher {
    notify: RecommendedWatcher,
    /// Filter for events. Events of other files in the same folders are dropped on arrival.
    places: Arc<ArcSwap<Places>>,
    events: UnboundedReceiver<Event>,
}

impl Watcher {
    /// Returns a watcher without places.
    ///
    /// # Errors
    ///
    /// Fails if the system has no more watches.
    pub(crate) fn new() -> notify::Result<Self> {
        let places = Arc::new(ArcSwap::from_pointee(Places::default()));
        let (send, events) = unbounded_channel();
        let matter = places.clone();
        let notify = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error means that events were lost, so anything may have changed.
            let event = event.unwrap_or_else(|_| Event::new(EventKind::Any));
            if is_change(&event.kind) && concerns(&event, &matter.load()) {
                // The receiver is gone only when the watcher is dropped.
                let _ = send.send(event);
            }
        })?;
        Ok(Self { notify, places, events })
    }

    /// Replaces the watched places. Changes at new places before this call are not detected.
    pub(crate) fn follow(&mut self, places: Places) {
        let before = self.places.swap(Arc::new(places));
        let now = self.places.load();
        for folder in before.folders().filter(|folder| !now.folders().any(|other| other == *folder)) {
            // The watch may have ended with the folder.
            let _ = self.notify.unwatch(folder);
        }
        for folder in now.folders() {
            // Watch known folders again too, because a folder may have been replaced by another one with the same path.
            if let Err(error) = self.notify.watch(folder, RecursiveMode::NonRecursive)
                && !matches!(error.kind, ErrorKind::PathNotFound)
                && !before.folders().any(|other| other == folder)
            {
                let folder = folder.display();
                tracing::warn!(%folder, %error, "a folder cannot be watched; send SIGHUP after changes in it");
            }
        }
    }

    /// Resolves once a file at the watched places has changed and the change is complete.
    pub(crate) async fn changed(&mut self) {
        let Some(first) = self.events.recv().await else { return std::future::pending().await };
        let latest = Instant::now() + MAX_DURATION;
        let mut open = HashSet::new();
        track(first, &mut open);
        loop {
            // A file that is open for writing is not complete, however long its writer pauses.
            let quiet = if open.is_empty() { Instant::now() + QUIET } else { latest };
            match timeout_at(quiet.min(latest), self.events.recv()).await {
                Ok(Some(event)) => track(event, &mut open),
                Ok(None) | Err(_) => return,
            }
        }
    }
}

/// Returns whether an event can be a change. Opening and reading a file are not changes.
fn is_change(kind: &EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if *access != AccessKind::Close(AccessMode::Write))
}

fn concerns(event: &Event, places: &Places) -> bool {
    event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(|path| places.matter(path))
}

/// Tracks the files that are being written: a write adds a file, and any other event removes it.
fn track(event: Event, open: &mut HashSet<PathBuf>) {
    let is_writing = matches!(event.kind, EventKind::Modify(ModifyKind::Data(_)));
    for path in event.paths {
        if is_writing {
            open.insert(path)
        } else {
            open.remove(&path)
        };
    }
}
