"""Modules in place of database drivers, for Django.

Each backend of Django imports a driver with native code, which a component does not have. All statements go through
`carya_guest.dbapi`, so Django calls no function of a driver.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_MODULES: dict[str, dict[str, Any]] = {
    "sqlite3": {"sqlite_version_info": (3, 45, 0)},
    "sqlite3.dbapi2": {"sqlite_version_info": (3, 45, 0)},
    "psycopg2": {"__version__": "2.9.10"},
    "psycopg2.errors": {},
    "psycopg2.extensions": {
        f"ISOLATION_LEVEL_{name}": number
        for number, name in enumerate(("READ_UNCOMMITTED", "READ_COMMITTED", "REPEATABLE_READ", "SERIALIZABLE"), 1)
    },
    "psycopg2.extras": {},
    "psycopg2.sql": {},
    "MySQLdb": {"version_info": (2, 2, 0), "__version__": "2.2.0"},
    "MySQLdb.constants": {},
    "MySQLdb.constants.CLIENT": {},
    "MySQLdb.constants.FIELD_TYPE": {},
    "MySQLdb.converters": {"conversions": {}},
}
_HIDDEN = ("psycopg",)
"""Drivers that a backend prefers to those above."""


class _Module(ModuleType):
    def __getattr__(self, name: str) -> Any:
        """Returns a class that is called, subclassed, or a key. Each name has its own."""
        if name.startswith("__"):
            raise AttributeError(name)
        made = type(name, (), {"__init__": lambda self, *args, **kwargs: None})
        setattr(self, name, made)
        return made


@contextmanager
def stand_ins() -> Iterator[None]:
    """Lets the block import modules that need a driver."""
    absent: dict[str, ModuleType] = {
        name: _Module(name) for name in _MODULES if find_spec(name.partition(".")[0]) is None
    }
    for name, module in absent.items():
        vars(module).update(_MODULES[name], __path__=[])
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(absent[parent], child, module)
    replaced: dict[str, Any] = {**absent, **dict.fromkeys(_HIDDEN)}
    kept: dict[str, Any] = {name: sys.modules.pop(name, None) for name in replaced}
    sys.modules.update(replaced)
    try:
        yield
    finally:
        for name, module in kept.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module
