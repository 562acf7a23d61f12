"""Django's models on the handle of a request, without the rest of Django.

```python
from carya_guest.django import connect, setup

setup("notes")

from notes.models import Note


@post("/notes")
def create(db: Writer, new: Json[NewNote]) -> Created:
    with connect(db), transaction.atomic():
        note = Note.objects.create(text=new.text)
    return Created(f"/notes/{note.id}", ...)
```

The host owns the transaction. `transaction.atomic` keeps its changes in the transaction of the request, and undoes them
after an exception. A statement outside of `atomic` is kept, or undone if it fails. The host commits, or rolls back, after
the response. The functions of `transaction.on_commit` run before that commit, so register an action instead.

Methods that read the catalogue (`inspectdb`, `connection.introspection`) do not work, because guests must not read all
catalogues. Nor do migrations of Django, because those of the host change tables. On SQLite, most functions that Django
registers on its own connections are absent, such as `__week`. On PostgreSQL, `has_key` of JSON is absent, and on MySQL
and MariaDB `__contains=F(..)`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import django
import django.db.backends.dummy.base
import django.db.models.sql.compiler
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import NotSupportedError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import typecast_time
from django.utils import timezone
from django.utils.dateparse import parse_duration
from django.utils.duration import duration_iso_string

from . import _drivers, dbapi
from ._database import Db
from .raw import database

with _drivers.stand_ins():
    import django.db.backends.mysql.base
    import django.db.backends.mysql.compiler
    import django.db.backends.mysql.features
    import django.db.backends.mysql.operations
    import django.db.backends.postgresql.base
    import django.db.backends.postgresql.compiler
    import django.db.backends.postgresql.operations
    import django.db.backends.sqlite3.base
    import django.db.backends.sqlite3.operations

_ALIAS = "default"


def setup(*apps: str, **options: Any) -> None:
    """Configures Django with the applications that contain the models. Call it before the models are imported. `options` are
    further settings, such as `USE_TZ=False`."""
    defaults: dict[str, Any] = {
        "DATABASES": {},
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "INSTALLED_APPS": apps,
        # The host writes the log.
        "LOGGING_CONFIG": None,
        # Other time zones need the package tzdata.
        "TIME_ZONE": "UTC",
    }
    settings.configure(**defaults | options)
    django.setup()
    if settings.USE_TZ:
        # Reads the zone from tzdata now, because a component has no files at run time.
        timezone.get_default_timezone()


class _Cursor(dbapi.Cursor):
    """A cursor that takes Django's placeholders `%s`."""

    def execute(self, sql: str, params: Sequence[Any] | None = None) -> dbapi.Cursor:
        if params is None:
            return super().execute(sql)
        # `%%` stands for `%`, also in a statement without parameters.
        return super().execute(sql % (("?",) * len(params)), [_parameter(value) for value in params])


def _parameter(value: Any) -> Any:
    if isinstance(value, datetime.timedelta):
        return duration_iso_string(value)
    # A subclass of `str`.
    return str(value) if isinstance(value, str) else value


class _OnHandle(BaseDatabaseWrapper):
    """A connection on the handle of the current request."""

    Database = dbapi
    handle: Db
    converters: ClassVar[dict[str, Callable[[str], Any]]] = {}

    def get_connection_params(self) -> dict[str, Any]:
        return {}

    def get_new_connection(self, params: dict[str, Any]) -> dbapi.Connection:
        connection = dbapi.connect(self.handle)
        connection.converters |= self.converters
        return connection

    def init_connection_state(self) -> None:
        """Does nothing: the host sets the state of its connections."""

    def create_cursor(self, name: str | None = None) -> _Cursor:
        return _Cursor(self.connection)

    def chunked_cursor(self) -> Any:
        return self.cursor()

    def close(self) -> None:
        BaseDatabaseWrapper.close(self)

    def _close(self) -> None:
        BaseDatabaseWrapper._close(self)

    def _rollback(self) -> None:
        BaseDatabaseWrapper._rollback(self)

    def _set_autocommit(self, autocommit: bool) -> None:
        self.connection.autocommit = autocommit

    def is_usable(self) -> bool:
        return True


# Formats of SQLite's `strftime`. Django writes `%%` for a percent sign.
_PARTS = {
    **{"year": "%%Y", "month": "%%m", "day": "%%d", "hour": "%%H", "minute": "%%M", "second": "%%S"},
    **{"quarter": "%%m", "week_day": "%%w", "iso_week_day": "%%w"},
}
_NUMBERS = {"quarter": "(({} + 2) / 3)", "week_day": "({} + 1)", "iso_week_day": "(({} + 6) %% 7 + 1)"}
_DATES = {"year": "%%Y-01-01", "month": "%%Y-%%m-01", "day": "%%Y-%%m-%%d"}
_TIMES = {
    **{unit: f"{text} 00:00:00" for unit, text in _DATES.items()},
    **{"hour": "%%Y-%%m-%%d %%H:00:00", "minute": "%%Y-%%m-%%d %%H:%%M:00", "second": "%%Y-%%m-%%d %%H:%%M:%%S"},
}
_Sql = tuple[str, tuple[Any, ...]]


