"""SQLAlchemy 2 on the handle of a request.

```python
from carya_guest.sqlalchemy import session


@post("/orders")
def create(db: Writer, new: Json[NewOrder]) -> Created:
    with session(db) as orm, orm.begin():
        order = Order(customer=new.customer, lines=[Line(item=item) for item in new.items])
        orm.add(order)
    return Created(f"/orders/{order.id}", ...)
```

The host owns the transaction. `commit` of a session keeps its changes in the transaction of the request, and `rollback`
undoes them, also after a failed flush. The host commits, or rolls back, after the response.

Reflection (`inspect`, `autoload_with`) works on SQLite and PostgreSQL. SQLAlchemy reflects tables of MySQL and MariaDB by
`SHOW`, which guests must not call. Declare the models where you can: reflection needs many statements in each request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# SQLAlchemy loads these modules late, and a component has no files at run time.
import sqlalchemy.orm.loading
import sqlalchemy.orm.strategies
import sqlalchemy.orm.unitofwork
import sqlalchemy.sql.default_comparator  # noqa: F401
from sqlalchemy import Engine, create_engine, exc, types
from sqlalchemy.dialects import postgresql, registry
from sqlalchemy.dialects.mysql.base import MySQLDialect
from sqlalchemy.dialects.postgresql import json as pg_json
from sqlalchemy.dialects.postgresql.base import PGCompiler, PGDialect
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.engine import reflection
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from . import dbapi
from ._database import Db
from .raw import database


class _OnHandle(DefaultDialect):
    driver = "carya"
    default_paramstyle = "qmark"

    @classmethod
    def import_dbapi(cls) -> Any:
        return dbapi

    def do_rollback_to_savepoint(self, connection: Any, name: str) -> None:
        super().do_rollback_to_savepoint(connection, name)  # type: ignore[no-untyped-call]
        # SQLAlchemy leaves the savepoint open until the transaction ends, and the host limits the number of open savepoints.
        self.do_release_savepoint(connection, name)  # type: ignore[no-untyped-call]

    def get_table_names(self, *args: Any, **options: Any) -> Any:
        # Without those of the host.
        return [name for name in super().get_table_names(*args, **options) if not name.startswith(("carya_", "_sqlx_"))]


class _Sqlite(_OnHandle, SQLiteDialect):
    supports_statement_cache = True  # SQLAlchemy ignores an inherited value.

    def initialize(self, connection: Any) -> None:
        _know(self, dbapi.sqlite_version_info)

    # For reflection: guests read pragmas as tables, and their connections have no temporary tables.

    def _get_table_pragma(self, connection: Any, pragma: str, table_name: str, schema: str | None = None) -> Any:
        place = (table_name, schema or "main")
        return connection.exec_driver_sql(f"SELECT * FROM pragma_{pragma}(?, ?)", place).fetchall()

    @reflection.cache
    def _get_table_sql(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> Any:
        tables = self._format_schema(schema, "sqlite_master")  # type: ignore[no-untyped-call]
        sql = f"SELECT sql FROM {tables} WHERE name = ? AND type IN ('table', 'view')"
        found = connection.exec_driver_sql(sql, (table_name,)).scalar()
        if found is None and not self._is_sys_table(table_name):  # type: ignore[no-untyped-call]
            raise exc.NoSuchTableError(table_name)
        return found

    def get_temp_table_names(self, connection: Any, *_: Any, **__: Any) -> list[str]:
        return []

    def get_temp_view_names(self, connection: Any, *_: Any, **__: Any) -> list[str]:
        return []

    def get_view_definition(self, connection: Any, view_name: str, schema: str | None = None, **options: Any) -> Any:
        return super().get_view_definition(connection, view_name, schema or "main", **options)  # type: ignore[no-untyped-call]

    def get_schema_names(self, connection: Any, **_: Any) -> list[str]:
        return ["main"]


def _cast(tp: type[Any]) -> type[Any]:
    """Returns a type that writes its parameters with a cast, from which the server knows their types: `?::INTEGER`."""
    return type(tp.__name__, (tp,), {"render_bind_cast": True, "__visit_name__": tp.__visit_name__})


class _Array(postgresql.ARRAY[Any]):
    render_bind_cast = True


class _Interval(postgresql.INTERVAL):
    render_bind_cast = True

    @classmethod
    def adapt_emulated_to_native(cls, interval: Any, **_: Any) -> _Interval:  # type: ignore[override]
        return cls(precision=interval.second_precision)


class _Numeric(types.Numeric[Any]):
    render_bind_cast = True

    def bind_processor(self, dialect: Any) -> None:
        return None

    def result_processor(self, dialect: Any, coltype: object) -> Callable[[Any], Any] | None:
        # The connection returns decimal numbers as `Decimal`.
        return None if self.asdecimal else lambda value: None if value is None else float(value)


_CAST: tuple[type[Any], ...] = (
    types.String,
    types.Float,
    types.Boolean,
    types.Date,
    types.Time,
    types.DateTime,
    types.Integer,
    types.SmallInteger,
    types.BigInteger,
    types.Uuid,
    pg_json.JSONB,
)


_COLSPECS = {
    **PGDialect.colspecs,
    **{tp: _cast(tp) for tp in _CAST},
    types.JSON: _cast(pg_json.JSON),
    types.Numeric: _Numeric,
    postgresql.ARRAY: _Array,
    types.ARRAY: _Array,
    types.Interval: _Interval,
    postgresql.INTERVAL: _Interval,
}


class _PostgresqlCompiler(PGCompiler):
    def visit_current_setting_func(self, function: Any, **options: Any) -> str:
        # Guests must not call it. Reflection compares the access methods of tables with the default one.
        if [getattr(clause, "value", None) for clause in function.clauses] == ["default_table_access_method"]:
            return "'heap'"
        return f"current_setting{self.function_argspec(function, **options)}"


class _Postgresql(_OnHandle, PGDialect):
    supports_statement_cache = True
    supports_sane_multi_rowcount = True
    render_bind_cast = True
    colspecs = _COLSPECS
    statement_compiler = _PostgresqlCompiler
    handle: Db

    def initialize(self, connection: Any) -> None:
        _know(self, (14,))
        self._backslash_escapes = False
        self.supports_smallserial = self.supports_identity_columns = True

    @property
    def default_schema_name(self) -> Any:  # type: ignore[override]
        # Only reflection uses it, so that other requests do not query it.
        return self.handle.fetch_one(str, "SELECT current_schema()")


class _Mysql(_OnHandle, MySQLDialect):
    supports_statement_cache = True
    # MariaDB and MySQL alike: keys come from the connection, and no statement has RETURNING.
    insert_returning = delete_returning = False
    supports_for_update_of = use_mysql_for_share = False
    supports_native_decimal = supports_sane_multi_rowcount = True
    _support_float_cast = _support_default_function = True
    _needs_correct_for_88718_96365 = _requires_alias_for_on_duplicate_key = False

    def initialize(self, connection: Any) -> None:
        _know(self, (8, 0, 14))
        # The sessions of the host use `NO_BACKSLASH_ESCAPES`.
        self._backslash_escapes = False

    def _extract_error_code(self, exception: Any) -> int | None:
        return int(exception.sqlstate) if exception.sqlstate else None


def _know(dialect: Any, version: tuple[int, ...]) -> None:
    """Sets the facts that SQLAlchemy queries at its first connection, from settings and catalogues of which guests must not
    read most. `version` is the oldest one whose SQL the dialect writes."""
    dialect.server_version_info = version
    dialect.default_isolation_level = None


_DIALECTS = {
    database.Dialect.SQLITE: ("sqlite", "_Sqlite"),
    database.Dialect.POSTGRESQL: ("postgresql", "_Postgresql"),
    database.Dialect.MYSQL: ("mysql", "_Mysql"),
}

for _name, _class in _DIALECTS.values():
    registry.register(f"{_name}.carya", __name__, _class)


def engine(db: Db) -> Engine:
    """Returns an engine with one connection on the handle of a request. It is valid until the function that received the
    handle returns."""
    name, _ = _DIALECTS[db.dialect()]
    created = create_engine(f"{name}+carya://", creator=lambda: dbapi.connect(db), poolclass=StaticPool)
    if isinstance(created.dialect, _Postgresql):
        created.dialect.handle = db
    return created


def session(db: Db, **options: Any) -> Session:
    """Returns a session on the handle of a request. Its options are those of `sqlalchemy.orm.Session`."""
    return Session(engine(db), **options)
