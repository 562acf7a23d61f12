//! The write-ahead log on its way to the disk. A commit writes it and lets go of the connection, and only its answer
//! waits for the disk: the next one writes meanwhile, and all who are written by then share the next trip.

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

/// The log of one database file.
#[derive(Debug)]
pub(super) struct Wal {
    /// The database file.
    database: PathBuf,
    /// None until there is a connection, which makes it.
    file: ArcSwapOption<File>,
    /// How many commits were written.
    written: AtomicU64,
    /// How many of them are on disk; held by the task that brings more there.
    on_disk: Arc<tokio::sync::Mutex<u64>>,
    /// Why nothing is certain any more.
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

    /// Opens the file that a new writing connection writes to. It stays in place while one is there; when the last is
    /// closed SQLite brings all of it into the database and removes it.
    pub(super) fn open(&self) -> io::Result<()> {
        // SQLite follows links, too.
        let mut path = self.database.canonicalize()?.into_os_string();
        path.push("-wal");
        let file = OpenOptions::new().write(true).open(path)?;
        self.file.store(Some(Arc::new(file)));
        Ok(())
    }

    /// Fails if a commit did not reach the disk. None that stands behind it in the file would outlast a power cut.
    pub(super) fn check(&self) -> Result<(), DbError> {
        self.broken.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Brings a commit to the disk that was just written, with all that are written by then.
    pub(super) async fn sync(self: &Arc<Self>) -> Result<(), DbError> {
        let own = self.written.fetch_add(1, AcqRel) + 1;
        let mut on_disk = self.on_disk.clone().lock_owned().await;
        if *on_disk >= own {
            return Ok(());
        }
        // Before the file: another one takes its place only when nothing of it is needed.
        let written = self.written.load(Acquire);
        let wal = self.clone();
        // The task keeps the lock to its end, also where the caller is dropped meanwhile: the system reports an error once,
        // and a second sync beside this one could miss it.
        let trip = tokio::task::spawn_blocking(move || {
            wal.flush();
            if wal.check().is_ok() {
                *on_disk = written;
            }
        });
        trip.await.map_err(|error| DbError::new(Kind::Lost, error.to_string()))?;
        self.check()
    }

    fn flush(&self) {
        if let Some(Err(error)) = self.file.load_full().map(|file| file.sync_data()) {
            let message = format!(
                "the disk did not take the write-ahead log of {}: {error}; nothing is written until carya is started again",
                self.database.display()
            );
            self.broken.get_or_init(|| DbError::new(Kind::Lost, message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Database, *};
    use crate::{
        config,
        database::{Access, Terms, sqlite::Connection},
    };

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    async fn database(folder: &tempfile::TempDir) -> Result<Arc<Database>> {
        let text = format!("[database]\nurl = \"sqlite://{}\"", folder.path().join("t.sqlite").display());
        let config = config::parse(&text, &folder.path().join("carya.toml"), &Default::default())?;
        let database = Arc::new(Database::open("default", &config.database.expect("it is set")).await?);
        database.define("CREATE TABLE t (n)".into()).await?;
        Ok(database)
    }

    async fn insert(database: &Arc<Database>) -> Result<Connection> {
        let mut connection = database.begin(&Terms::new(Access::ReadWrite)).await?;
        connection.execute_as_host("INSERT INTO t VALUES (1)".into(), Vec::new()).await?;
        Ok(connection)
    }

    async fn rows(database: &Arc<Database>, access: Access) -> Result<usize> {
        let mut connection = database.begin(&Terms::new(access)).await?;
        let rows = connection.query_as_host("SELECT n FROM t".into(), Vec::new()).await?;
        connection.commit().await?;
        Ok(rows.len())
    }

    #[tokio::test]
    async fn an_answer_waits_for_the_disk_and_the_next_writer_does_not() -> Result {
        let folder = tempfile::tempdir()?;
        let database = database(&folder).await?;
        let disk = database.wal.on_disk.lock().await;
        let first = tokio::spawn(insert(&database).await?.commit());
        let second = tokio::spawn(insert(&database).await?.commit());
        assert_eq!(rows(&database, Access::ReadWrite).await?, 2, "who has nothing for the disk does not wait for it");
        assert!(!first.is_finished() && !second.is_finished());
        drop(disk);
        first.await??;
        second.await??;
        assert_eq!(*database.wal.on_disk.lock().await, 2);
        Ok(())
    }

    #[tokio::test]
    async fn nothing_is_written_behind_what_the_disk_did_not_take() -> Result {
        let folder = tempfile::tempdir()?;
        let database = database(&folder).await?;
        let connection = insert(&database).await?;
        // The one file here that cannot be brought to a disk.
        database.wal.file.store(Some(Arc::new(File::open("/dev/null")?)));
        let error = connection.commit().await.expect_err("it is not on disk");
        assert_eq!(error.kind, Kind::Lost);
        assert!(error.message.contains("t.sqlite: Invalid argument"), "{error}");
        database.wal.open()?;
        assert!(insert(&database).await.is_err());
        assert_eq!(rows(&database, Access::ReadOnly).await?, 1);
        Ok(())
    }
}
