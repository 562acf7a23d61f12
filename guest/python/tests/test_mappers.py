"""peewee and Django's models on a handle."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import peewee
import pytest
from conftest import Handle, Savepoint

from carya_guest import Dialect, Reader, Writer, dbapi
from carya_guest.peewee import connect, database
from carya_guest.raw import database as contract

TABLES = """
    CREATE TABLE authors (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, born TIMESTAMP);
    CREATE TABLE notes (id INTEGER PRIMARY KEY, author_id INTEGER NOT NULL REFERENCES authors (id), text TEXT NOT NULL);
"""


class Recorder(Handle):
    """A handle that records its statements."""

    def __init__(self, dialect: Dialect = Dialect.SQLITE) -> None:
        super().__init__(sqlite3.connect(":memory:", isolation_level=None))
        self.statements: list[str] = []
        self._dialect = dialect
        self.connection.executescript(TABLES + "BEGIN")

    def dialect(self) -> Dialect:
        return self._dialect

    def run(self, sql: str, params: list[contract.Value]) -> contract.StatementResult:
        self.statements.append(sql)
        return super().run(sql, params)

    def savepoint(self) -> Savepoint:
        self.statements.append("savepoint")
        return super().savepoint()

    def names(self) -> list[str]:
        return [name for (name,) in self.connection.execute("SELECT name FROM authors ORDER BY id")]


@pytest.fixture
def handle() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.connection.close()


def writer(handle: Recorder) -> Writer:
    return Writer(handle)  # type: ignore[arg-type]


def test_with_autocommit_each_statement_is_kept_or_undone(handle: Recorder) -> None:
    connection = dbapi.connect(writer(handle))
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("INSERT INTO authors (name) VALUES ('a')")
    with pytest.raises(dbapi.IntegrityError):
        cursor.execute("INSERT INTO authors (name) VALUES ('a')")
    cursor.execute("SELECT 1")
    connection.begin()
    cursor.execute("INSERT INTO authors (name) VALUES ('b')")
    connection.rollback()
    cursor.execute("INSERT INTO authors (name) VALUES ('c')")
    connection.close()
    assert handle.names() == ["a", "c"]
    assert handle.statements.count("savepoint") == 4


class Author(peewee.Model):
    id = peewee.AutoField()
    name = peewee.CharField()
    born = peewee.DateTimeField(null=True)

    class Meta:
        database = database
        table_name = "authors"


class Note(peewee.Model):
    author = peewee.ForeignKeyField(Author, backref="notes")
    text = peewee.TextField()

    class Meta:
        database = database
        table_name = "notes"


def test_peewee_keeps_and_undoes(handle: Recorder) -> None:
    with connect(writer(handle)) as orm:
        Author.create(name="a", born=datetime(1970, 2, 3, 4, 5))
        with pytest.raises(peewee.IntegrityError):
            Author.create(name="a")
        with pytest.raises(ValueError), orm.atomic():
            Author.create(name="b")
            raise ValueError
        with orm.atomic():
            Author.create(name="c")
            # The host limits the number of open savepoints.
            for _ in range(20):
                with pytest.raises(peewee.IntegrityError), orm.atomic():
                    Author.create(name="c")
        born: Any = Author.born
        query = Author.select(born.month, born.truncate("month")).where(Author.name == "a")
        assert query.tuples().get() == (2, datetime(1970, 2, 1))
    assert handle.names() == ["a", "c"]
    opened = sum(statement.startswith("SAVEPOINT") for statement in handle.statements)
    assert opened == sum(statement.startswith("RELEASE") for statement in handle.statements) == 20


def test_peewee_reads_through_a_reader(handle: Recorder) -> None:
    handle.connection.executescript("INSERT INTO authors VALUES (1, 'a', NULL); INSERT INTO notes VALUES (1, 1, 'x')")
    with connect(Reader(handle)):  # type: ignore[arg-type]
        assert [note.author.name for note in Note.select(Note, Author).join(Author)] == ["a"]
    assert "savepoint" not in handle.statements
    with pytest.raises(peewee.InterfaceError, match="not opened"):
        Author.select().count()


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (Dialect.SQLITE, 'INSERT INTO "authors" ("name") VALUES (?)'),
        (Dialect.POSTGRESQL, 'INSERT INTO "authors" ("name") VALUES (?) RETURNING "authors"."id"'),
        (Dialect.MYSQL, "INSERT INTO `authors` (`name`) VALUES (?)"),
    ],
)
def test_peewee_writes_the_sql_of_the_engine(dialect: Dialect, expected: str) -> None:
    with connect(writer(Recorder(dialect))):
        assert Author.insert(name="a").sql() == (expected, ["a"])


def test_parameters_of_postgresql_have_types() -> None:
    with connect(writer(Recorder(Dialect.POSTGRESQL))):
        name = peewee.Case(None, [(Author.id == 1, Decimal(1)), (Author.id == 2**40, True)], datetime(2026, 11, 30))
        sql, _ = Author.update(name=name).where(Author.id.in_([1, 2]), Author.name != "a").sql()
    casts = ["INT4", "NUMERIC", "INT8", "BOOLEAN", "TIMESTAMP", "INT4", "INT4"]
    assert re.findall(r"\?(?:::(\w+))?", sql) == [*casts, ""]


def test_django_runs_without_late_imports(tmp_path: Path) -> None:
    """A process of its own, because settings are global."""
    program = Path(__file__).parent / "django_models.py"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
