//! Watching the files of an application, and reloading when one of them has changed.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{sync::Notify, time::timeout};

use crate::{
    config::Config,
    reload::{self, Reloader},
};

/// How long nothing must happen before a change counts as finished: editors and compilers write in several steps.
const QUIET: Duration = Duration::from_millis(30);
/// How long a change may take at most: something that is always written to must not keep others from being seen.
const LONGEST: Duration = Duration::from_millis(500);

/// Reloads after every change, for as long as the process lives.
pub async fn run(reloader: Arc<Reloader>) -> notify::Result<Infallible> {
    let happened = Arc::new(Notify::new());
    let heard = happened.clone();
    // Which file it was does not matter: what is in them decides.
    let mut watcher = notify::recommended_watcher(move |_| heard.notify_one())?;
    let mut watched = BTreeSet::new();
    loop {
        follow(&mut watcher, &mut watched, &reloader.live().generation().config)?;
        happened.notified().await;
        let finished = async { while timeout(QUIET, happened.notified()).await.is_ok() {} };
        let _ = timeout(LONGEST, finished).await;
        let served = reloader.live().generation();
        if let Some(result) = reloader.reload_if_changed().await.transpose() {
            reload::tell(&result, &served);
        }
    }
}

/// Watches the folders in which a file of the application stands, or will.
fn follow(watcher: &mut RecommendedWatcher, watched: &mut BTreeSet<PathBuf>, config: &Config) -> notify::Result<()> {
    let folder = |path: &Path| path.parent().filter(|folder| *folder != "").unwrap_or(Path::new(".")).to_owned();
    let files = config.components.values().filter(|component| component.image.is_none());
    let components = files.map(|component| folder(&component.path));
    let flat = std::iter::once(folder(&config.file)).chain(components).map(|path| (path, RecursiveMode::NonRecursive));
    let migrations = config.all_databases().filter_map(|(_, database)| database.migrations.clone());
    let deep = config.templates.iter().cloned().chain(migrations).map(|path| (path, RecursiveMode::Recursive));
    for (path, mode) in flat.chain(deep) {
        if path.is_dir() && watched.insert(path.clone()) {
            watcher.watch(&path, mode)?;
        }
    }
    Ok(())
}
