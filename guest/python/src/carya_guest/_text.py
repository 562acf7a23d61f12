"""Texts of types that Python expresses and the contract does not: values of columns, and parameters of mappers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from . import _errors
from .raw import database

Converters = dict[str, Callable[[str], Any]]


def converters(dialect: database.Dialect) -> Converters:
    """Returns the functions that read the texts of types, by their names on an engine."""
    scalar: Converters = {
        "NUMERIC": Decimal,
        "DECIMAL": Decimal,
        "BIGINT UNSIGNED": int,
        "DATE": _or_text(date.fromisoformat),
        "DATETIME": _or_text(datetime.fromisoformat),
        "TIMESTAMP": _or_text(datetime.fromisoformat),
        "TIMESTAMPTZ": _or_text(datetime.fromisoformat),
        "TIME": _duration if dialect == database.Dialect.MYSQL else _or_text(time.fromisoformat),
        "TIMETZ": _or_text(time.fromisoformat),
        "INTERVAL": _interval,
        "UUID": UUID,
    }
    if dialect != database.Dialect.POSTGRESQL:
        return scalar
    elements: Converters = scalar | {
        "BOOL": lambda text: text == "t",
        "BYTEA": lambda text: bytes.fromhex(text.removeprefix("\\x")),
        **dict.fromkeys(("INT2", "INT4", "INT8", "OID"), int),
        **dict.fromkeys(("FLOAT4", "FLOAT8"), float),
        **dict.fromkeys(("TEXT", "VARCHAR", "CHAR", "NAME", '"CHAR"', "JSON", "JSONB"), str),
    }
    # Drivers for CPython return lists of these types of the catalogue.
    vectors = dict.fromkeys(("int2vector", "oidvector"), _vector)
    return scalar | vectors | {f"{name}[]": _array(convert) for name, convert in elements.items()}


def _or_text(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    """Values that Python cannot express, such as `infinity`, stay text."""

    def read(text: str) -> Any:
        try:
            return convert(text)
        except ValueError:
            return text

    return read


def _duration(text: str) -> Any:
    """Returns a TIME of MySQL, which can be negative and longer than a day."""
    parts = re.fullmatch(r"(-?)(\d+):(\d+):(\d+(?:\.\d+)?)", text)
    if parts is None:
        return text
    found = timedelta(hours=int(parts[2]), minutes=int(parts[3]), seconds=float(parts[4]))
    return -found if parts[1] else found


def _interval(text: str) -> Any:
    """Returns an interval of PostgreSQL. A month has 30 days and a year 365."""
    days = {"year": 365, "mon": 30, "day": 1}
    parts = re.fullmatch(r"((?:[+-]?\d+ (?:year|mon|day)s? ?)*)(?:([+-]?)(\d+:\d+:\d+(?:\.\d+)?))?", text)
    if parts is None:
        return text
    found = timedelta(
        sum(int(count) * days[unit] for count, unit in re.findall(r"([+-]?\d+) (year|mon|day)", parts[1]))
    )
    clock = _duration(parts[3]) if parts[3] else timedelta()
    return found - clock if parts[2] == "-" else found + clock


def _vector(text: str) -> list[int]:
    return [int(element) for element in text.split()]


def _array(convert: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """Returns the function that reads arrays of PostgreSQL, such as `{1,NULL,"a, b"}`. The arrays can be nested."""
    token = re.compile(r'[{}]|"((?:[^"\\]|\\.)*)"|([^{},"]+)')

    def read(text: str) -> list[Any]:
        open_arrays: list[list[Any]] = [[]]
        # Bounds of other arrays than those from 1 are before the first brace.
        for found in token.finditer(text, text.index("{")):
            if found[0] == "{":
                inner: list[Any] = []
                open_arrays[-1].append(inner)
                open_arrays.append(inner)
            elif found[0] == "}":
                open_arrays.pop()
            elif found[1] is not None:
                open_arrays[-1].append(convert(re.sub(r"\\(.)", r"\1", found[1])))
            else:
                open_arrays[-1].append(None if found[2] == "NULL" else convert(found[2]))
        array: list[Any] = open_arrays[0][0]
        return array

    return read


def parameter(dialect: database.Dialect, value: Any) -> Any:
    """Returns a parameter that the contract has, for a list or a duration."""
    match value:
        case list() if dialect == database.Dialect.POSTGRESQL:
            return _array_text(value)
        case timedelta() if dialect == database.Dialect.POSTGRESQL:
            return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"
        case timedelta():
            hours, seconds = divmod(abs(value) // timedelta(seconds=1), 3600)
            sign = "-" if value < timedelta() else ""
            return f"{sign}{hours}:{seconds // 60:02}:{seconds % 60:02}.{abs(value).microseconds:06}"
    return value


def _array_text(values: list[Any]) -> str:
    return "{" + ",".join(_element(value) for value in values) + "}"


def _element(value: Any) -> str:
    text: str
    match value:
        case None:
            return "NULL"
        case list():
            return _array_text(value)
        case bool() | int() | float() | Decimal():
            return str(value)
        case bytes():
            text = f"\\x{value.hex()}"
        case timedelta():
            text = parameter(database.Dialect.POSTGRESQL, value)
        case str() | date() | time() | UUID():
            text = str(value)
        case database.OtherValue():
            text = value.text
        case _:
            raise _errors.data_error(f"a {type(value).__name__} is no element of an array: {value!r:.100}")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
