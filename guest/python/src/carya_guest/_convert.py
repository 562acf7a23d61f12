"""Converts texts, JSON and columns to the types of annotations."""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, Literal, NamedTuple, TypeVar, Union
from uuid import UUID

from . import _json
from .raw import database

Converter = Callable[[Any], Any]

Source = Literal["text", "json", "column"]
"""Origin of a value: the list of all texts with one name in a path, query or form; parsed JSON; or a column of a row."""

T = TypeVar("T")


class Mismatch(Exception):
    """A value that does not have the expected type. `errors` has the violated rules by field; the name is empty if the
    value itself is wrong."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__(errors)
        self.errors = errors

    def __str__(self) -> str:
        return "; ".join(f"`{field}` {rule}" if field else rule for field, rule in self.errors.items())

    def at(self, field: str) -> dict[str, str]:
        """Returns the rules, for the object that has this value in a field."""
        return {f"{field}.{inner}" if inner else field: rule for inner, rule in self.errors.items()}


def _wrong(rule: str) -> Mismatch:
    return Mismatch({"": rule})


def deny_unknown_fields(cls: type[T]) -> type[T]:
    """Decorator of a dataclass: JSON with other members is a problem with status 422.

    ```python
    @deny_unknown_fields
    @dataclass
    class NewTicket:
        title: str
    ```
    """
    cls.__carya_exact__ = True  # type: ignore[attr-defined]
    return cls


@cache
def converter(tp: Any, source: Source) -> Converter:
    """Returns the function that converts values of a source to a type. The function raises `Mismatch`.

    Raises `TypeError` if the type cannot be read from this source.
    """
    if tp is Any or tp is object:
        return _plain if source != "text" else _first
    if isinstance(tp, typing.NewType):
        return converter(tp.__supertype__, source)
    origin, arguments = typing.get_origin(tp), typing.get_args(tp)
    if origin is typing.Annotated:
        return converter(arguments[0], source)
    if origin is Union or origin is types.UnionType:
        return _union(arguments, source)
    if origin is Literal:
        return _choice({value: value for value in arguments}, source)
    if tp in _SCALARS:
        return _scalar(_SCALARS[tp], source)
    if isinstance(tp, type) and issubclass(tp, Enum):
        return _choice({member.value: member for member in tp}, source)
    kind = origin or tp
    if source == "text" and kind in _COLLECTIONS:
        return _texts(_COLLECTIONS[kind], arguments)
    if source == "column" and (kind in _COLLECTIONS or kind in (dict, Mapping) or is_record(tp)):
        return _json_text(converter(tp, "json"))
    if source == "json" and kind is tuple and arguments[-1:] != (...,):
        return _tuple(arguments)
    if source == "json" and kind in _COLLECTIONS:
        return _list(_COLLECTIONS[kind], arguments)
    if source == "json" and kind in (dict, Mapping):
        return _dict(arguments)
    if source == "json" and is_record(tp):
        return record(tp, "json")
    raise TypeError(f"{describe(tp)} cannot be read from {_PLACES[source]}")


_COLLECTIONS: dict[Any, Callable[[Any], Any]] = {list: list, Sequence: list, set: set, tuple: tuple}
_PLACES = {"text": "a path, query or form", "json": "JSON", "column": "a column"}


def describe(tp: Any) -> str:
    """Returns the name of a type for messages."""
    if isinstance(tp, types.UnionType):
        return " | ".join(describe(member) for member in typing.get_args(tp))
    if tp is type(None):
        return "None"
    return tp.__name__ if isinstance(tp, type) and not typing.get_args(tp) else str(tp).replace("typing.", "")


def is_record(tp: Any) -> bool:
    """Returns whether a type has named fields: a dataclass, a `TypedDict` or a `NamedTuple`."""
    return isinstance(tp, type) and (dataclasses.is_dataclass(tp) or typing.is_typeddict(tp) or hasattr(tp, "_fields"))


class Field(NamedTuple):
    """A field of a record."""

    name: str
    type: Any
    convert: Converter
    is_required: bool


@cache
def fields(tp: Any, source: Source) -> tuple[Field, ...]:
    """Returns the fields of a record."""
    hints = typing.get_type_hints(tp, include_extras=True)
    if dataclasses.is_dataclass(tp):
        missing = dataclasses.MISSING
        has_default = {
            field.name: field.default is not missing or field.default_factory is not missing
            for field in dataclasses.fields(tp)
            if field.init
        }
    elif typing.is_typeddict(tp):
        has_default = {name: name not in tp.__required_keys__ for name in hints}
    else:
        has_default = {name: name in tp._field_defaults for name in tp._fields}
    return tuple(
        Field(name, hints[name], converter(hints[name], source), not default) for name, default in has_default.items()
    )


@cache
def record(tp: Any, source: Source) -> Converter:
    """Returns the function that converts a dictionary to a record."""
    is_exact = getattr(tp, "__carya_exact__", False)

    def convert(members: Any) -> Any:
        if not isinstance(members, dict):
            raise _wrong("must be an object")
        values: dict[str, Any] = {}
        errors: dict[str, str] = {}
        # Fields are resolved here and not by `record`, because a record may contain itself.
        known = fields(tp, source)
        for field in known:
            try:
                if field.name in members:
                    values[field.name] = field.convert(members[field.name])
                elif field.is_required:
                    values[field.name] = absent(field.type, source)
            except Mismatch as error:
                errors |= error.at(field.name)
        if is_exact:
            names = {field.name for field in known}
            errors |= {name: "is unknown" for name in members if name not in names}
        if errors:
            raise Mismatch(errors)
        return tp(**values)

    return convert


def absent(tp: Any, source: Source) -> Any:
    """Returns the value of a required field or parameter that the client has not sent: `None` if that is a value of its
    type, and no texts for a list. Raises `Mismatch` for all other types."""
    if typing.get_origin(tp) is typing.Annotated:
        tp = typing.get_args(tp)[0]
    if type(None) in typing.get_args(tp):
        return None
    if source == "text" and (typing.get_origin(tp) or tp) in _COLLECTIONS:
        return converter(tp, source)([])
    raise _wrong("is missing")


def _plain(value: Any) -> Any:
    return value.text if isinstance(value, database.OtherValue) else value


def _first(values: Any) -> Any:
    return values[0]


def _union(members: Collection[Any], source: Source) -> Converter:
    choices = [converter(member, source) for member in members if member is not type(None)]
    accepts_none = len(choices) < len(members)

    def convert(value: Any) -> Any:
        if value is None and accepts_none:
            return None
        failure = _wrong("must not be null")
        for choice in choices:
            try:
                return choice(value)
            except Mismatch as error:
                failure = error
        raise failure

    return convert


def _choice(choices: dict[Any, Any], source: Source) -> Converter:
    rule = f"must be one of {', '.join(str(value) for value in choices)}"
    if source == "text":
        choices = {str(value): choice for value, choice in choices.items()}

    def convert(value: Any) -> Any:
        plain = _first(value) if source == "text" else _plain(value)
        # `True` equals 1 and `1.0` equals 1, but only one of them is a choice.
        if isinstance(plain, (str, int)) and plain in choices:
            return choices[plain]
        raise _wrong(rule)

    return convert


def _texts(collect: Callable[[Any], Any], arguments: tuple[Any, ...]) -> Converter:
    item = converter(arguments[0] if arguments else str, "text")

    def convert(values: Any) -> Any:
        return collect([item([value]) for value in values])

    return convert


def _list(collect: Callable[[Any], Any], arguments: tuple[Any, ...]) -> Converter:
    item = converter(arguments[0] if arguments else Any, "json")

    def convert(values: Any) -> Any:
        if not isinstance(values, list):
            raise _wrong("must be a list")
        return collect(_each(item, enumerate(values)).values())

    return convert


def _tuple(arguments: tuple[Any, ...]) -> Converter:
    items = [converter(argument, "json") for argument in arguments]

    def convert(values: Any) -> Any:
        if not isinstance(values, list) or len(values) != len(items):
            raise _wrong(f"must be a list of {len(items)} values")
        return tuple(item(value) for item, value in zip(items, values, strict=True))

    return convert


def _dict(arguments: tuple[Any, ...]) -> Converter:
    item = converter(arguments[1] if arguments else Any, "json")

    def convert(members: Any) -> Any:
        if not isinstance(members, dict):
            raise _wrong("must be an object")
        return _each(item, members.items())

    return convert


def _each(item: Converter, values: Any) -> dict[Any, Any]:
    """Converts values, and collects their errors."""
    results: dict[Any, Any] = {}
    errors: dict[str, str] = {}
    for key, value in values:
        try:
            results[key] = item(value)
        except Mismatch as error:
            errors |= error.at(str(key))
    if errors:
        raise Mismatch(errors)
    return results


def _json_text(convert: Converter) -> Converter:
    def parse(value: Any) -> Any:
        text = _plain(value)
        try:
            if not isinstance(text, str):
                raise ValueError
            parsed = _json.loads(text)
        except ValueError:
            raise _wrong("must be JSON") from None
        return convert(parsed)

    return parse


class _Scalar(NamedTuple):
    rule: str
    parse: Callable[[str], Any]
    """Reads a text. Raises `ValueError` or `ArithmeticError`."""
    accept: Callable[[Any], Any]
    """Reads a value of JSON or of a column. Raises `ValueError` or `ArithmeticError`."""


def _scalar(scalar: _Scalar, source: Source) -> Converter:
    def convert(value: Any) -> Any:
        try:
            if source == "text":
                return _fitting(scalar.parse(value[0]))
            if isinstance(value, database.OtherValue):
                return scalar.parse(value.text)
            # SQLite stores booleans as 0 and 1, and MySQL as TINYINT.
            if source == "column" and scalar.accept is _accept_bool and value in (0, 1):
                return value == 1
            return _fitting(scalar.accept(value))
        except (ValueError, ArithmeticError):
            raise _wrong(scalar.rule) from None

    return convert


def _fitting(value: Any) -> Any:
    """Returns a value of a client, unless it is an integer that cannot be a parameter of a statement."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError
    return value


