"""Prints, as JSON, what the functions of a module need from the contract. `_build` runs this file in a process of its own,
because the module registers its functions when it is imported."""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from pathlib import Path

from ._exports import complete
from ._registry import DeclarationError, registry

_IMPORTS = {"carya_guest.http": "http", "carya_guest.identity": "identity"}
_PACKAGE = str(Path(__file__).parent)

_NATIVE = {
    "pydantic_core": (
        "pydantic, and with it SQLModel and FastAPI, contains native code (`pydantic_core`), for which there is no "
        "WebAssembly build; use dataclasses, with `Json[T]` for bodies and `db.fetch(T, ..)` for rows"
    )
}
"""Packages of which it is known that they cannot be in a component, with the remedy."""


def main(module: str) -> None:
    try:
        importlib.import_module(module)
        _refuse_native()
        complete()
        if not registry.exports():
            sys.exit(
                f"error: the module `{module}` declares no function; begin with\n\n"
                '    @get("/hello")\n    def hello() -> str:\n        return "hello"\n'
            )
    except DeclarationError as error:
        sys.exit(f"error: {error}")
    except Exception as error:
        _refuse_native()
        sys.exit(_text(module, error))
    imports = [name for loaded, name in _IMPORTS.items() if loaded in sys.modules]
    print(json.dumps({"exports": registry.exports(), "imports": imports, "section": registry.section()}))


def _refuse_native() -> None:
    for name, remedy in _NATIVE.items():
        if name in sys.modules:
            sys.exit(f"error: {remedy}")


def _text(module: str, error: Exception) -> str:
    """Returns the error of a module as Python prints it, without the frames of this package and of the import system."""
    if isinstance(error, ModuleNotFoundError) and error.name == module:
        return f"error: there is no module `{module}` in {sys.path[0]}"
    described = traceback.TracebackException.from_exception(error)
    frames = [
        frame
        for frame in described.stack
        if not frame.filename.startswith((_PACKAGE, "<frozen importlib")) and "importlib" not in frame.filename
    ]
    described.stack = traceback.StackSummary.from_list(frames)
    return f"error: the module `{module}` cannot be imported:\n" + "".join(described.format())


main(sys.argv[1])
