"""Builds a component from a module."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import _componentize

_SECTION = b"carya:routes"
"""Name of the custom section from which the host reads the routes of a component."""

_CLASSES = {
    "read-controller": "ReadController",
    "write-controller": "WriteController",
    "plain-controller": "PlainController",
    "on-route": "OnRoute",
    "before": "Before",
    "after": "After",
    "on-error": "OnError",
    "model": "Model",
    "actions": "Actions",
    "reseed": "Reseed",
}
"""The class that componentize-py expects for each export."""


_ENTRY = "carya_guest_entry"
"""Name of the generated module."""


class BuildError(Exception):
    """A module that cannot be built."""


def build(module: str, folders: Sequence[Path], output: Path) -> None:
    """Builds the component `output` from a module. The module and its dependencies are in `folders` or installed."""
    described = _describe(module, folders)
    exports, imports = [*described["exports"], "reseed"], described["imports"]
    with tempfile.TemporaryDirectory(prefix="carya-guest-") as temporary:
        work = Path(temporary)
        wit, entry, component = work / "wit", work / "entry", work / "component.wasm"
        _componentize.write_world(wit, exports, imports)
        entry.mkdir()
        entry.joinpath(f"{_ENTRY}.py").write_text(_entry(module, exports))
        paths = [*folders, entry, Path(__file__).parent.parent]
        options = [option for path in paths for option in ("--python-path", str(path))]
        # Not `--stub-wasi`, which would fix the seed of random numbers at build time.
        done = _componentize.run(wit, "http" in imports, ["componentize", *options, "--output", str(component), _ENTRY])
        if done.returncode:
            raise BuildError(f"the module `{module}` cannot be in a component:\n{_readable(done.stdout)}")
        with component.open("ab") as file:
            file.write(_custom_section(_SECTION, described["section"].encode()))
        # A host that watches the file must not see a part of it, and a rename works within one folder only.
        output.parent.mkdir(parents=True, exist_ok=True)
        draft = output.with_name(f".{output.name}.{os.getpid()}")
        shutil.copyfile(component, draft)
        draft.replace(output)


def _entry(module: str, exports: Sequence[str]) -> str:
    """Returns the text of the generated module, which imports the guest's module and has the exported classes."""
    lines = [
        # Without this, the build would write files into the guest's folder, which `carya dev` watches.
        "import sys; sys.dont_write_bytecode = True",
        f"import {module}",
        f"from carya_guest._exports import {', '.join(_CLASSES[name] for name in exports)}, start",
        "start()",
    ]
    return "\n".join(lines) + "\n"


def _describe(module: str, folders: Sequence[Path]) -> Any:
    """Imports the module in another process, and returns what its functions need."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([*map(str, folders), *sys.path]),
        # The folder of the project stays as it is.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-P", "-m", "carya_guest._describe", module]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise BuildError(done.stderr.strip().removeprefix("error: "))
    # The module may print too.
    return json.loads(done.stdout.splitlines()[-1])


def _readable(output: str) -> str:
    """Returns the error in the output of componentize-py, as Python prints it, with the files of the guest."""
    _, found, error = output.rpartition("Traceback (most recent call last):\n")
    if not found:
        return output.strip()
    lines = error.split("\n\n")[0].splitlines()
    # The first frame is that of the generated module. Each folder of modules has a number in place of its path.
    shown = [re.sub(r'^  File "/\d+/', '  File "', line) for line in lines[2:]]
    if "ModuleNotFoundError" in shown[-1] or "ImportError" in shown[-1]:
        shown.append("A component has no native code but that of the standard library, and no sockets and terminals.")
    return "\n".join([found.strip(), *shown])


def _custom_section(name: bytes, content: bytes) -> bytes:
    """Returns a custom section of the binary format, which a component can have at its end."""
    named = _number(len(name)) + name + content
    return b"\0" + _number(len(named)) + named


def _number(value: int) -> bytes:
    """Returns a number in the encoding LEB128."""
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
