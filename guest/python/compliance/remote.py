"""The dialects of `carya_guest.sqlalchemy` outside of a guest. The guest `probe` runs the statements in a host.

A transaction of the host ends with the response, but SQLAlchemy's suite holds its connections longer. So each statement is
sent together with the statements before it in its transaction, in a request that is rolled back. `commit` sends all of them
in a request that is committed.

Guests must not change tables, or read settings. The owner of the database runs such statements. Before them, the
transaction is committed, as on MySQL.

Environment: `CARYA_URL` is the address of the host, `CARYA_OWNER` the URL of its database.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sqlite3
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.engine import URL
from sqlalchemy.testing import provision

from carya_guest import Writer, _values, dbapi
from carya_guest import sqlalchemy as library
from carya_guest.raw import Err, database

OF_OWNER = re.compile(
    r"\s*(CREATE|DROP|ALTER|COMMENT|PRAGMA|SHOW|DESCRIBE|EXPLAIN|SET|TRUNCATE|ATTACH)\b|.*\bsqlite_temp_master\b",
    re.IGNORECASE | re.DOTALL,
)
READS = re.compile(r"\s*\(*\s*(SELECT|VALUES)\b", re.IGNORECASE)

NAMES = {
    database.Value_Boolean: "boolean",
    database.Value_Int64: "int64",
    database.Value_Float64: "float64",
    database.Value_Text: "text",
    database.Value_Bytes: "bytes",
    database.Value_Other: "other",
}
CASES: dict[str, Any] = {name: case for case, name in NAMES.items()}


def to_json(value: database.Value) -> dict[str, Any]:
    """Writes a value as the guest `probe` reads it."""
    if isinstance(value, database.Value_Null):
        return {"t": "null"}
    content: Any = value.value
    match value:
        case database.Value_Int64() | database.Value_Float64():
            content = str(content)
        case database.Value_Bytes():
            content = content.hex()
        case database.Value_Other():
            content = {"type_name": content.type_name, "text": content.text}
    return {"t": NAMES[type(value)], "v": content}


def from_json(value: dict[str, Any]) -> database.Value:
    content: Any = value.get("v")
    match value["t"]:
        case "null":
            return database.Value_Null()
        case "int64":
            content = int(content)
        case "float64":
            content = float(content)
        case "bytes":
            content = bytes.fromhex(content)
        case "other":
            content = database.OtherValue(content["type_name"], content["text"])
    read: database.Value = CASES[value["t"]](content)
    return read


def error_of(error: dict[str, Any]) -> Err[database.DbError]:
    kind = database.DbErrorKind[error["kind"].replace("-", "_").upper()]
    constraint = error["constraint"]
    if constraint is not None:
        violated = database.ViolationKind[constraint["kind"].replace("-", "_").upper()]
        constraint = database.Violation(violated, constraint["name"], constraint["table"], constraint["columns"])
    rest = (error["message"], error["retryable"], constraint, error["detail"], error["hint"])
    return Err(database.DbError(kind, error["code"], *rest))


class Owner:
    """A connection that bypasses the host."""

    def __init__(self) -> None:
        url = urlsplit(os.environ["CARYA_OWNER"])
        place: dict[str, Any] = {"host": url.hostname, "port": url.port, "user": url.username, "password": url.password}
        name = url.path.removeprefix("/")
        if url.scheme == "sqlite":
            self.connection: Any = sqlite3.connect(url.path, isolation_level=None, timeout=10)
            self.dialect = database.Dialect.SQLITE
        elif url.scheme.startswith("postgres"):
            import psycopg

            self.connection = psycopg.connect(dbname=name, autocommit=True, **place)
            self.dialect = database.Dialect.POSTGRESQL
        else:
            import pymysql

            self.connection = pymysql.connect(database=name, autocommit=True, **place)
            self.dialect = database.Dialect.MYSQL
            # As in the host's sessions, but without `ANSI_QUOTES`: reflection would need the variables of the server.
            self.run("SET SESSION sql_mode = 'PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,STRICT_TRANS_TABLES'", [])

    def run(self, sql: str, params: list[Any]) -> database.StatementResult:
        cursor = self.connection.cursor()
        try:
            # Only SQLite's PRAGMA has parameters.
            cursor.execute(sql, params) if params else cursor.execute(sql)
        except Exception as error:
            number = error.args[0] if error.args else None
            code = str(number) if isinstance(number, int) else getattr(error, "sqlstate", None)
            raise Err(database.DbError(database.DbErrorKind.OTHER, code, str(error), False, None, None, None)) from None
        if cursor.description is None:
            return database.StatementResult([], [], 0, None)
        columns = [database.Column(column[0], "") for column in cursor.description]
        return database.StatementResult(
            columns, [[value_of(cell) for cell in row] for row in cursor.fetchall()], 0, None
        )

    def sequences(self) -> list[tuple[str, int, bool]]:
        """Returns the state of sequences, which a rollback does not restore."""
        if self.dialect != database.Dialect.POSTGRESQL:
            return []
        name = "quote_ident(schemaname) || '.' || quote_ident(sequencename)"
        state = f"SELECT {name}, coalesce(last_value, start_value), last_value IS NOT NULL FROM pg_sequences"
        found: list[tuple[str, int, bool]] = self.connection.execute(state).fetchall()
        return found

    def restore(self, sequences: list[tuple[str, int, bool]]) -> None:
        for sequence in sequences:
            self.connection.execute("SELECT setval(%s, %s, %s)", sequence)


def value_of(cell: Any) -> database.Value:
    if cell is None:
        return database.Value_Null()
    cases: dict[type, type[Any]] = {
        bool: database.Value_Boolean,
        int: database.Value_Int64,
        float: database.Value_Float64,
        str: database.Value_Text,
        bytes: database.Value_Bytes,
    }
    value: database.Value = cases[type(cell)](cell)
    return value


class Handle:
    """A handle whose requests are sent again with each statement."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.steps: list[dict[str, Any]] = []
        self.sequences: list[tuple[str, int, bool]] = []

    def dialect(self) -> database.Dialect:
        return self.owner.dialect

    def savepoint(self) -> Transaction:
        return Transaction(self)

    def run(self, sql: str, params: list[database.Value]) -> database.StatementResult:
        if OF_OWNER.match(sql):
            self.commit()
            return self.owner.run(sql, [_values.plain(value) for value in params])
        result = self.step({"sql": sql, "op": "run", "params": [to_json(value) for value in params], "swallow": True})
        return database.StatementResult(
            [database.Column(column["name"], column["type_name"]) for column in result["columns"]],
            [[from_json(cell) for cell in row] for row in result["rows"]],
            result["rows_affected"],
            result["last_insert_id"],
        )

    def execute_batch(self, sql: str, rows: list[list[database.Value]]) -> int:
        params = [[to_json(value) for value in row] for row in rows]
        return int(self.step({"sql": sql, "op": "batch", "params": params, "swallow": True})["rows_affected"])

    def step(self, step: dict[str, Any]) -> Any:
        if not self.steps:
            self.sequences = self.owner.sequences()
        result = self.send([*self.steps, step], "rollback")[-1]
        if not READS.match(step["sql"]) or "error" in result:
            self.steps.append(step)
        if "error" in result:
            raise error_of(result["error"])
        return result

    def commit(self) -> None:
        steps, self.steps = self.steps, []
        if steps:
            for result in self.send(steps, "release"):
                if "error" in result:
                    raise error_of(result["error"])

    def send(self, steps: list[dict[str, Any]], end: str) -> list[Any]:
        self.owner.restore(self.sequences)
        # As `carya_guest.dbapi` does it, all statements are in a savepoint.
        body = json.dumps([{"savepoint": steps, "end": end}]).encode()
        request = urllib.request.Request(os.environ["CARYA_URL"], body, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request) as response:
                results: list[Any] = json.load(response)[0]["savepoint"]
                return results
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{error.code}: {error.read().decode()}; steps: {steps}") from None