class _SqliteOperations(django.db.backends.sqlite3.operations.DatabaseOperations):
    """Parts of dates. Django registers functions for them on its own connections, which a guest cannot."""

    def date_extract_sql(self, lookup_type: str, sql: str, params: Any, tzname: str | None = None) -> _Sql:
        text, params = _strftime(_PARTS, lookup_type, sql, params, tzname)
        return _NUMBERS.get(lookup_type, "{}").format(f"CAST({text} AS INTEGER)"), params

    datetime_extract_sql = time_extract_sql = date_extract_sql

    def date_trunc_sql(self, lookup_type: str, sql: str, params: Any, tzname: str | None = None) -> _Sql:
        return _strftime(_DATES, lookup_type, sql, params, tzname)

    def datetime_trunc_sql(self, lookup_type: str, sql: str, params: Any, tzname: str | None) -> _Sql:
        return _strftime(_TIMES, lookup_type, sql, params, tzname)

    def datetime_cast_date_sql(self, sql: str, params: Any, tzname: str | None) -> _Sql:
        return _strftime({"date": "%%Y-%%m-%%d"}, "date", sql, params, tzname)

    def datetime_cast_time_sql(self, sql: str, params: Any, tzname: str | None) -> _Sql:
        return _strftime({"time": "%%H:%%M:%%f"}, "time", sql, params, tzname)


def _strftime(formats: dict[str, str], unit: str, sql: str, params: Any, tzname: str | None) -> _Sql:
    if settings.USE_TZ and tzname not in (None, "UTC"):
        raise NotSupportedError(f"SQLite has no time zone {tzname} for parts of dates; set TIME_ZONE to UTC")
    if unit not in formats:
        raise NotSupportedError(f"`{unit}` is not available as a part of a date on SQLite")
    return f"strftime('{formats[unit]}', {sql})", tuple(params)


class _Sqlite(_OnHandle, django.db.backends.sqlite3.base.DatabaseWrapper):
    ops_class = _SqliteOperations

    def get_database_version(self) -> tuple[int, ...]:
        return dbapi.sqlite_version_info

    def _start_transaction_under_autocommit(self) -> None:
        self._set_autocommit(False)


class _PostgresqlOperations(django.db.backends.postgresql.operations.DatabaseOperations):
    # One row for each row of values. The other compiler passes arrays.
    compiler_module = "django.db.models.sql.compiler"

    def adapt_json_value(self, value: Any, encoder: Any) -> database.OtherValue:
        dumps = django.db.backends.postgresql.operations.get_json_dumps(encoder)
        return database.OtherValue("JSONB", dumps(value))

    def adapt_ipaddressfield_value(self, value: str | None) -> str | None:
        return value or None


class _Postgresql(_OnHandle, django.db.backends.postgresql.base.DatabaseWrapper):
    ops_class = _PostgresqlOperations
    converters: ClassVar = {"INTERVAL": parse_duration}
    # The oldest version that Django supports.
    pg_version = 140000

    def get_database_version(self) -> tuple[int, ...]:
        return divmod(self.pg_version, 10000)


class _MysqlFeatures(django.db.backends.mysql.features.DatabaseFeatures):
    # The end of the rows, of the type that `fetchmany` returns.
    empty_fetchmany_value: ClassVar[list[Any]] = []


class _MysqlOperations(django.db.backends.mysql.operations.DatabaseOperations):
    def prep_for_like_query(self, x: object) -> str:
        return re.sub("[!%_]", r"!\g<0>", str(x))

    prep_for_iexact_query = prep_for_like_query


class _Mysql(_OnHandle, django.db.backends.mysql.base.DatabaseWrapper):
    features_class = _MysqlFeatures
    ops_class = _MysqlOperations
    converters: ClassVar = {"TIME": typecast_time}
    # The sessions of the host use `NO_BACKSLASH_ESCAPES`, and guests must not write a backslash before a quote.
    operators: ClassVar = {
        name: f"{sql} ESCAPE '!'" if sql.startswith("LIKE") else sql
        for name, sql in django.db.backends.mysql.base.DatabaseWrapper.operators.items()
    }

    @property
    def mysql_server_data(self) -> dict[str, Any]:
        # Guests must not read the variables of the server.
        if not hasattr(self, "_data"):
            with self.cursor() as cursor:
                cursor.execute("SELECT VERSION()")
                version = cursor.fetchone()[0]
            self._data = {
                "version": version,
                "sql_mode": "STRICT_TRANS_TABLES",
                "default_storage_engine": "InnoDB",
                "sql_auto_is_null": False,
                "lower_case_table_names": False,
                "has_zoneinfo_database": False,
            }
        return self._data


_CLASSES: dict[database.Dialect, type[Any]] = {
    database.Dialect.SQLITE: _Sqlite,
    database.Dialect.POSTGRESQL: _Postgresql,
    database.Dialect.MYSQL: _Mysql,
}
_wrappers: dict[database.Dialect, Any] = {}


@contextmanager
def connect(db: Db) -> Iterator[None]:
    """Lets models use the handle of a request, for the block."""
    if not settings.configured:
        raise ImproperlyConfigured("call carya_guest.django.setup(..) before the models are imported")
    dialect = db.dialect()
    if dialect not in _wrappers:
        _wrappers[dialect] = _CLASSES[dialect](connections.settings[_ALIAS], _ALIAS)
    current = _wrappers[dialect]
    current.handle = db
    connections[_ALIAS] = current
    try:
        yield
    finally:
        current.close()
        # A query outside of a block must not reach the handle of an earlier request.
        del connections[_ALIAS]
