//! Errors of migrations, with remedies.

use std::{io, path::PathBuf};

use sha2::{Digest, Sha384};
use sqlx::{
    migrate::MigrateError,
    postgres::{PgDatabaseError, PgErrorPosition},
};

use crate::sql::error::DbError;

/// Error of a run of migrations, or of reading their state.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The folder, one of its files, or the history cannot be read, or the migrator failed.
    #[error("migrations in {}: {source}{}", folder.display(), stays(applied))]
    Failed {
        /// Folder of the migrations.
        folder: PathBuf,
        /// Error of the migrator.
        source: MigrateError,
        /// Names of the migrations that this run applied before it failed.
        applied: Vec<String>,
    },
    /// A statement of a migration failed.
    #[error(
        "migrations in {}: while executing migration {version}: {source}; in {place}{}{}",
        folder.display(), stays(applied), remedy(half)
    )]
    Statement {
        /// Folder of the migrations.
        folder: PathBuf,
        /// Version of the migration.
        version: i64,
        /// File of the migration, with the line if the database reports the position.
        place: String,
        /// Error of the driver.
        source: Box<sqlx::Error>,
        /// Names of the migrations that this run applied before it failed.
        applied: Vec<String>,
        /// Set if the database keeps the statements that the migration ran before the failed statement.
        half: Option<Box<Mismatch>>,
    },
    /// The folder cannot be listed.
    #[error("migrations in {}: {source}; create the folder, or correct the path", folder.display())]
    Unreadable {
        /// Folder of the migrations.
        folder: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// The folder does not match the history.
    #[error("migrations in {}: {mismatch}", folder.display())]
    Mismatch {
        /// Folder of the migrations.
        folder: PathBuf,
        /// The first difference.
        mismatch: Box<Mismatch>,
    },
    /// The database could not be opened.
    #[error("the database of the migrations cannot be opened: {0}")]
    Database(#[from] DbError),
}

/// A difference between a folder and the history.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Mismatch {
    /// A file was changed after it ran.
    #[error(
        "migration {version} was previously applied but has been modified: {} {change}; put back the text that ran, and \
         write the change as a new migration. In development, `{reset}` saves the database and then creates it anew",
        file.display()
    )]
    Edited {
        /// Version of the migration.
        version: i64,
        /// File of the migration.
        file: PathBuf,
        /// Description of the change, if it is recognized.
        change: &'static str,
        /// Command that resets the database.
        reset: String,
    },
    /// A file was removed after it ran, and the folder has newer files.
    #[error(
        "migration {version} was previously applied but is missing in the resolved migrations; put the file \
         {name}.sql back. In development, `{reset}` saves the database and then creates it anew"
    )]
    Missing {
        /// Version of the migration.
        version: i64,
        /// Name of the migration when it ran.
        name: String,
        /// Command that resets the database.
        reset: String,
    },
    /// A migration failed half-way on a database that cannot roll back changes of the schema.
    #[error(
        "migration {version} is partially applied: the server kept the statements of {} before the one that failed. \
         Undo them by hand, run `DELETE FROM _sqlx_migrations WHERE version = {version}`, and migrate again. In \
         development, `{reset}` saves the database and then creates it anew",
        file.display()
    )]
    HalfDone {
        /// Version of the migration.
        version: i64,
        /// File of the migration, or the folder if the file is gone.
        file: PathBuf,
        /// Command that resets the database.
        reset: String,
    },
    /// Several files have the same version.
    #[error("{} have the number {version}; rename all but one of them", list(files))]
    DuplicateVersion {
        /// The version.
        version: i64,
        /// The files.
        files: Vec<PathBuf>,
    },
    /// The folder has files that would never run, because their names are not those of migrations.
    #[error(
        "{} would never run; the name of a migration is a number, `_`, a description and `.sql`, such as \
         0001_name.sql. Rename it, or move it to another folder",
        list(files)
    )]
    Skipped {
        /// The files, and folders with such files.
        files: Vec<PathBuf>,
    },
}

impl Error {
    /// Returns whether a later attempt may succeed, because the cause is a failed connection and not the migration.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Database(error) => error.retryable,
            Self::Failed { source: MigrateError::Execute(source), .. } => is_lost(source),
            Self::Statement { source, .. } => is_lost(source),
            Self::Failed { .. } | Self::Unreadable { .. } | Self::Mismatch { .. } => false,
        }
    }
}

fn is_lost(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_))
}

fn list(files: &[PathBuf]) -> String {
    let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    files.join(" and ")
}

fn stays(applied: &[String]) -> String {
    match applied {
        [] => String::new(),
        names => format!(" (applied before the failure, and still applied: {})", names.join(", ")),
    }
}

fn remedy(half: &Option<Box<Mismatch>>) -> String {
    half.as_ref().map_or_else(String::new, |half| format!("; {half}"))
}

/// Returns the line of a failed statement in the text of its migration. Only PostgreSQL reports the position of an
/// error.
pub(super) fn line(text: &str, error: &sqlx::Error) -> Option<usize> {
    let error = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    match error.position()? {
        PgErrorPosition::Original(position) => {
            Some(text.chars().take(position.saturating_sub(1)).filter(|letter| *letter == '\n').count() + 1)
        }
        PgErrorPosition::Internal { .. } => None,
    }
}

/// Describes how the text of a migration has changed since it ran with this checksum. The old text is not stored, so
/// only changes of line ends and of spaces at the end are recognized.
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
    fn recognizes_changes_of_invisible_characters() {
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