class Transaction:
    """The savepoint that `carya_guest.dbapi` opens before its first statement."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle

    def release(self) -> None:
        self.handle.commit()

    def rollback(self) -> None:
        self.handle.steps = []

    def __enter__(self) -> Transaction:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Connection(dbapi.Connection):
    def __init__(self) -> None:
        self.owner = Owner()
        super().__init__(Writer(Handle(self.owner)))  # type: ignore[arg-type]

    def execute(self, sql: str) -> None:
        """Attaches a database, when SQLAlchemy's suite configures SQLite."""
        self.owner.run(sql, [])

    def close(self) -> None:
        super().close()
        self.owner.connection.close()


class Remote(library._OnHandle):
    """What the suite needs besides the dialect."""

    driver = "remote"
    default_isolation_level: Any = None

    @classmethod
    def load_provisioning(cls) -> None:
        importlib.import_module(f"sqlalchemy.dialects.{cls.name}.provision")

    def create_connect_args(self, url: URL) -> tuple[list[Any], dict[str, Any]]:
        return [], {}

    def connect(self, *_: Any, **__: Any) -> Any:
        return Connection()

    def get_isolation_level_values(self, dbapi_conn: Any) -> list[Any]:
        return ["AUTOCOMMIT"]

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        dbapi_connection.autocommit = True

    def reset_isolation_level(self, dbapi_conn: Any) -> None:
        dbapi_conn.autocommit = False


class Sqlite(Remote, library._Sqlite):
    supports_statement_cache = True


class Postgresql(Remote, library._Postgresql):
    supports_statement_cache = True
    default_schema_name = "public"


def delete_as_owner(connection: Any, config: Any, metadata: Any) -> None:
    """Deletes all rows. Guests must not switch off the checks of foreign keys."""
    owner = connection.connection.dbapi_connection.owner
    connection.commit()
    owner.run("SET foreign_key_checks = 0", [])
    for table in metadata.sorted_tables:
        owner.run(f"DELETE FROM {connection.dialect.identifier_preparer.format_table(table)}", [])
    owner.run("SET foreign_key_checks = 1", [])


class Mysql(Remote, library._Mysql):
    supports_statement_cache = True

    @classmethod
    def load_provisioning(cls) -> None:
        super().load_provisioning()
        provision.delete_from_all_tables.for_db("mysql")(delete_as_owner)

    @classmethod
    def _is_mariadb_from_url(cls, url: URL) -> bool:
        return False

    def initialize(self, connection: Any) -> None:
        super().initialize(connection)
        self.default_schema_name = urlsplit(os.environ["CARYA_OWNER"]).path.removeprefix("/")
        # Only reflection reads these.
        self._connection_charset, self._casing = "utf8mb4", 0
