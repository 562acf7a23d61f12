//! Why migrations could not be run or read, with what to do about it.

use std::path::PathBuf;

use sha2::{Digest, Sha384};
use sqlx::{
    migrate::MigrateError,
    postgres::{PgDatabaseError, PgErrorPosition},
};

use crate::database::error::DbError;

/// Why migrations could not be run or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder or a file in it cannot be read, or the history cannot be.
    #[error("migrations in {}: {source}{}", folder.display(), stays(applied))]
    Failed {
        /// The folder.
        folder: PathBuf,
        /// The migrator's error.
        source: MigrateError,
        /// Names of the migrations that this run applied before it failed.
        applied: Vec<String>,
    },
    /// A statement of a migration failed.
    #[error(
        "migrations in {}: while executing migration {version}: {source}; in {place}{}{}",
        folder.display(), stays(applied), cure(half)
    )]
    Statement {
        /// The folder.
        folder: PathBuf,
        /// The migration.
        version: i64,
        /// Its file, with the line where the database tells it.
        place: String,
        /// The driver's error.
        source: Box<sqlx::Error>,
        /// Names of the migrations that this run applied before it failed.
        applied: Vec<String>,
        /// What to do where the first statements of the migration stay.
        half: Option<Box<Mismatch>>,
    },
    /// The folder is not the one that ran.
    #[error("migrations in {}: {mismatch}", folder.display())]
    Mismatch {
        /// The folder.
        folder: PathBuf,
        /// The first difference.
        mismatch: Box<Mismatch>,
    },
    /// The database could not be reached.
    #[error("[database] cannot be opened: {0}")]
    Database(#[from] DbError),
}

/// A difference between a folder and what ran.
#[derive(Debug, thiserror::Error)]
pub enum Mismatch {
    /// A file was changed after it ran.
    #[error(
        "migration {version} was previously applied but has been modified: {} {change}; put back the text that ran, and \
         write the change as a new migration. In development, `{reset}` makes the database anew after it has saved it",
        file.display()
    )]
    Edited {
        /// Its number.
        version: i64,
        /// Its file.
        file: PathBuf,
        /// What is known of the change.
        change: &'static str,
        /// The command that makes the database anew.
        reset: String,
    },
    /// A file was removed after it ran, while newer ones are there.
    #[error(
        "migration {version} was previously applied but is missing in the resolved migrations; put the file \
         {name}.sql back. In development, `{reset}` makes the database anew after it has saved it"
    )]
    Missing {
        /// Its number.
        version: i64,
        /// Its name when it ran.
        name: String,
        /// The command that makes the database anew.
        reset: String,
    },
    /// A migration failed half-way on a database that does not take back changes of its schema.
    #[error(
        "migration {version} is partially applied: the server kept the statements of {} before the one that failed. \
         Undo them by hand, run `DELETE FROM _sqlx_migrations WHERE version = {version}`, and migrate again. In \
         development, `{reset}` makes the database anew after it has saved it",
        file.display()
    )]
    HalfDone {
        /// Its number.
        version: i64,
        /// Its file, or the folder where that is gone.
        file: PathBuf,
        /// The command that makes the database anew.
        reset: String,
    },
    /// Two files have one number.
    #[error("two files have the number {version}; rename one of them, since a number is run once")]
    Twice {
        /// The number.
        version: i64,
    },
}

impl Error {
    /// Whether it may go better the next time: it was the connection that failed.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Database(error) => error.retryable,
            Self::Failed { source: MigrateError::Execute(source), .. } => is_lost(source),
            Self::Statement { source, .. } => is_lost(source),
            Self::Failed { .. } | Self::Mismatch { .. } => false,
        }
    }
}

fn is_lost(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_))
}

fn stays(applied: &[String]) -> String {
    match applied {
        [] => String::new(),
        names => format!(" (applied before it, and still applied: {})", names.join(", ")),
    }
}

fn cure(half: &Option<Box<Mismatch>>) -> String {
    half.as_ref().map_or_else(String::new, |half| format!("; {half}"))
}

/// The line of a failed statement in the text of its migration. Only PostgreSQL tells where the error is.
pub(super) fn line(text: &str, error: &sqlx::Error) -> Option<usize> {
    let error = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    match error.position()? {
        PgErrorPosition::Original(position) => {
            Some(text.chars().take(position.saturating_sub(1)).filter(|letter| *letter == '\n').count() + 1)
        }
        PgErrorPosition::Internal { .. } => None,
    }
}

/// What is known of a change to a text that once had this checksum. The old text is kept nowhere.
pub(super) fn change(now: &str, checksum: &[u8]) -> &'static str {
    let was = |text: &str| *Sha384::digest(text.as_bytes()) == *checksum;
    let unix = now.replace("\r\n", "\n");
    let dos = unix.replace('\n', "\r\n");
    let end = now.trim_end();
    match () {
        () if was(&unix) => "has CRLF line ends, and had LF when it ran; an editor or `git` has converted them",
        () if was(&dos) => "has LF line ends, and had CRLF when it ran; an editor or `git` has converted them",
        () if [end, &format!("{end}\n"), &format!("{end}\n\n"), &format!("{end}\r\n")].iter().any(|text| was(text)) => {
            "has other line ends or spaces at its end than when it ran"
        }
        () => "is not the text that ran",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_that_cannot_be_seen_are_named() {
        let ran = Sha384::digest(b"CREATE TABLE a (x);\nSELECT 1;\n");
        for (now, expected) in [
            ("CREATE TABLE a (x);\r\nSELECT 1;\r\n", "has CRLF line ends"),
            ("CREATE TABLE a (x);\nSELECT 1;", "spaces at its end"),
            ("CREATE TABLE a (x);\nSELECT 1;\n\n", "spaces at its end"),
            ("CREATE TABLE a (x, y);\nSELECT 1;\n", "is not the text that ran"),
        ] {
            assert!(change(now, &ran).contains(expected), "{now:?}: {}", change(now, &ran));
        }
        let ran = Sha384::digest(b"a\r\nb");
        assert!(change("a\nb", &ran).contains("has LF line ends"));
    }
}
