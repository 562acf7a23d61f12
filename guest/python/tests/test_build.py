"""The build command, as an author runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from carya_guest import _build, _componentize

REPOSITORY = Path(__file__).parents[3]


def build(folder: Path, module: str) -> tuple[int, str]:
    """Runs the command in a folder. Returns the status and the messages."""
    command = [sys.executable, "-m", "carya_guest", "build", module, "-o", "out/guest.wasm"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.stdout == ""
    return done.returncode, done.stderr


def sections(component: bytes) -> list[bytes]:
    """Returns the content of the custom sections `carya:routes` of a component."""

    def number(place: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = component[place]
            value, shift, place = value | (byte & 0x7F) << shift, shift + 7, place + 1
            if byte < 0x80:
                return value, place

    found, place = [], 8
    while place < len(component):
        kind = component[place]
        size, start = number(place + 1)
        place = start + size
        if kind == 0:
            length, name = number(start)
            if component[name : name + length] == b"carya:routes":
                found.append(component[name + length : place])
    return found


def test_a_module_becomes_a_component_with_its_routes(tmp_path: Path) -> None:
    tmp_path.joinpath("words.py").write_text("HELLO = 'hello'\n")
    tmp_path.joinpath("hello.py").write_text(
        "from carya_guest import get\nfrom words import HELLO\n\nprint('built')\n\n"
        "@get('/hello/{name}', transaction='none')\ndef hello(name: str) -> str:\n    return f'{HELLO} {name}'\n"
    )
    assert build(tmp_path, "hello") == (0, "")
    assert sections(tmp_path.joinpath("out/guest.wasm").read_bytes()) == [b"GET none /hello/{name}\n"]
    # A host that watches the folder must not see files of the build.
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["guest.wasm", "hello.py", "out", "words.py"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = (", ['File "{folder}/guest.py", line 1', "SyntaxError"]),
        ("import absent", ['File "{folder}/guest.py", line 1, in <module>', "No module named 'absent'"]),
        ("def f(): raise ValueError('x')\nf()", ['guest.py", line 2', 'guest.py", line 1, in f', "ValueError: x"]),
        ("", ["error: the module `guest` declares no function; begin with"]),
        (
            "from carya_guest import get\n\n@get('/a')\ndef a(b) -> str: ...",
            ["error: {folder}/guest.py:3: `a`: the parameter `b` has no annotation"],
        ),
        ("import pydantic_core", ["error: pydantic, and with it SQLModel", "use dataclasses"]),
        (
            # The module exists here and not in a component.
            "import readline\nfrom carya_guest import get\n\n@get('/a')\ndef a() -> str: ...",
            ['File "guest.py", line 1', "No module named 'readline'", "A component has no native code"],
        ),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, text: str, expected: list[str]) -> None:
    tmp_path.joinpath("guest.py").write_text(text)
    tmp_path.joinpath("pydantic_core.py").write_text("")
    status, message = build(tmp_path, "guest")
    for part in expected:
        assert part.format(folder=tmp_path) in message
    assert status == 1 and "carya_guest/" not in message and "importlib" not in message
    assert not tmp_path.joinpath("out").exists()


def test_a_missing_module_is_named(tmp_path: Path) -> None:
    assert build(tmp_path, "other") == (1, f"error: there is no module `other` in {tmp_path}\n")


def test_numbers_of_the_binary_format() -> None:
    assert [_build._number(value) for value in (0, 127, 128, 624485)] == [b"\0", b"\x7f", b"\x80\x01", b"\xe5\x8e\x26"]


@pytest.mark.skipif(not REPOSITORY.joinpath("wit").exists(), reason="the package is not in its repository")
def test_the_package_has_the_contract_of_the_repository() -> None:
    def files(folder: Path) -> dict[str, str]:
        return {path.name: path.read_text() for path in folder.glob("*.wit")}

    assert files(_componentize.WIT / "deps/carya") == files(REPOSITORY / "wit")
    subprocess.run([sys.executable, REPOSITORY / "guest/python/tools/bindings.py", "--check"], check=True)
