//! `carya migrate --reset`: saves a database, empties it, and runs all migrations. It is for development, if a
//! migration was edited or removed after it ran.
//!
//! A reset is refused while another process is connected to the database. A host keeps connections open while it
//! serves, so its database cannot be reset. An SQLite file is locked exclusively, which fails if another process has
//! the file open. On a server, the reset checks the list of sessions, and holds the lock for migrations, so that a host
//! that starts in the meantime waits.

mod mysql;
mod postgres;
mod sqlite;

use std::{
    io,
    path::{Path, PathBuf},
    process::Output,
    time::{Duration, Instant},
};

use super::{Report, check_folder};
use crate::{
    config::{self, Dialect},
    database::OwnerConnection,
    migrate,
    sql::error::DbError,
};

/// Time that other processes have to close their connections.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Result of a reset.
#[derive(Debug)]
pub(crate) struct Reset {
    /// File to which the database was saved.
    pub saved: PathBuf,
    /// Migrations that ran.
    pub report: Report,
}

/// Error of a reset.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command contained another name than that of the database, or none.
    #[error("this would delete everything in database {name:?}; to confirm that, run `carya migrate --reset={name}`")]
    NotConfirmed {
        /// Name of the database.
        name: String,
    },
    /// Other processes use the database.
    #[error("the database is in use{}; stop the host, and close other connections to it", by(users))]
    InUse {
        /// Sessions of these processes, if they are known.
        users: String,
    },
    /// The database could not be saved, so nothing was deleted.
    #[error("the database could not be saved, so it was left as it is: {reason}")]
    NotSaved {
        /// Reason and remedy.
        reason: String,
    },
    /// A statement of the reset failed.
    #[error("the database could not be emptied: {source}{}", place(saved))]
    NotEmptied {
        /// Error of the driver.
        source: sqlx::Error,
        /// File to which the database was saved, if it was saved before the failure.
        saved: Option<PathBuf>,
    },
    /// The database was emptied, and then a migration failed.
    #[error("{source}; the database was saved to {}, and has only the migrations before the failure", saved.display())]
    NotMigrated {
        /// Error of the migrations.
        source: Box<migrate::Error>,
        /// File to which the database was saved.
        saved: PathBuf,
    },
    /// The folder of migrations is unusable, so nothing was deleted.
    #[error(transparent)]
    Folder(Box<migrate::Error>),
    /// The database could not be reached.
    #[error("cannot connect to the database: {0}")]
    Database(#[from] DbError),
}

impl From<sqlx::Error> for Error {
    fn from(source: sqlx::Error) -> Self {
        Self::NotEmptied { source, saved: None }
    }
}

fn by(users: &str) -> String {
    if users.is_empty() { String::new() } else { format!(" by {users}") }
}

fn place(saved: &Option<PathBuf>) -> String {
    saved.as_ref().map_or_else(String::new, |saved| format!("; it was saved to {}", saved.display()))
}

/// Resets a database. On a server, `name` must be the name of the database; for an SQLite file it may be empty. A
/// server's database is saved to the folder `dumps`, an SQLite file to a copy beside it.
pub(crate) async fn reset_database(
    config: &config::DatabaseConfig,
    folder: &Path,
    name: &str,
    dumps: &Path,
) -> Result<Reset, Error> {
    // Check the folder before anything is deleted.
    check_folder(folder).await.map_err(|error| Error::Folder(Box::new(error)))?;
    let (connection, saved) = match config.dialect {
        Dialect::Sqlite => sqlite::empty(config, name).await?,
        Dialect::Postgres | Dialect::MySql => empty_server(config, name, dumps).await?,
    };
    match super::apply_on(connection, folder).await {
        Ok(report) => Ok(Reset { saved, report }),
        Err(source) => Err(Error::NotMigrated { source: Box::new(source), saved }),
    }
}

async fn empty_server(
    config: &config::DatabaseConfig,
    name: &str,
    dumps: &Path,
) -> Result<(OwnerConnection, PathBuf), Error> {
    let mut connection = OwnerConnection::to_server(config).await?;
    let own = connection.database_name().await?.unwrap_or_default();
    if name != own {
        return Err(Error::NotConfirmed { name: own });
    }
    connection.lift_limit().await?;
    connection.lock().await?;
    refuse_others(&mut connection, config).await?;
    let url = config.admin_url.as_ref().unwrap_or(&config.url);
    let file = dumps.join(format!("{own}-{}.sql", connection.now().await?));
    let mut command = match &connection {
        OwnerConnection::MySql(_) => mysql::dump(url, &file)?,
        _ => postgres::dump(url, &file)?,
    };
    let program = command.get_program().to_string_lossy().into_owned();
    let dumping = tokio::task::spawn_blocking(move || command.output()).await;
    check_dump(&program, &own, dumping.map_err(io::Error::other).flatten())?;
    // Other processes may have connected during the dump.
    refuse_others(&mut connection, config).await?;
    let emptied = match &mut connection {
        OwnerConnection::Postgres(connection) => postgres::empty(connection).await,
        OwnerConnection::MySql(connection) => mysql::empty(connection).await,
        OwnerConnection::Sqlite(_) => Ok(()),
    };
    match emptied {
        Ok(()) => Ok((connection, file)),
        Err(source) => Err(Error::NotEmptied { source, saved: Some(file) }),
    }
}

/// Waits for other sessions to end, because a server ends a session shortly after its client has disconnected. Returns
/// an error if there are still other sessions after [`CLOSE_TIMEOUT`].
async fn refuse_others(connection: &mut OwnerConnection, config: &config::DatabaseConfig) -> Result<(), Error> {
    let begun = Instant::now();
    loop {
        let users = others(connection, config).await?;
        if users.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > CLOSE_TIMEOUT {
            return Err(Error::InUse { users: users.join(", ") });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Returns the other sessions in the database. MySQL shows a login only its own sessions, so the sessions are queried
/// with each login of the configuration.
async fn others(connection: &mut OwnerConnection, config: &config::DatabaseConfig) -> Result<Vec<String>, Error> {
    let mut users = Vec::new();
    match connection {
        OwnerConnection::Sqlite(_) => {}
        OwnerConnection::Postgres(connection) => users.extend(postgres::others(connection).await?),
        OwnerConnection::MySql(connection) => {
            let own = mysql::session(connection).await?;
            users.extend(mysql::others(connection, own).await?);
            for url in [Some(&config.url), config.reader_url.as_ref()].into_iter().flatten() {
                if let OwnerConnection::MySql(login) = &mut OwnerConnection::with_login(url, config).await? {
                    users.extend(mysql::others(login, own).await?);
                }
            }
            users.sort();
            users.dedup();
        }
    }
    Ok(users)
}

fn check_dump(program: &str, database: &str, dumped: io::Result<Output>) -> Result<(), Error> {
    let reason = match dumped {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => format!(
            "{program} is not installed; install it, or save the database in another way, drop it and create it anew \
             with `DROP DATABASE {database}` and `CREATE DATABASE {database}`, and run `carya migrate`"
        ),
        Err(error) => format!("{program} cannot be run: {error}"),
    };
    Err(Error::NotSaved { reason })
}
