"""A host in this process: the functions of the contract on a request that the test sets, and on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import pytest

from carya_guest import _exports, _registry, _values, raw
from carya_guest.raw import Err, database, types

UNIQUE = database.Violation(database.ViolationKind.UNIQUE, None, "notes", ["text"])


class Handle:
    """A handle of the database, reader and writer alike."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.actions: list[tuple[str, str, database.Delivery]] = []
        self.is_dropped = False

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.is_dropped = True

    def run(self, sql: str, params: list[database.Value]) -> database.StatementResult:
        try:
            cursor = self.connection.execute(sql, [bound(value) for value in params])
        except sqlite3.IntegrityError as error:
            kind = database.DbErrorKind.CONSTRAINT
            raise Err(database.DbError(kind, "2067", str(error), False, UNIQUE, None, None)) from None
        except sqlite3.Error as error:
            kind = database.DbErrorKind.OTHER
            raise Err(database.DbError(kind, "1", f"{error} in `{sql}`", False, None, None, None)) from None
        columns = [database.Column(name, "") for name, *_ in cursor.description or ()]
        rows = [[value_of(cell) for cell in row] for row in cursor.fetchall()]
        return database.StatementResult(columns, rows, max(cursor.rowcount, 0), cursor.lastrowid)

    def query(self, sql: str, params: list[database.Value]) -> database.Rows:
        result = self.run(sql, params)
        return database.Rows(result.columns, result.rows)

    def execute(self, sql: str, params: list[database.Value]) -> database.Execution:
        result = self.run(sql, params)
        return database.Execution(result.rows_affected, result.last_insert_id)

    def execute_batch(self, sql: str, params: list[list[database.Value]]) -> int:
        return sum(self.run(sql, row).rows_affected for row in params)

    def savepoint(self) -> Savepoint:
        return Savepoint(self.connection)

    def after_commit(self, name: str, payload: str, delivery: database.Delivery) -> None:
        self.actions.append((name, payload, delivery))


class Savepoint:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        connection.execute("SAVEPOINT s")

    def release(self) -> None:
        self.connection.execute("RELEASE s")

    def rollback(self) -> None:
        self.connection.execute("ROLLBACK TO s")
        self.connection.execute("RELEASE s")

    def __enter__(self) -> Savepoint:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def bound(value: database.Value) -> Any:
    """Returns a parameter. The host binds other types as text too."""
    plain = _values.plain(value)
    return plain.text if isinstance(plain, database.OtherValue) else plain


def value_of(cell: Any) -> database.Value:
    match cell:
        case None:
            return database.Value_Null()
        case int():
            return database.Value_Int64(cell)
        case float():
            return database.Value_Float64(cell)
        case str():
            return database.Value_Text(cell)
        case _:
            return database.Value_Bytes(cell)


@dataclass
class Host:
    """The request that the guest sees, and the database."""

    method: str = "GET"
    route: str | None = None
    params: dict[str, str] = field(default_factory=dict)
    query_string: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    form: list[raw.request.FormField] | raw.request.FormError = field(default_factory=list)
    subject: str | None = None
    settings: dict[str, str] = field(default_factory=dict)
    context: dict[str, str] = field(default_factory=dict)
    db: Handle = field(default_factory=lambda: Handle(sqlite3.connect(":memory:")))

    def functions(self) -> dict[Any, dict[str, Callable[..., Any]]]:
        def form() -> list[raw.request.FormField]:
            if isinstance(self.form, list):
                return self.form
            raise Err(self.form)

        def body_text() -> str:
            try:
                return self.body.decode()
            except UnicodeDecodeError as error:
                raise Err(str(error)) from None

        return {
            raw.request: {
                "method": lambda: self.method,
                "route": lambda: self.route,
                "param": lambda name: self.params.get(name),
                "params": lambda: list(self.params.items()),
                "query": lambda name: next(iter(self.query_all(name)), None),
                "query_all": self.query_all,
                "query_string": lambda: self.query_string,
                "header": lambda name: self.headers.get(name),
                "cookie": lambda name: self.cookies.get(name),
                "body": lambda: self.body,
                "body_text": body_text,
                "form": form,
            },
            raw.identity: {"subject": lambda: self.subject, "claim": lambda name: None},
            raw.config: {"get": lambda key: self.settings.get(key)},
            raw.context: {"get": lambda key: self.context.get(key), "set": self.context.__setitem__},
        }

    def query_all(self, name: str) -> list[str]:
        return parse_qs(self.query_string, keep_blank_values=True).get(name, [])

    def serve(self, method: str, route: str, **request: Any) -> types.Response:
        """Sends a request to the declared functions."""
        _exports.complete()
        self.method, self.route = method, route
        for name, value in request.items():
            setattr(self, name, value)
        access = {"GET": "read", "HEAD": "read", "OPTIONS": "plain"}.get(method, "write")
        if access == "plain":
            return _exports.PlainController().plain()
        if access == "read":
            return _exports.ReadController().read(self.db)  # type: ignore[arg-type]
        return _exports.WriteController().write(self.db)  # type: ignore[arg-type]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host with no declared functions."""
    fake = Host()
    for module, functions in fake.functions().items():
        for name, function in functions.items():
            monkeypatch.setattr(module, name, function)
    registry = _registry.registry
    for declared in (registry.routes, registry.hooks, registry.actions):
        declared.clear()
    yield fake
    fake.db.connection.close()


def text(response: types.Response) -> str:
    """Returns the body of a response as text."""
    body = response.body
    assert isinstance(body, (types.Body_Json, types.Body_Text)), body
    return str(body.value)
