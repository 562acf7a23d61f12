"""JSON as the library reads and writes it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID


def dumps(value: object) -> str:
    """Returns compact JSON. Dataclasses become objects, enums their values, and dates, decimal numbers and UUIDs texts.

    Raises `TypeError` or `ValueError` for other values, for NaN and infinities.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    match value:
        case Enum():
            return value.value
        case date() | time():
            return value.isoformat()
        case Decimal() | UUID():
            return str(value)
        case Mapping():
            return dict(value)
        case set() | frozenset():
            return list(value)
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON: {value!r:.100}")


def loads(text: str | bytes) -> Any:
    """Parses JSON, and rejects what cannot be written again: NaN, numbers beyond the range of floats, and halves of
    surrogate pairs. Raises `ValueError`."""
    if isinstance(text, bytes):
        text = text.decode()
    try:
        value = json.loads(text, parse_float=_float, parse_constant=_constant)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"the number {digits} is out of range")
    return number


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
