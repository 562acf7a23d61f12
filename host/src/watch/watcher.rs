//! Waiting until something has happened at some places, and until it is over: editors and compilers write in several
//! steps. What it was does not matter here: what is in the files decides.

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

use super::Places;

/// How long nothing must happen before a change counts as finished.
const QUIET: Duration = Duration::from_millis(30);
/// How long a change may take at most: something that is always written to must not keep others from being seen.
const LONGEST: Duration = Duration::from_millis(500);

/// Listens to some places.
#[derive(Debug)]
pub struct Watcher {
    notify: RecommendedWatcher,
    /// What passes; everything else in the same folders is dropped where it arrives.
    places: Arc<ArcSwap<Places>>,
    events: UnboundedReceiver<Event>,
}

impl Watcher {
    /// Listens to nothing yet. Fails if the system has no more watches to give.
    pub fn new() -> notify::Result<Self> {
        let places = Arc::new(ArcSwap::from_pointee(Places::default()));
        let (send, events) = unbounded_channel();
        let matter = places.clone();
        let notify = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error is events that were lost: anything may have happened.
            let event = event.unwrap_or_else(|_| Event::new(EventKind::Any));
            if is_change(&event.kind) && concerns(&event, &matter.load()) {
                // Nobody listens any more at the end.
                let _ = send.send(event);
            }
        })?;
        Ok(Self { notify, places, events })
    }

    /// Listens to these places from now on. What happened before is not told.
    pub fn follow(&mut self, places: Places) {
        let before = self.places.swap(Arc::new(places));
        let now = self.places.load();
        for folder in before.folders().filter(|folder| !now.folders().any(|other| other == *folder)) {
            // It may be gone, and the watch with it.
            let _ = self.notify.unwatch(folder);
        }
        for folder in now.folders() {
            // Again, even if it was there before: another folder may have taken its place.
            if let Err(error) = self.notify.watch(folder, RecursiveMode::NonRecursive)
                && !matches!(error.kind, ErrorKind::PathNotFound)
                && !before.folders().any(|other| other == folder)
            {
                let folder = folder.display();
                tracing::warn!(%folder, %error, "a folder cannot be watched; send SIGHUP after changes in it");
            }
        }
    }

    /// Ready once something has happened and is over.
    pub async fn changed(&mut self) {
        let Some(first) = self.events.recv().await else { return std::future::pending().await };
        let latest = Instant::now() + LONGEST;
        let mut open = HashSet::new();
        note(first, &mut open);
        loop {
            // Who still writes has not finished, however slowly it goes.
            let quiet = if open.is_empty() { Instant::now() + QUIET } else { latest };
            match timeout_at(quiet.min(latest), self.events.recv()).await {
                Ok(Some(event)) => note(event, &mut open),
                Ok(None) | Err(_) => return,
            }
        }
    }
}

/// Whether it can have changed something: being opened and read has not.
fn is_change(kind: &EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if *access != AccessKind::Close(AccessMode::Write))
}

fn concerns(event: &Event, places: &Places) -> bool {
    event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(|path| places.matter(path))
}

/// Keeps book of the files that are being written.
fn note(event: Event, open: &mut HashSet<PathBuf>) {
    let is_writing = matches!(event.kind, EventKind::Modify(ModifyKind::Data(_)));
    for path in event.paths {
        if is_writing {
            open.insert(path)
        } else {
            open.remove(&path)
        };
    }
}
