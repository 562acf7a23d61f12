//! Syncs the write-ahead log to disk. A commit writes the log and returns its connection to the pool before it waits
//! for the sync. The next transaction can therefore write during the sync, and all commits that were written before a
//! sync begins share that sync.

use std::{
    fs::{File, OpenOptions},
    io,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicU64,
            Ordering::{AcqRel, Acquire},
        },
    },
};

use arc_swap::ArcSwapOption;

use crate::sql::error::{DbError, Kind};

/// Write-ahead log of one database file.
#[derive(Debug)]
pub(super) struct Wal {
    /// Path of the database file.
    database: PathBuf,
    /// `None` until the first connection has created the file.
    file: ArcSwapOption<File>,
    /// Number of commits written to the log.
    written: AtomicU64,
    /// Number of commits on disk. A task holds the lock while it syncs.
    on_disk: Arc<tokio::sync::Mutex<u64>>,
    /// Error of the first sync that failed.
    broken: OnceLock<DbError>,
}

impl Wal {
    pub(super) fn new(database: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            database,
            file: ArcSwapOption::empty(),
            written: AtomicU64::new(0),
            on_disk: Arc::default(),
            broken: OnceLock::new(),
        })
    }

    /// Opens the log after a writing connection has been opened. SQLite keeps the file while connections are open. When
    /// the last connection closes, SQLite copies the log into the database and removes the file.
    pub(super) fn open(&self) -> io::Result<()> {
        // SQLite resolves symbolic links too.
        let mut path = self.database.canonicalize()?.into_os_string();
        path.push("-wal");
        let file = OpenOptions::new().write(true).open(path)?;
        self.file.store(Some(Arc::new(file)));
        Ok(())
    }

    /// Returns an error if a sync has failed. The log may then lack a commit on disk, and no later commit in the log
    /// would survive a power failure.
    pub(super) fn check(&self) -> Result<(), DbError> {
        self.broken.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Waits until the commit that was just written is on disk.
    pub(super) async fn sync(self: &Arc<Self>) -> Result<(), DbError> {
        let own = self.written.fetch_add(1, AcqRel) + 1;
        let mut on_disk = self.on_disk.clone().lock_owned().await;
        if *on_disk >= own {
            return Ok(());
        }
        // Read the number before the file: SQLite replaces the file only when all commits in it are in the database.
        let written = self.written.load(Acquire);
        let wal = self.clone();
        // The task holds the lock until it ends, even if the caller is dropped: the operating system reports a write
        // error only once, and a concurrent sync could miss the error.
        let sync = tokio::task::spawn_blocking(move || {
            wal.flush();
            if wal.check().is_ok() {
                *on_disk = written;
            }
        });
        sync.await.map_err(|error| DbError::new(Kind::Lost, error.to_string()))?;
        self.check()
    }

    fn flush(&self) {
        if let Some(Err(error)) = self.file.load_full().map(|file| file.sync_data()) {
            let message = format!(
                "cannot sync the write-ahead log of {}: {error}; the database is read-only until carya is restarted",
                self.database.display()
            );
            self.broken.get_or_init(|| DbError::new(Kind::Lost, message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::SqliteDatabase, *};
    use crate::{
        config::{self, Access},
        database::{options::TransactionOptions, sqlite::connection::Connection},
        sql::{Sink, value::Rows},
    };

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    async fn database(folder: &tempfile::TempDir) -> Result<Arc<SqliteDatabase>> {
        let text = format!("[database]\nurl = \"sqlite://{}\"", folder.path().join("t.sqlite").display());
        let config = config::parse(&text, &folder.path().join("carya.toml"), &Default::default())?;
        let database = Arc::new(SqliteDatabase::open("default", &config.database.expect("it is set")).await?);
        database.run_ddl("CREATE TABLE t (n)".into()).await?;
        Ok(database)
    }

    async fn insert(database: &Arc<SqliteDatabase>) -> Result<Connection> {
        let mut connection = database.begin(&TransactionOptions::new(Access::ReadWrite)).await?;
        connection.run_as_host("INSERT INTO t VALUES (1)".into(), Vec::new(), Sink::Nothing).await?;
        Ok(connection)
    }

    async fn rows(database: &Arc<SqliteDatabase>, access: Access) -> Result<usize> {
        let mut connection = database.begin(&TransactionOptions::new(access)).await?;
        let mut rows = Rows::default();
        connection.run_as_host("SELECT n FROM t".into(), Vec::new(), Sink::Rows(&mut rows)).await?;
        connection.commit().await?;
        Ok(rows.rows.len())
    }

    #[tokio::test]
    async fn a_commit_waits_for_the_disk_and_the_next_writer_does_not() -> Result {
        let folder = tempfile::tempdir()?;
        let database = database(&folder).await?;
        let disk = database.shared.wal.on_disk.lock().await;
        let first = tokio::spawn(insert(&database).await?.commit());
        let second = tokio::spawn(insert(&database).await?.commit());
        assert_eq!(
            rows(&database, Access::ReadWrite).await?,
            2,
            "a transaction without changes does not wait for the disk"
        );
        assert!(!first.is_finished() && !second.is_finished());
        drop(disk);
        first.await??;
        second.await??;
        assert_eq!(*database.shared.wal.on_disk.lock().await, 2);
        Ok(())
    }

    #[tokio::test]
    async fn nothing_is_written_after_a_failed_sync() -> Result {
        let folder = tempfile::tempdir()?;
        let database = database(&folder).await?;
        let connection = insert(&database).await?;
        // `fdatasync` fails on this file.
        database.shared.wal.file.store(Some(Arc::new(File::open("/dev/null")?)));
        let error = connection.commit().await.expect_err("it is not on disk");
        assert_eq!(error.kind, Kind::Lost);
        assert!(error.message.contains("t.sqlite: Invalid argument"), "{error}");
        database.shared.wal.open()?;
        assert!(insert(&database).await.is_err());
        assert_eq!(rows(&database, Access::ReadOnly).await?, 1);
        Ok(())
    }
}
