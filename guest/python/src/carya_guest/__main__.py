"""`python -m carya_guest build MODULE -o out.wasm`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ._build import BuildError, build


def main() -> None:
    parser = argparse.ArgumentParser(prog="carya-guest", description="Builds components for carya from Python modules.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("build", help="build a component from a module")
    command.add_argument("module", metavar="MODULE", help="the module with the functions, such as `notes` for notes.py")
    command.add_argument("-o", "--output", type=Path, required=True, help="the file of the component")
    command.add_argument(
        "-p",
        "--path",
        type=Path,
        action="append",
        help="a folder with modules; may be repeated; the current folder by default",
    )
    arguments = parser.parse_args()
    try:
        build(arguments.module, [path.resolve() for path in arguments.path or [Path()]], arguments.output)
    except BuildError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
