"""Conversion of texts, JSON and columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict
from uuid import UUID

import pytest

from carya_guest import OtherValue, deny_unknown_fields
from carya_guest._convert import Mismatch, Source, converter, record


class State(Enum):
    OPEN = "open"
    CLOSED = "closed"


class Level(Enum):
    LOW = 1


Id = NewType("Id", int)


@dataclass
class Search:
    words: str | None
    page: int
    state: State
    tag: list[str]
    urgent: bool = False


@dataclass
class Tree:
    name: str
    children: list[Tree] = field(default_factory=list)


class Point(NamedTuple):
    x: int
    y: int = 0


class Size(TypedDict):
    width: int


UUID_TEXT = "12345678-1234-5678-1234-567812345678"


@pytest.mark.parametrize(
    ("tp", "source", "value", "expected"),
    [
        (int, "text", ["7", "8"], 7),
        (int, "text", [" -7 "], -7),
        (float, "text", ["1e3"], 1000.0),
        (bool, "text", ["on"], True),
        (str, "text", [""], ""),
        (Decimal, "text", ["1.50"], Decimal("1.50")),
        (date, "text", ["2026-11-29"], date(2026, 11, 29)),
        (UUID, "text", [UUID_TEXT], UUID(UUID_TEXT)),
        (State, "text", ["closed"], State.CLOSED),
        (Level, "text", ["1"], Level.LOW),
        (Literal["a", "b"], "text", ["b"], "b"),
        (list[int], "text", ["1", "2"], [1, 2]),
        (int | None, "text", ["1"], 1),
        (Id, "text", ["1"], 1),
        (Annotated[int, "note"], "text", ["1"], 1),
        (Any, "text", ["1"], "1"),
        (int, "json", 2**63 - 1, 2**63 - 1),
        (Decimal, "json", 2**70, Decimal(2**70)),
        (float, "json", 1, 1.0),
        (Decimal, "json", 1.5, Decimal("1.5")),
        (int | None, "json", None, None),
        (list[int], "json", [1], [1]),
        (set[int], "json", [1, 1], {1}),
        (tuple[int, str], "json", [1, "a"], (1, "a")),
        (tuple[int, ...], "json", [1, 2], (1, 2)),
        (dict[str, int], "json", {"a": 1}, {"a": 1}),
        (Point, "json", {"x": 1}, Point(1)),
        (Size, "json", {"width": 1}, {"width": 1}),
        (Tree, "json", {"name": "a", "children": [{"name": "b"}]}, Tree("a", [Tree("b")])),
        (bool, "column", 1, True),
        (bool, "column", False, False),
        (int, "column", OtherValue("BIGINT UNSIGNED", "18446744073709551615"), 2**64 - 1),
        (Decimal, "column", OtherValue("NUMERIC", "1.50"), Decimal("1.50")),
        (str, "column", OtherValue("NUMERIC", "1.50"), "1.50"),
        (
            datetime,
            "column",
            OtherValue("TIMESTAMPTZ", "2026-11-29 07:00:00+00"),
            datetime(2026, 11, 29, 7, tzinfo=UTC),
        ),
        (datetime, "column", "2026-11-29 07:00:00", datetime(2026, 11, 29, 7)),
        (State, "column", "open", State.OPEN),
        (bytes, "column", b"\0", b"\0"),
        (list[int], "column", "[1, 2]", [1, 2]),
        (Tree, "column", OtherValue("JSONB", '{"name": "a"}'), Tree("a")),
        (dict[str, Any], "column", '{"a": null}', {"a": None}),
        (Any, "column", OtherValue("NUMERIC", "1"), "1"),
        (int | None, "column", None, None),
    ],
)
def test_values_become_the_type_of_the_annotation(tp: Any, source: Source, value: Any, expected: Any) -> None:
    found = converter(tp, source)(value)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("tp", "source", "value", "rule"),
    [
        (int, "text", ["1_000"], "must be a whole number"),
        (int, "text", ["٣"], "must be a whole number"),
        (int, "text", [""], "must be a whole number"),
        (int, "text", [str(2**63)], "must be a whole number"),
        (int, "json", -(2**63) - 1, "must be a whole number"),
        (float, "text", ["1_0"], "must be a number"),
        (bool, "text", ["yes"], "must be true or false"),
        (Decimal, "text", ["NaN"], "must be a decimal number"),
        (State, "text", ["new"], "must be one of open, closed"),
        (Literal[1, 2], "text", ["3"], "must be one of 1, 2"),
        (list[int], "text", ["1", "x"], "must be a whole number"),
        (int, "json", True, "must be a whole number"),
        (int, "json", 5.0, "must be a whole number"),
        (int, "json", None, "must be a whole number"),
        (float, "json", "1", "must be a number"),
        (str, "json", 1, "must be a text"),
        (bool, "json", 1, "must be true or false"),
        (Level, "json", "1", "must be one of 1"),
        (list[int], "json", {}, "must be a list"),
        (tuple[int, str], "json", [1], "must be a list of 2 values"),
        (dict[str, int], "json", [], "must be an object"),
        (Tree, "json", [], "must be an object"),
        (int, "column", None, "must be a whole number"),
        (list[int], "column", "[", "must be JSON"),
        (str, "column", None, "must be a text"),
        (datetime, "column", "yesterday", "must be a date with a time, as 2026-11-29T08:30:00"),
    ],
)
def test_other_values_violate_a_rule(tp: Any, source: Source, value: Any, rule: str) -> None:
    with pytest.raises(Mismatch) as failed:
        converter(tp, source)(value)
    assert failed.value.errors == {"": rule}


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"page": ["2"], "state": ["open"]}, Search(None, 2, State.OPEN, [])),
        (
            {"words": ["a", "b"], "page": ["2"], "state": ["open"], "tag": ["x", "y"], "urgent": ["1"], "other": ["z"]},
            Search("a", 2, State.OPEN, ["x", "y"], True),
        ),
    ],
)
def test_a_dataclass_takes_texts_by_name(texts: dict[str, list[str]], expected: Search) -> None:
    assert record(Search, "text")(texts) == expected


def test_all_invalid_fields_are_reported_with_their_paths() -> None:
    with pytest.raises(Mismatch) as failed:
        record(Search, "text")({"state": ["new"], "urgent": ["x"]})
    assert failed.value.errors == {
        "page": "is missing",
        "state": "must be one of open, closed",
        "urgent": "must be true or false",
    }
    with pytest.raises(Mismatch) as nested:
        converter(Tree, "json")({"name": "a", "children": [{"name": "b"}, {"name": 1}, {}]})
    assert nested.value.errors == {"children.1.name": "must be a text", "children.2.name": "is missing"}


def test_unknown_fields_are_refused_on_request() -> None:
    @deny_unknown_fields
    @dataclass
    class Draft:
        title: str

    with pytest.raises(Mismatch) as failed:
        converter(Draft, "json")({"title": "a", "owner": 7})
    assert failed.value.errors == {"owner": "is unknown"}
    assert converter(Tree, "json")({"name": "a", "owner": 7}) == Tree("a")


@pytest.mark.parametrize(
    ("tp", "source", "message"),
    [
        (object(), "json", "cannot be read from JSON"),
        (dict[str, int], "text", "cannot be read from a path, query or form"),
        (complex, "column", "complex cannot be read from a column"),
    ],
)
def test_types_without_a_conversion_are_an_error_of_the_guest(tp: Any, source: Source, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        converter(tp, source)
