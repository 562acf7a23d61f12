"""DB-API 2.0 (PEP 249) on the handle of a request, for object-relational mappers.

The host owns the transaction of the request. So a connection opens a savepoint before its first statement: `commit` keeps
the changes since then, and `rollback` undoes them, also after a failed statement. The host commits the transaction, or
rolls it back, after the response.

With `autocommit`, a connection keeps the changes of each statement, and undoes a failed statement. `begin` opens the
savepoint that the next `commit` or `rollback` ends.

SQLAlchemy uses this module through `carya_guest.sqlalchemy`, peewee through `carya_guest.peewee`, and Django's models
through `carya_guest.django`.
"""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from . import _database, _errors, _text, _values
from .raw import Err, database

T = TypeVar("T")

apilevel = "2.0"
threadsafety = 0
paramstyle = "qmark"

# The version of SQLite, by which mappers choose their SQL.
sqlite_version = "3.45.0"
sqlite_version_info = (3, 45, 0)


class Warning(Exception):
    """Never raised."""


class Error(Exception):
    """A failed statement. `error` is the error of the host."""

    def __init__(self, error: _errors.DbError) -> None:
        super().__init__(str(error))
        self.error = error
        self.sqlstate = error.code


class InterfaceError(Exception):
    """A connection or cursor that is used in a wrong way."""


class DatabaseError(Error):
    """Base of all errors of statements."""


class DataError(DatabaseError):
    """A value does not fit."""


class OperationalError(DatabaseError):
    """A conflict, a timeout, a limit, a lost connection, or a write through a `Reader`."""


class IntegrityError(DatabaseError):
    """A violated constraint."""


class InternalError(DatabaseError):
    """Never raised."""


class ProgrammingError(DatabaseError):
    """A statement that is wrong or forbidden."""


class NotSupportedError(DatabaseError):
    """Never raised."""


_CLASSES: dict[database.DbErrorKind, type[DatabaseError]] = {
    database.DbErrorKind.CONSTRAINT: IntegrityError,
    database.DbErrorKind.DATA: DataError,
    database.DbErrorKind.FORBIDDEN: ProgrammingError,
    database.DbErrorKind.OTHER: ProgrammingError,
}


def _failed(error: Err[database.DbError]) -> DatabaseError:
    """Returns the exception for an error of the host."""
    try:
        _errors.reraise(error)
    except _errors.DbError as failed:
        return _CLASSES.get(failed.kind, OperationalError)(failed)


Date = datetime.date
Time = datetime.time
Timestamp = datetime.datetime
Binary = bytes


def DateFromTicks(ticks: float) -> datetime.date:
    return Date(*time.localtime(ticks)[:3])


def TimeFromTicks(ticks: float) -> datetime.time:
    return Time(*time.localtime(ticks)[3:6])


def TimestampFromTicks(ticks: float) -> datetime.datetime:
    return Timestamp(*time.localtime(ticks)[:6])