def _parse_bool(text: str) -> bool:
    # Browsers send `on` for a checked box without a value.
    if text in ("true", "1", "on"):
        return True
    if text in ("false", "0"):
        return False
    raise ValueError


def _parse_int(text: str) -> int:
    # `int` also accepts underscores and the digits of other scripts.
    if not re.fullmatch(r"[+-]?[0-9]+", text.strip()):
        raise ValueError
    return int(text)


def _parse_float(text: str) -> float:
    if "_" in text:
        raise ValueError
    return float(text)


def _parse_decimal(text: str) -> Decimal:
    number = Decimal(text.strip())
    if "_" in text or not number.is_finite():
        raise ValueError
    return number


def _accept_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _accept_int(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError
    return value


def _accept_float(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ValueError
    return float(value)


def _accept_decimal(value: Any) -> Decimal:
    if isinstance(value, str):
        return _parse_decimal(value)
    if isinstance(value, float) and math.isfinite(value):
        return Decimal(str(value))
    return Decimal(_accept_int(value))


def _accept_str(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _accept_bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError
    return value


def _from_text(rule: str, parse: Callable[[str], Any]) -> _Scalar:
    return _Scalar(rule, parse, lambda value: parse(_accept_str(value)))


_SCALARS: dict[Any, _Scalar] = {
    bool: _Scalar("must be true or false", _parse_bool, _accept_bool),
    int: _Scalar("must be a whole number", _parse_int, _accept_int),
    float: _Scalar("must be a number", _parse_float, _accept_float),
    str: _Scalar("must be a text", str, _accept_str),
    bytes: _Scalar("must be bytes", str.encode, _accept_bytes),
    Decimal: _Scalar("must be a decimal number", _parse_decimal, _accept_decimal),
    datetime: _from_text("must be a date with a time, as 2026-11-29T08:30:00", datetime.fromisoformat),
    date: _from_text("must be a date, as 2026-11-29", date.fromisoformat),
    time: _from_text("must be a time, as 08:30:00", time.fromisoformat),
    UUID: _from_text("must be a UUID", UUID),
}
