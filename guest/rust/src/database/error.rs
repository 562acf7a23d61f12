//! Errors of statements.

use std::{fmt, ops::Deref};

use super::types::{DbErrorKind, ViolationKind};
use crate::{Problem, raw::database};

/// Error of a statement.
///
/// The fields are those of [`raw::database::DbError`](database::DbError): `kind`, `code`, `message`, `constraint`,
/// `detail`, `hint`, `retryable`.
///
/// The operator `?` turns it into an internal [`Problem`]: the client receives 500, and only the log has the text.
/// To turn the violation of a constraint into a response of its own, use [`DbResult::on_violation`].
#[derive(Clone, PartialEq)]
pub struct DbError(Box<database::DbError>);

impl DbError {
    pub(crate) fn from_raw(error: database::DbError) -> Self {
        Self(Box::new(error))
    }

    /// Error of a value that cannot be converted. The statement succeeded, so the transaction is not doomed.
    pub(crate) fn data(message: String) -> Self {
        Self(Box::new(database::DbError {
            kind: DbErrorKind::Data,
            code: None,
            message,
            retryable: false,
            constraint: None,
            detail: None,
            hint: None,
        }))
    }

    /// Error of a query that must return a row.
    pub(crate) fn no_row(sql: &str) -> Self {
        Self::data(format!("the query returned no row: {sql:.200}"))
    }

    /// Returns whether the statement violated a constraint of this kind.
    pub fn violates(&self, kind: ViolationKind) -> bool {
        self.constraint.as_ref().is_some_and(|violation| violation.kind == kind)
    }
}

impl Deref for DbError {
    type Target = database::DbError;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            f.write_str("; hint: ")?;
            f.write_str(hint)?;
        }
        Ok(())
    }
}

impl fmt::Debug for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for DbError {}

/// Functions of the result of a statement.
pub trait DbResult<T> {
    /// Turns the violation of a constraint of this kind into a problem for the client. Other errors become internal
    /// problems, as with `?`.
    ///
    /// ```no_run
    /// # use carya_guest::prelude::*;
    /// # fn f(db: &Writer, name: &str) -> Result<(), Problem> {
    /// db.execute("INSERT INTO projects (name) VALUES (?)", (name,))
    ///     .on_violation(ViolationKind::Unique, || Problem::conflict("another project has this name"))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the problem.
    fn on_violation(self, kind: ViolationKind, problem: impl FnOnce() -> Problem) -> Result<T, Problem>;
}

impl<T> DbResult<T> for Result<T, DbError> {
    fn on_violation(self, kind: ViolationKind, problem: impl FnOnce() -> Problem) -> Result<T, Problem> {
        self.map_err(|error| if error.violates(kind) { problem() } else { error.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::database::Violation;

    fn violation(kind: ViolationKind) -> DbError {
        let mut error = DbError::data("UNIQUE constraint failed: projects.name".to_owned());
        error.0.constraint = Some(Violation { kind, name: None, table: None, columns: vec![] });
        error
    }

    #[test]
    fn shows_message_and_hint() {
        let mut error = violation(ViolationKind::Unique);
        assert_eq!(error.to_string(), "UNIQUE constraint failed: projects.name");
        error.0.hint = Some("choose another name".to_owned());
        assert_eq!(error.to_string(), "UNIQUE constraint failed: projects.name; hint: choose another name");
    }

    #[test]
    fn names_the_query_without_a_row() {
        let long = "x".repeat(300);
        assert_eq!(DbError::no_row("SELECT 1").to_string(), "the query returned no row: SELECT 1");
        assert_eq!(DbError::no_row(&long).to_string(), format!("the query returned no row: {}", &long[..200]));
    }

    #[test]
    fn only_the_named_violation_becomes_a_problem_of_the_client() {
        let problem = |kind| {
            let failed: Result<(), _> = Err(violation(kind));
            failed.on_violation(ViolationKind::Unique, || Problem::conflict("taken")).err().map(|it| it.status())
        };
        assert_eq!(problem(ViolationKind::Unique), Some(409));
        assert_eq!(problem(ViolationKind::Check), Some(500));
    }
}
