"""DB-API 2.0 and SQLAlchemy on a handle."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from conftest import Handle
from sqlalchemy import Numeric, String, column, func, insert, select, table
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from carya_guest import Dialect, OtherValue, Reader, Writer, _text, dbapi
from carya_guest.raw import database
from carya_guest.sqlalchemy import engine, session


class Recorder(Handle):
    """A handle that records its statements."""

    def __init__(self, dialect: Dialect = Dialect.SQLITE) -> None:
        super().__init__(sqlite3.connect(":memory:", isolation_level=None))
        self.statements: list[str] = []
        self._dialect = dialect
        self.connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text UNIQUE)")
        self.connection.execute("BEGIN")

    def dialect(self) -> Dialect:
        return self._dialect

    def run(self, sql: str, params: list[database.Value]) -> database.StatementResult:
        self.statements.append(sql)
        return super().run(sql, params)


@pytest.fixture
def handle() -> Recorder:
    return Recorder()


def writer(handle: Recorder) -> Writer:
    return Writer(handle)  # type: ignore[arg-type]


def test_a_cursor_has_rows_and_counts(handle: Recorder) -> None:
    connection = dbapi.connect(writer(handle))
    cursor = connection.cursor()
    assert cursor.execute("INSERT INTO notes (text) VALUES (?)", ("a",)).rowcount == 1
    assert (cursor.lastrowid, cursor.description, cursor.fetchall()) == (1, None, [])
    assert cursor.executemany("INSERT INTO notes (text) VALUES (?)", [("b",), ("c",)]).rowcount == 2
    cursor.execute("SELECT id, text FROM notes ORDER BY id")
    assert cursor.description is not None and [name for name, *_ in cursor.description] == ["id", "text"]
    assert (cursor.fetchone(), cursor.fetchmany(1), list(cursor), cursor.fetchone()) == (
        (1, "a"),
        [(2, "b")],
        [(3, "c")],
        None,
    )
    cursor.close()
    with pytest.raises(dbapi.InterfaceError, match="the cursor is closed"):
        cursor.fetchall()
    connection.close()
    with pytest.raises(dbapi.InterfaceError, match="the connection is closed"):
        connection.cursor().execute("SELECT 1")


def test_commit_keeps_and_rollback_undoes(handle: Recorder) -> None:
    connection = dbapi.connect(writer(handle))
    cursor = connection.cursor()
    cursor.execute("INSERT INTO notes (text) VALUES ('a')")
    connection.commit()
    cursor.execute("INSERT INTO notes (text) VALUES ('b')")
    connection.rollback()
    cursor.execute("INSERT INTO notes (text) VALUES ('c')")
    connection.close()
    assert handle.connection.execute("SELECT text FROM notes").fetchall() == [("a",)]


def test_a_reader_opens_no_savepoint(handle: Recorder) -> None:
    handle.savepoint = None  # type: ignore[assignment, method-assign]
    connection = dbapi.connect(Reader(handle))  # type: ignore[arg-type]
    assert connection.cursor().execute("SELECT 1").fetchall() == [(1,)]
    connection.commit()


def test_errors_have_classes_and_the_error_of_the_host(handle: Recorder) -> None:
    cursor = dbapi.connect(writer(handle)).cursor()
    cursor.execute("INSERT INTO notes (text) VALUES ('a')")
    with pytest.raises(dbapi.IntegrityError) as failed:
        cursor.execute("INSERT INTO notes (text) VALUES ('a')")
    assert (failed.value.sqlstate, failed.value.error.code) == ("2067", "2067")
    with pytest.raises(dbapi.ProgrammingError, match="no such table: absent"):
        cursor.execute("SELECT * FROM absent")


@pytest.mark.parametrize(
    ("dialect", "type_name", "value", "expected"),
    [
        (Dialect.POSTGRESQL, "NUMERIC", "1.50", Decimal("1.50")),
        (Dialect.POSTGRESQL, "DATE", "2026-11-29", date(2026, 11, 29)),
        (Dialect.POSTGRESQL, "TIMESTAMP", "2026-11-29 07:00:00", datetime(2026, 11, 29, 7)),
        (Dialect.POSTGRESQL, "TIMESTAMP", "infinity", "infinity"),
        (Dialect.POSTGRESQL, "JSONB", "[1]", "[1]"),
        (Dialect.POSTGRESQL, "TIMETZ", "07:00:00+00", time(7, tzinfo=UTC)),
        (Dialect.POSTGRESQL, "INTERVAL", "1 mon -2 days -03:00:00.5", timedelta(days=28, hours=-3, seconds=-0.5)),
        (Dialect.POSTGRESQL, "INT4[]", "{{1,NULL},{3,4}}", [[1, None], [3, 4]]),
        (Dialect.POSTGRESQL, "TEXT[]", '[0:1]={"a, \\"b\\"",NULL}', ['a, "b"', None]),
        (Dialect.MYSQL, "TIME", "-100:00:01.5", timedelta(hours=-100, seconds=-1.5)),
        (Dialect.MYSQL, "BIGINT UNSIGNED", str(2**64 - 1), 2**64 - 1),
    ],
)
def test_types_of_an_engine_become_types_of_python(
    dialect: Dialect, type_name: str, value: str, expected: object
) -> None:
    converters = _text.converters(dialect)
    assert dbapi._plain(database.Value_Other(OtherValue(type_name, value)), converters) == expected


@pytest.mark.parametrize(
    ("dialect", "value", "expected"),
    [
        (Dialect.POSTGRESQL, ["a", None, 'b "c"\\'], '{"a",NULL,"b \\"c\\"\\\\"}'),
        (Dialect.POSTGRESQL, [[1, 2], [True, Decimal("1.5")]], "{{1,2},{True,1.5}}"),
        (Dialect.POSTGRESQL, timedelta(days=-1, seconds=2), "-1 days 2 seconds 0 microseconds"),
        (Dialect.MYSQL, timedelta(hours=-100, seconds=-1.5), "-100:00:01.500000"),
    ],
)
def test_lists_and_durations_are_parameters(dialect: Dialect, value: object, expected: str) -> None:
    assert _text.parameter(dialect, value) == expected


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(100))


def test_a_failed_flush_is_undone_and_the_session_goes_on(handle: Recorder) -> None:
    with session(writer(handle)) as orm:
        orm.add(Note(text="a"))
        orm.commit()
        orm.add_all([Note(text="b"), Note(text="a")])
        with pytest.raises(IntegrityError):
            orm.flush()
        orm.rollback()
        with orm.begin_nested():
            orm.add(Note(text="c"))
        orm.commit()
        assert orm.scalars(select(Note.text).order_by(Note.id)).all() == ["a", "c"]
    with session(writer(handle)) as orm:
        orm.add(Note(text="forgotten"))
        orm.flush()
    assert handle.connection.execute("SELECT count(*) FROM notes").fetchone() == (2,)


def test_many_rows_are_one_statement(handle: Recorder) -> None:
    with session(writer(handle)) as orm:
        orm.execute(insert(Note), [{"id": number, "text": str(number)} for number in range(100)])
        assert orm.scalar(select(func.count(Note.id))) == 100
    assert len(handle.statements) == 101


def test_each_engine_has_its_dialect() -> None:
    notes = table("notes", column("price", Numeric(10, 2)), column("more", JSONB))
    statement: Any = select(notes.c.price).where(notes.c.price > Decimal(1)).limit(2)
    for dialect, expected in [
        (Dialect.SQLITE, "WHERE notes.price > ? LIMIT ? OFFSET ?"),
        (Dialect.POSTGRESQL, "WHERE notes.price > ?::NUMERIC(10, 2) LIMIT ?::INTEGER"),
        (Dialect.MYSQL, "WHERE notes.price > ? LIMIT ?"),
    ]:
        connection = engine(writer(Recorder(dialect))).connect()
        sql = str(statement.compile(dialect=connection.dialect)).replace("\n", "")
        assert sql.split("WHERE")[1].split() == expected.split("WHERE")[1].split(), dialect
        assert connection.dialect.name == dialect.name.lower()
