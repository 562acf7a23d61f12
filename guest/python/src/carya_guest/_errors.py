"""Errors of the host and of statements."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from . import raw
from .raw import database


class HostError(Exception):
    """The host rejected a call, such as a header field that is not valid."""


class DbError(Exception):
    """A failed statement.

    If a handler does not catch it, the host rolls back, writes the message and the traceback to its log, and responds
    with 500. To turn the violation of a constraint into a response, use `on_violation`.
    """

    kind: database.DbErrorKind
    """The class of the error."""
    message: str
    """The message of the engine or of the host."""
    code: str | None
    """SQLSTATE on PostgreSQL, the number of the error on SQLite and MySQL."""
    constraint: database.Violation | None
    """The violated constraint, if the kind is `CONSTRAINT`."""
    retryable: bool
    """Whether the same statement may succeed in a later attempt."""
    detail: str | None
    """Details from PostgreSQL, which may contain values of other rows."""
    hint: str | None
    """A proposal for a correction."""

    def __init__(
        self,
        kind: database.DbErrorKind,
        message: str,
        *,
        code: str | None = None,
        constraint: database.Violation | None = None,
        retryable: bool = False,
        detail: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message if hint is None else f"{message}; hint: {hint}")
        self.kind = kind
        self.message = message
        self.code = code
        self.constraint = constraint
        self.retryable = retryable
        self.detail = detail
        self.hint = hint

    def violates(self, kind: database.ViolationKind) -> bool:
        """Returns whether the statement violated a constraint of this kind."""
        return self.constraint is not None and self.constraint.kind == kind


def data_error(message: str) -> DbError:
    """Returns the error of a value that cannot be converted. The statement succeeded, so the transaction is not
    doomed."""
    return DbError(database.DbErrorKind.DATA, message)


def reraise(error: raw.Err[raw.database.DbError]) -> NoReturn:
    """Raises the error of a statement as a `DbError`."""
    value = error.value
    raise DbError(
        value.kind,
        value.message,
        code=value.code,
        constraint=value.constraint,
        retryable=value.retryable,
        detail=value.detail,
        hint=value.hint,
    ) from None


@contextmanager
def on_violation(kind: database.ViolationKind, problem: Exception) -> Iterator[None]:
    """Raises `problem` if a statement violates a constraint of this kind. Other errors pass.

    ```python
    with on_violation(ViolationKind.UNIQUE, Problem(409, "another project has this name")):
        db.execute("INSERT INTO projects (name) VALUES (?)", (name,))
    ```
    """
    try:
        yield
    except DbError as error:
        if not error.violates(kind):
            raise
        raise problem from error