class _TypeObject:
    """Type of a column, which equals the names of all types of its kind."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def __eq__(self, other: object) -> bool:
        return other in self._names

    def __hash__(self) -> int:
        return hash(self._names)


STRING = _TypeObject("TEXT", "VARCHAR", "CHAR", "BPCHAR", "NAME", "JSON", "JSONB")
BINARY = _TypeObject("BLOB", "BYTEA", "BINARY", "VARBINARY", "LONGBLOB")
NUMBER = _TypeObject(
    "INTEGER", "INT", "INT2", "INT4", "INT8", "BIGINT", "REAL", "FLOAT4", "FLOAT8", "DOUBLE", "NUMERIC", "DECIMAL"
)
DATETIME = _TypeObject("DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "DATETIME")
ROWID = _TypeObject()


# Statements that need no savepoint with `autocommit`: queries, and those that open or end savepoints by name.
_KEEPS_NOTHING = re.compile(r"\s*(SELECT|SAVEPOINT|RELEASE|ROLLBACK)\b", re.IGNORECASE)


def connect(db: _database.Db) -> Connection:
    """Returns a connection on the handle of a request."""
    return Connection(db)


class Connection:
    """A connection. It is valid until the function that received the handle returns."""

    Warning = Warning
    Error = Error
    InterfaceError = InterfaceError
    DatabaseError = DatabaseError
    DataError = DataError
    OperationalError = OperationalError
    IntegrityError = IntegrityError
    InternalError = InternalError
    ProgrammingError = ProgrammingError
    NotSupportedError = NotSupportedError

    def __init__(self, db: _database.Db) -> None:
        self._db: _database.Db | None = db
        self._savepoint: database.Savepoint | None = None
        self.autocommit = False
        self._dialect = db.dialect()
        self.converters = _text.converters(self._dialect)
        """The functions that read the texts of types, by their names on the engine."""

    def cursor(self) -> Cursor:
        return Cursor(self)

    def begin(self) -> None:
        """Opens the savepoint of the next `commit` or `rollback`. Only needed with `autocommit`."""
        if self._savepoint is None and isinstance(self._db, _database.Writer):
            try:
                self._savepoint = self._db.raw.savepoint()
            except Err as error:
                raise _failed(error) from None

    def commit(self) -> None:
        """Keeps the changes since the last commit."""
        self._end(lambda savepoint: savepoint.release())

    def rollback(self) -> None:
        """Undoes the changes since the last commit. After a failed statement, the host accepts statements again."""
        self._end(lambda savepoint: savepoint.rollback())

    def close(self) -> None:
        """Undoes the changes since the last commit."""
        if self._db is not None:
            self.rollback()
            self._db = None

    def _end(self, end: Callable[[database.Savepoint], None]) -> None:
        savepoint, self._savepoint = self._savepoint, None
        if savepoint is not None:
            with savepoint:
                try:
                    end(savepoint)
                except Err as error:
                    raise _failed(error) from None

    def _values(self, params: Sequence[Any]) -> list[database.Value]:
        return _values.parameters([_text.parameter(self._dialect, value) for value in params])

    def _run(self, sql: str, params: Sequence[Any]) -> database.StatementResult:
        db, values = self._open(), self._values(params)
        return self._keep(sql, lambda: db.raw.run(sql, values))

    def _run_batch(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        db, values = self._open(), [self._values(row) for row in rows]
        if not isinstance(db, _database.Writer):
            raise ProgrammingError(_errors.data_error("a Reader runs no statement for several rows of parameters"))
        writer = db.raw
        return self._keep(sql, lambda: writer.execute_batch(sql, values))

    def _open(self) -> _database.Db:
        if self._db is None:
            raise InterfaceError("the connection is closed")
        return self._db

    def _keep(self, sql: str, run: Callable[[], T]) -> T:
        """Runs a statement in the savepoint of the connection, or with `autocommit` in one of its own."""
        alone = self.autocommit and self._savepoint is None
        if not (alone and _KEEPS_NOTHING.match(sql)):
            self.begin()
        try:
            result = run()
        except Err as error:
            if alone:
                self.rollback()
            raise _failed(error) from None
        if alone:
            self.commit()
        return result


class Cursor:
    """A statement and its rows."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.description: list[tuple[Any, ...]] | None = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self._rows: Iterator[tuple[Any, ...]] | None = None

    def execute(self, sql: str, params: Sequence[Any] = ()) -> Cursor:
        result = self.connection._run(sql, params)
        self.description = [(column.name, column.type_name, *(None,) * 5) for column in result.columns] or None
        # A query has the number of its rows, as most drivers report it.
        self.rowcount = result.rows_affected or len(result.rows)
        self.lastrowid = result.last_insert_id
        convert = self.connection.converters
        self._rows = iter([tuple(_plain(value, convert) for value in row) for row in result.rows])
        return self

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> Cursor:
        self.description, self._rows, self.rowcount = None, None, self.connection._run_batch(sql, rows)
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        return next(self._result(), None)

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        rows = self._result()
        return [row for _, row in zip(range(self.arraysize if size is None else size), rows, strict=False)]

    def fetchall(self) -> list[tuple[Any, ...]]:
        return list(self._result())

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._result()

    def close(self) -> None:
        self._rows = None

    def setinputsizes(self, sizes: Sequence[Any]) -> None:
        """Does nothing."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Does nothing."""

    def _result(self) -> Iterator[tuple[Any, ...]]:
        if self._rows is None:
            raise InterfaceError("there is no result: no query was executed, or the cursor is closed")
        return self._rows


def _plain(value: database.Value, converters: dict[str, Callable[[str], Any]]) -> Any:
    """Returns the value of a column. Types without a converter, such as JSON, stay text."""
    plain = _values.plain(value)
    if isinstance(plain, database.OtherValue):
        return converters.get(plain.type_name, str)(plain.text)
    return plain
