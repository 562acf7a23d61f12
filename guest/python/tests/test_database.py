"""Statements, rows and parameters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from conftest import Host

from carya_guest import (
    Db,
    DbError,
    DbErrorKind,
    Delivery,
    OtherValue,
    Problem,
    Reader,
    ViolationKind,
    Writer,
    action,
    on_violation,
)
from carya_guest._exports import complete
from carya_guest._values import parameters
from carya_guest.raw import database


@dataclass
class Note:
    id: int
    text: str
    pinned: bool = False


@pytest.fixture
def db(host: Host) -> Writer:
    writer = Writer(host.db)  # type: ignore[arg-type]
    writer.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text UNIQUE)")
    writer.execute_batch("INSERT INTO notes (text) VALUES (?)", [("a",), ("b",)])
    return writer


def test_rows_have_the_requested_type(db: Db) -> None:
    sql = "SELECT id, text, id AS other FROM notes ORDER BY id"
    assert db.fetch(Note, sql) == [Note(1, "a"), Note(2, "b")]
    assert db.fetch(tuple[int, str, int], sql) == [(1, "a", 1), (2, "b", 2)]
    assert db.fetch(tuple[Any, ...], sql) == [(1, "a", 1), (2, "b", 2)]
    assert db.fetch(dict[str, Any], sql)[1] == {"id": 2, "text": "b", "other": 2}
    assert db.fetch(str, "SELECT text FROM notes WHERE id > ?", (1,)) == ["b"]
    assert db.fetch_one(int | None, "SELECT max(id) FROM notes WHERE id > 7") is None
    assert db.fetch_optional(Note, "SELECT * FROM notes WHERE id = ?", (7,)) is None
    assert db.fetch_one(Note, "SELECT 1 AS pinned, * FROM notes") == Note(1, "a", True)


@pytest.mark.parametrize(
    ("row", "sql", "message"),
    [
        (int, "SELECT 'a' AS n", "column `n`: must be a whole number, but it is 'a'"),
        (int, "SELECT NULL AS n", "column `n`: must be a whole number, but it is NULL"),
        (int, "SELECT 1 AS a, 2 AS b", "expected a row with 1 column, but the row has 2: a, b"),
        (tuple[int], "SELECT 1 AS a, 2 AS b", "expected a row with 1 column, but the row has 2: a, b"),
        (Note, "SELECT 1 AS id, 2 AS n", "the row has no column for `text` of Note; its columns are id, n"),
        (int, "SELECT 1 WHERE FALSE", "the query returned no row: SELECT 1 WHERE FALSE"),
    ],
)
def test_rows_of_another_type_are_an_error(db: Db, row: Any, sql: str, message: str) -> None:
    with pytest.raises(DbError) as failed:
        db.fetch_one(row, sql)
    assert (failed.value.kind, str(failed.value)) == (DbErrorKind.DATA, message)


def test_errors_have_the_fields_of_the_contract(db: Writer) -> None:
    with pytest.raises(DbError) as failed:
        db.execute("INSERT INTO notes (text) VALUES ('a')")
    error = failed.value
    assert (error.kind, error.code, error.retryable) == (DbErrorKind.CONSTRAINT, "2067", False)
    assert error.message == "UNIQUE constraint failed: notes.text"
    assert error.constraint is not None and error.constraint.columns == ["text"]
    assert error.violates(ViolationKind.UNIQUE) and not error.violates(ViolationKind.CHECK)


def test_only_the_named_violation_becomes_a_problem(db: Writer) -> None:
    taken = Problem(409, "taken")
    with pytest.raises(Problem) as problem, on_violation(ViolationKind.UNIQUE, taken):
        db.execute("INSERT INTO notes (text) VALUES ('a')")
    assert problem.value is taken
    with pytest.raises(DbError), on_violation(ViolationKind.CHECK, taken):
        db.execute("INSERT INTO notes (text) VALUES ('a')")


def test_a_savepoint_undoes_its_block_after_an_exception(db: Writer) -> None:
    with db.savepoint():
        db.execute("INSERT INTO notes (text) VALUES ('c')")
    with pytest.raises(ZeroDivisionError), db.savepoint():
        db.execute("INSERT INTO notes (text) VALUES ('d')")
        raise ZeroDivisionError
    assert db.fetch(str, "SELECT text FROM notes ORDER BY id") == ["a", "b", "c"]


def test_a_reader_cannot_write(host: Host) -> None:
    reader = Reader(host.db)  # type: ignore[arg-type]
    for name in ("execute", "execute_batch", "savepoint", "mark_rollback", "after_commit"):
        with pytest.raises(AttributeError, match=f"a Reader has no `{name}`, because it cannot write"):
            getattr(reader, name)
    with pytest.raises(AttributeError, match="a Reader has no attribute `other`"):
        getattr(reader, "other")  # noqa: B009


class State(Enum):
    OPEN = "open"


def test_every_parameter_has_its_value() -> None:
    uuid = "12345678-1234-5678-1234-567812345678"
    found = parameters(
        (None, True, -1, 1.5, "é", b"a", bytearray(b"b"), Decimal("1E+2"), datetime(2026, 1, 2), UUID(uuid), State.OPEN)
    )
    assert found == [
        database.Value_Null(),
        database.Value_Boolean(True),
        database.Value_Int64(-1),
        database.Value_Float64(1.5),
        database.Value_Text("é"),
        database.Value_Bytes(b"a"),
        database.Value_Bytes(b"b"),
        database.Value_Other(OtherValue("NUMERIC", "100")),
        database.Value_Text("2026-01-02 00:00:00"),
        database.Value_Text(uuid),
        database.Value_Text("open"),
    ]
    assert parameters([OtherValue("BIT", "1"), database.Value_Int64(1)])[1] == database.Value_Int64(1)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ("abc", TypeError, r"parameters are a tuple: write \('abc',\)"),
        ((1, [2]), TypeError, r"parameter 2: a list is no value of a statement: \[2\]"),
        ((2**63,), OverflowError, "parameter 1: 9223372036854775808 does not fit into 64 bits"),
    ],
)
def test_other_parameters_are_refused(params: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parameters(params)


@dataclass
class Confirm:
    order: int


def test_the_type_of_a_payload_selects_the_action(host: Host) -> None:
    @action
    def confirm(db: Writer, job: Confirm) -> None: ...

    complete()
    writer = Writer(host.db)  # type: ignore[arg-type]
    writer.after_commit(Confirm(7), Delivery.AT_LEAST_ONCE)
    assert host.db.actions == [("confirm", '{"order":7}', Delivery.AT_LEAST_ONCE)]
    with pytest.raises(TypeError, match="no action has a payload Note: write `@action def name"):
        writer.after_commit(Note(1, "a"), Delivery.AT_LEAST_ONCE)
