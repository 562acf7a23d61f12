"""Runs componentize-py, with the flags and names that the contract needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

WIT = Path(__file__).parent / "wit"

# Both packages have an interface `types`. Without these names, componentize-py names the modules of both differently
# in components that import `wasi:http` and in components that do not.
_NAMES = {"carya:host/types@0.2.0": "types", "wasi:http/types@0.2.10": "http_types"}

_HTTP = ("wasi:http/types@0.2.10", "wasi:http/outgoing-handler@0.2.10")
_IMPORTS = {
    "http": _HTTP,
    "identity": ("carya:host/identity-setter@0.2.0",),
}


def write_world(folder: Path, exports: Sequence[str], imports: Sequence[str]) -> None:
    """Writes the contract and a world with these exports, such as `read-controller`, and optional imports: `http` and
    `identity`."""
    shutil.copytree(WIT / "deps", folder / "deps")
    lines = ["include carya:host/imports@0.2.0;"]
    lines += [f"import {interface};" for name in imports for interface in _IMPORTS[name]]
    lines += [f"export carya:host/{name}@0.2.0;" for name in exports]
    folder.joinpath("guest.wit").write_text("package carya:guest;\nworld guest {\n" + "\n".join(lines) + "\n}\n")


def run(wit: Path, has_http: bool, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Runs componentize-py for the world in the folder `wit`. Returns its output and its status."""
    names = [f"{interface}={name}" for interface, name in _NAMES.items() if has_http or "http" not in name]
    options = [option for name in names for option in ("--import-interface-name", name)]
    # The script of the package is not always on the path.
    start = "import sys; from componentize_py import script; sys.argv[0] = 'componentize-py'; script()"
    command = [sys.executable, "-c", start, "--quiet", "--wit-path", str(wit), "--world", "guest", *options, *arguments]
    # Without the frames of componentize-py, which hide those of the guest.
    environment = os.environ | {"RUST_BACKTRACE": "0"}
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
