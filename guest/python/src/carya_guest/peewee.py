"""peewee on the handle of a request.

```python
from carya_guest.peewee import connect, database


class Note(peewee.Model):
    text = peewee.CharField()

    class Meta:
        database = database


@post("/notes")
def create(db: Writer, new: Json[NewNote]) -> Created:
    with connect(db) as orm, orm.atomic():
        note = Note.create(text=new.text)
    return Created(f"/notes/{note.id}", ...)
```

The host owns the transaction. `atomic` keeps its changes in the transaction of the request, and undoes them after an
exception. A statement outside of `atomic` is kept, or undone if it fails. The host commits, or rolls back, after the
response.

Methods that read the catalogue (`get_tables`, `playhouse.reflection`) do not work, because guests must not read all
catalogues. Nor do methods that change tables, because migrations do that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import peewee

from . import dbapi
from ._database import Db
from .raw import database as contract

database = peewee.DatabaseProxy()
"""The database of all models: `class Meta: database = database`. It is usable inside `with connect(db)`."""


class _Savepoint(peewee._savepoint):
    def rollback(self, begin: bool = True) -> None:
        # peewee leaves the savepoint open until the transaction ends, and the host limits the number of open savepoints.
        self.db.execute_sql(f"ROLLBACK TO SAVEPOINT {self.quoted_sid}")
        if not begin:
            self.db.execute_sql(f"RELEASE SAVEPOINT {self.quoted_sid}")


class _OnHandle(peewee.Database):
    """A database whose connection is the handle of the current request."""

    param = "?"
    handle: Db

    def __init__(self, **options: Any) -> None:
        # A request has one thread.
        super().__init__("carya", thread_safe=False, autoconnect=False, **options)

    def _connect(self) -> dbapi.Connection:
        self._opened = dbapi.connect(self.handle)
        self._opened.autocommit = True
        return self._opened

    def _set_server_version(self, connection: dbapi.Connection) -> None:
        pass

    def is_connection_usable(self) -> bool:
        return not self.is_closed()

    def begin(self, *isolation: Any) -> None:
        if isolation:
            raise peewee.NotSupportedError("the host sets the isolation level of the transaction of a request")
        self._end("begin")

    def commit(self) -> None:
        self._end("commit")

    def rollback(self) -> None:
        self._end("rollback")

    def savepoint(self) -> peewee._savepoint:
        return _Savepoint(self)

    def get_binary_type(self) -> type[bytes]:
        return bytes

    def _end(self, name: str) -> None:
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
            getattr(self._opened, name)()


_PARTS = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H", "minute": "%M", "second": "%S"}
_TRUNCATED = {
    "year": "%Y-01-01 00:00:00",
    "month": "%Y-%m-01 00:00:00",
    "day": "%Y-%m-%d 00:00:00",
    "hour": "%Y-%m-%d %H:00:00",
    "minute": "%Y-%m-%d %H:%M:00",
    "second": "%Y-%m-%d %H:%M:%S",
}


class _Sqlite(_OnHandle, peewee.SqliteDatabase):
    server_version = dbapi.sqlite_version_info

    # peewee registers functions for these on its own connections, which a guest cannot.
    def extract_date(self, date_part: str, date_field: Any) -> Any:
        return peewee.fn.strftime(_PARTS[date_part], date_field).cast("integer")

    def truncate_date(self, date_part: str, date_field: Any) -> Any:
        return peewee.fn.strftime(_TRUNCATED[date_part], date_field, python_value=datetime.fromisoformat)


class _Jsonb(contract.OtherValue):
    def __init__(self, value: Any, dumps: Callable[[Any], str] = json.dumps) -> None:
        super().__init__("JSONB", dumps(value))


class _Adapter(peewee.Psycopg3Adapter):
    """What peewee needs from a driver of PostgreSQL."""

    def __init__(self) -> None:
        super().__init__()
        self.json_type = self.jsonb_type = _Jsonb


_CASTS: dict[type, str] = {
    bool: "::BOOLEAN",
    float: "::FLOAT8",
    Decimal: "::NUMERIC",
    bytes: "::BYTEA",
    datetime: "::TIMESTAMP",
    date: "::DATE",
    time: "::TIME",
    UUID: "::UUID",
    _Jsonb: "::JSONB",
}


class _TypedContext(peewee.Context):
    """Writes parameters with casts, because the server cannot infer all types: those of `CASE`, for example."""

    _sql: list[str]
    _values: list[Any]

    def value(self, value: Any, converter: Any = None, add_param: bool = True) -> Any:
        context = super().value(value, converter, add_param)
        # Other values than those of parameters end with other text.
        if add_param and self._sql[-1:] == ["?"]:
            self.literal(_cast(self._values[-1]))
        return context


def _cast(value: Any) -> str:
    if type(value) is int:
        return "::INT4" if -(2**31) <= value < 2**31 else "::INT8"
    if isinstance(value, datetime) and value.tzinfo is not None:
        return "::TIMESTAMPTZ"
    return _CASTS.get(type(value), "")


class _Postgresql(_OnHandle, peewee.PostgresqlDatabase):
    server_version = 140000
    context_class = _TypedContext
    psycopg2_adapter = psycopg3_adapter = _Adapter

    def _connect(self) -> dbapi.Connection:
        connection = super()._connect()
        connection.converters |= {"JSON": json.loads, "JSONB": json.loads}
        return connection


class _Mysql(_OnHandle, peewee.MySQLDatabase):
    # The oldest version that has all statements.
    server_version = (8, 0, 22)


_CLASSES: dict[contract.Dialect, type[_OnHandle]] = {
    contract.Dialect.SQLITE: _Sqlite,
    contract.Dialect.POSTGRESQL: _Postgresql,
    contract.Dialect.MYSQL: _Mysql,
}
_databases: dict[contract.Dialect, _OnHandle] = {}


@contextmanager
def connect(db: Db) -> Iterator[peewee.Database]:
    """Connects `database` with the handle of a request, for the block. Returns the database of peewee."""
    dialect = db.dialect()
    if dialect not in _databases:
        _databases[dialect] = _CLASSES[dialect]()
    current = _databases[dialect]
    current.handle = db
    database.initialize(current)
    with current.connection_context():
        yield current
