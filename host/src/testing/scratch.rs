//! Throw-away databases: files that exist for one run of `carya test`. The databases of `[database]` are never opened.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};

use crate::{
    config::{self, Config, Dialect},
    database::Database,
};

/// Folder for temporary files in memory, in which databases need no disk.
const MEMORY: &str = "/dev/shm";
/// Start of the name of the folder.
const PREFIX: &str = "carya_test_";
/// Age of a folder that a killed process has left behind.
const LEFT_OVER: Duration = Duration::from_secs(24 * 60 * 60);
/// Start of the names of the saved databases.
const SAVED: &str = "saved";

/// A folder with the files of the databases, which is removed on drop.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    keep: bool,
}

impl Scratch {
    /// Creates the folder.
    ///
    /// # Errors
    ///
    /// Returns an error if a database of the configuration is not an SQLite file.
    pub(crate) fn new(config: &Config, keep: bool) -> anyhow::Result<Self> {
        if let Some((name, _)) = config.all_databases().find(|(_, database)| database.dialect != Dialect::Sqlite) {
            bail!(
                "{}",
                config.place(&config::url_key(name)).problem(
                    "names a server, and `carya test` makes throw-away databases on SQLite only; to test on SQLite, set \
                     another URL for this command in the environment"
                )
            );
        }
        let parent = match &config.test.temporary {
            Some(folder) => folder,
            None if Path::new(MEMORY).is_dir() => Path::new(MEMORY),
            None => Path::new("/tmp"),
        };
        remove_left_overs(parent);
        let folder = parent.join(format!("{PREFIX}{:016x}", rand::random::<u64>()));
        fs::create_dir(&folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
        Ok(Self { folder, keep })
    }

    /// Returns the configuration with databases of this folder, whose names start with `label`.
    pub(crate) fn configure(&self, config: &Config, label: &str) -> Config {
        let url = |name: &str| format!("sqlite://{}", self.file(label, name).display());
        let mut config = config.clone();
        if let Some(database) = &mut config.database {
            database.url = url(config::MAIN);
        }
        for (name, database) in &mut config.databases {
            database.url = url(name);
        }
        config
    }

    /// Saves a database, for [`copy`](Self::copy).
    pub(super) async fn save(&self, name: &str, database: &Database) -> anyhow::Result<()> {
        let saved = self.file(SAVED, name);
        database.save_to(&saved).await.with_context(|| format!("cannot save database {name:?} to {}", saved.display()))
    }

    /// Copies the saved databases of a configuration to files whose names start with `label`.
    pub(super) async fn copy(&self, config: &Config, label: &str) -> anyhow::Result<()> {
        for (name, _) in config.all_databases() {
            let (from, to) = (self.file(SAVED, name), self.file(label, name));
            tokio::fs::copy(&from, &to).await.with_context(|| format!("cannot write {}", to.display()))?;
        }
        Ok(())
    }

    fn file(&self, label: &str, name: &str) -> PathBuf {
        self.folder.join(format!("{label}-{name}.sqlite"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.keep {
            eprintln!("the databases are kept in {}", self.folder.display());
            return;
        }
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                eprintln!("cannot remove {}: {error}; remove it by hand", self.folder.display());
            }
            _ => {}
        }
    }
}

/// Removes the folders of processes that were killed more than a day ago. Skips those of other users.
fn remove_left_overs(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let age = entry.metadata().and_then(|found| found.modified()).ok().and_then(|changed| changed.elapsed().ok());
        if is_ours && age.is_some_and(|age| age > LEFT_OVER) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
