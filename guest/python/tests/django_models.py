"""The program of `test_mappers.py` for Django's models. All modules must be loaded before the first request, as in a
component."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from types import ModuleType
from typing import Any

from test_mappers import Recorder, writer

from carya_guest import Dialect, Reader
from carya_guest.django import connect, setup

# This module is the application.
sys.modules["django_models"] = sys.modules["__main__"]
__name__ = "django_models"
setup("django_models", USE_TZ=False)

from django.db import IntegrityError, NotSupportedError, ProgrammingError, connection, models  # noqa: E402
from django.db.models import Case, Count, Exists, F, Max, OuterRef, Q, Subquery, Value, When, Window  # noqa: E402
from django.db.models.functions import Coalesce, ExtractQuarter, Lower, RowNumber, TruncDate, TruncMonth  # noqa: E402
from django.db.transaction import atomic  # noqa: E402


class Author(models.Model):
    name = models.CharField(max_length=100, unique=True)
    born = models.DateTimeField(null=True)

    class Meta:
        db_table = "authors"


class Note(models.Model):
    author = models.ForeignKey(Author, models.CASCADE, related_name="notes")
    text = models.TextField()

    class Meta:
        db_table = "notes"


class Refuse:
    """A finder that refuses all modules."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        raise AssertionError(f"{name} is imported while a request is served")


def keeps_and_undoes() -> None:
    handle = Recorder()
    with connect(writer(handle)):
        first = Author.objects.create(name="a", born=datetime(1970, 2, 3))
        try:
            Author.objects.create(name="a")
        except IntegrityError as error:
            cause: Any = error.__cause__
            assert cause.error.code == "2067"
        with suppress(ValueError), atomic():
            Author.objects.create(name="b")
            raise ValueError
        with atomic():
            for _ in range(20):
                with suppress(IntegrityError), atomic():
                    Author.objects.create(name="a")
            Author.objects.create(name="c%s")
        assert first.pk == 1 and handle.names() == ["a", "c%s"]
        first.name = "d"
        first.save()
        Note.objects.bulk_create([Note(author=first, text=str(number)) for number in range(3)])
        assert first.notes.update(text=F("text") + 1) == 3
        assert list(connection.cursor().execute("SELECT sum(name LIKE '%s') FROM authors")) == [(1,)]
    handle.connection.execute("COMMIT")
    with connect(Reader(handle)):  # type: ignore[arg-type]
        queries()
    with connect(writer(handle)):
        assert first.delete() == (4, {"django_models.Note": 3, "django_models.Author": 1})
        assert not Note.objects.exists()


def queries() -> None:
    authors = Author.objects.prefetch_related("notes").annotate(count=Count("notes"), last=Max("notes__text"))
    assert [(author.name, author.count, len(author.notes.all())) for author in authors] == [("d", 3, 3), ("c%s", 0, 0)]
    notes = Note.objects.select_related("author").filter(Q(text__contains="2") | Q(author__name__istartswith="X%"))
    assert [(note.author.name, note.text, note.author.born) for note in notes] == [("d", "2", datetime(1970, 2, 3))]
    assert Author.objects.filter(Exists(Note.objects.filter(author=OuterRef("pk")))).get().name == "d"
    newest = Subquery(Note.objects.filter(author=OuterRef("pk")).order_by("-pk").values("text")[:1])
    rows = Author.objects.annotate(newest=Coalesce(newest, Value("none", models.TextField()))).values_list(
        Lower("name"), "newest"
    )
    assert list(rows.order_by("-pk")) == [("c%s", "none"), ("d", "3")]
    numbered = Note.objects.annotate(place=Window(RowNumber(), order_by=F("pk").desc())).values_list("place", flat=True)
    assert sorted(numbered.iterator()) == [1, 2, 3]
    named = Case(When(name="d", then=Value(1)), default=Value(0))
    assert Author.objects.aggregate(sum=models.Sum(named))["sum"] == 1
    assert Author.objects.filter(born__gte=datetime(1970, 1, 1), pk__in=[1, 2]).in_bulk().keys() == {1}
    dates = Author.objects.filter(born__year=1970, born__month=2, born__date=date(1970, 2, 3), born__iso_week_day=2)
    truncated = dates.annotate(month=TruncMonth("born"), day=TruncDate("born"), quarter=ExtractQuarter("born"))
    values = truncated.values_list("month", "day", "quarter", "born__week_day")
    assert list(values) == [(datetime(1970, 2, 1), date(1970, 2, 3), 1, 3)]
    try:
        Author.objects.filter(born__week=1).exists()
    except NotSupportedError as error:
        assert "`week` is not available" in str(error)


def sql_of_engines() -> None:
    for dialect, expected in [
        (Dialect.SQLITE, """WHERE "notes"."text" LIKE ? ESCAPE '\\'"""),
        (Dialect.POSTGRESQL, 'WHERE "notes"."text"::text LIKE ?'),
        (Dialect.MYSQL, "WHERE `notes`.`text` LIKE BINARY ? ESCAPE '!'"),
    ]:
        handle = Recorder(dialect)
        with connect(writer(handle)):
            with suppress(ProgrammingError):
                Note.objects.filter(text__contains="a").exists()
            assert any(expected in sql for sql in handle.statements), handle.statements
            assert connection.ops.adapt_decimalfield_value(Decimal("1.50"), 10, 2) in ("1.50", Decimal("1.50"))


def no_connection_outside_of_a_request() -> None:
    try:
        Author.objects.count()
    except Exception as error:
        assert "settings.DATABASES" in str(error), error
    else:
        raise AssertionError("a query ran without a handle")


sys.meta_path.insert(0, Refuse())
keeps_and_undoes()
sql_of_engines()
no_connection_outside_of_a_request()
