"""Parameters and rows of statements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, get_args, get_origin
from uuid import UUID

from ._convert import Mismatch, converter, describe, fields, is_record
from ._errors import data_error
from .raw import database

Parameter = (
    None
    | bool
    | int
    | float
    | str
    | bytes
    | bytearray
    | memoryview
    | Decimal
    | date
    | time
    | UUID
    | Enum
    | database.OtherValue
    | database.Value
)
"""A value that can be a parameter of a statement."""

Parameters = Sequence[Parameter]
"""The parameters of a statement: a tuple or a list."""

NULL = database.Value_Null()
_VALUES = (
    database.Value_Null,
    database.Value_Boolean,
    database.Value_Int64,
    database.Value_Float64,
    database.Value_Text,
    database.Value_Bytes,
    database.Value_Other,
)


def parameters(values: Iterable[Parameter]) -> list[database.Value]:
    """Returns the values of parameters. Raises `TypeError` or `OverflowError`."""
    if isinstance(values, (str, bytes)):
        raise TypeError(f"parameters are a tuple: write ({values!r:.40},)")
    return [_value(number, value) for number, value in enumerate(values, 1)]


def _value(number: int, value: Parameter) -> database.Value:
    match value:
        case None:
            return NULL
        # An enum may also be a text or a number.
        case Enum():
            return _value(number, value.value)
        case bool():
            return database.Value_Boolean(value)
        case int():
            if not -(2**63) <= value < 2**63:
                raise OverflowError(
                    f"parameter {number}: {value} does not fit into 64 bits; pass it as Decimal or text"
                )
            return database.Value_Int64(value)
        case float():
            return database.Value_Float64(value)
        case str():
            return database.Value_Text(value)
        case bytes() | bytearray() | memoryview():
            return database.Value_Bytes(bytes(value))
        case Decimal():
            return database.Value_Other(database.OtherValue("NUMERIC", format(value, "f")))
        case datetime():
            return database.Value_Text(value.isoformat(" "))
        case date() | time():
            return database.Value_Text(value.isoformat())
        case UUID():
            return database.Value_Text(str(value))
        case database.OtherValue():
            return database.Value_Other(value)
    if isinstance(value, _VALUES):
        return value
    raise TypeError(f"parameter {number}: a {type(value).__name__} is no value of a statement: {value!r:.100}")


def plain(value: database.Value) -> Any:
    """Returns the value of a column: `None`, a scalar, or an `database.OtherValue`."""
    return None if isinstance(value, database.Value_Null) else value.value


def reader(tp: Any, columns: Sequence[database.Column]) -> Callable[[Sequence[database.Value]], Any]:
    """Returns the function that reads rows as a type. Raises `DbError` if the columns do not fit."""
    names = [column.name for column in columns]
    if is_record(tp):
        return _record_reader(tp, names)
    origin, arguments = get_origin(tp) or tp, get_args(tp)
    if origin is dict:
        read = converter(arguments[1] if arguments else Any, "column")
        return lambda row: _cells(names, row, [read] * len(names), lambda cells: dict(zip(names, cells, strict=True)))
    if origin is tuple:
        if not arguments:
            arguments = (Any, ...)
        if arguments[-1] is Ellipsis:
            arguments = (arguments[0],) * len(names)
        _expect(len(arguments), names)
        converters = [converter(argument, "column") for argument in arguments]
        return lambda row: _cells(names, row, converters, tuple)
    _expect(1, names)
    only = [converter(tp, "column")]
    return lambda row: _cells(names, row, only, lambda cells: cells[0])


def _expect(count: int, names: list[str]) -> None:
    if len(names) != count:
        noun = "column" if count == 1 else "columns"
        raise data_error(f"expected a row with {count} {noun}, but the row has {len(names)}: {', '.join(names)}")


def _record_reader(record: Any, names: list[str]) -> Callable[[Sequence[database.Value]], Any]:
    # Of columns with the same name, the last one counts, as in a dictionary.
    places = {name: place for place, name in enumerate(names)}
    wanted = fields(record, "column")
    missing = [field.name for field in wanted if field.is_required and field.name not in places]
    if missing:
        listed = ", ".join(f"`{name}`" for name in missing)
        raise data_error(
            f"the row has no column for {listed} of {describe(record)}; its columns are {', '.join(names)}"
        )
    present = [field for field in wanted if field.name in places]
    order = [places[field.name] for field in present]
    converters = [field.convert for field in present]
    keys = [field.name for field in present]

    def read(row: Sequence[database.Value]) -> Any:
        cells = [row[place] for place in order]
        return _cells(keys, cells, converters, lambda values: record(**dict(zip(keys, values, strict=True))))

    return read


def _cells(
    names: Sequence[str],
    row: Sequence[database.Value],
    converters: Sequence[Callable[[Any], Any]],
    build: Callable[[list[Any]], Any],
) -> Any:
    cells = []
    for name, value, convert in zip(names, row, converters, strict=True):
        cell = plain(value)
        try:
            cells.append(convert(cell))
        except Mismatch as error:
            shown = cell.text if isinstance(cell, database.OtherValue) else "NULL" if cell is None else repr(cell)
            raise data_error(f"column `{name}`: {error}, but it is {shown:.100}") from None
    return build(cells)
