"""Writes the typed bindings of the contract into `src/carya_guest/_bindings`, from the output of componentize-py.

A component has bindings of its own, which componentize-py generates for its world. The copy in the package is for
editors, type checkers and unit tests, which run outside of a component.

    python tools/bindings.py          writes the files
    python tools/bindings.py --check  exits with status 1 if the files are not up to date
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from carya_guest import _componentize  # noqa: E402

EXPORTS = ("read-controller", "on-route", "actions")
SOURCES = {
    "dataclasses": ("dataclass",),
    "enum": ("Enum",),
    "types": ("TracebackType",),
    "typing": ("Generic", "List", "Optional", "Self", "Tuple", "TypeVar", "Union"),
}


def rewrite(text: str, depth: int) -> str:
    """Replaces the imports of a generated module by those that it uses, relative to the package."""
    head, body = re.split(r"^from componentize_py_types import .*\n", text, maxsplit=1, flags=re.M)
    head = re.sub(r"^(?:from \w+|import \w+).*\n", "", head, flags=re.M)
    used = {module: [name for name in names if re.search(rf"\b{name}\b", body)] for module, names in SOURCES.items()}
    # The names of the standard library that a module binds itself, such as `types` of the contract.
    lines = [f"from {module} import {', '.join(names)}" for module, names in used.items() if names]
    results = [name for name in ("Err", "Ok", "Result") if re.search(rf"(?<![.\w]){name}\[", body)]
    if results:
        lines.append(f"from {'.' * depth}componentize_py_types import {', '.join(results)}")
    docstring = re.search(r'""".*?"""\n', head, flags=re.S)
    comments = "".join(re.findall(r"^#.*\n", head, flags=re.M))
    text = comments + (docstring[0] if docstring else "") + "\n".join([*lines, body.strip(), ""])
    return re.sub(r"[ \t]+$", "", text, flags=re.M)


def generate() -> dict[str, str]:
    """Returns the text of each file by its path."""
    with tempfile.TemporaryDirectory() as folder:
        wit, output = Path(folder) / "wit", Path(folder) / "bindings"
        _componentize.write_world(wit, EXPORTS, ("http", "identity"))
        done = _componentize.run(wit, True, ["bindings", str(output)])
        if done.returncode:
            sys.exit(done.stdout)
        files = {"__init__.py": "", "imports/__init__.py": "", "exports/__init__.py": ""}
        results = output / "componentize_py_types.py"
        files[results.name] = results.read_text()
        modules = sorted(output.glob("wit_world/imports/*.py"))
        modules += [output / f"wit_world/exports/{name}.py" for name in ("actions", "on_route")]
        for path in modules:
            if path.name != "__init__.py":
                files[f"{path.parent.name}/{path.name}"] = rewrite(path.read_text(), 2)
        return files


def main() -> None:
    target = ROOT / "src/carya_guest/_bindings"
    files = generate()
    if "--check" in sys.argv[1:]:
        found = {str(path.relative_to(target)): path.read_text() for path in target.rglob("*.py")}
        differing = [name for name in sorted({*files, *found}) if files.get(name) != found.get(name)]
        if differing:
            sys.exit(f"{', '.join(differing)} in {target} differ from the contract; run {__file__}")
        return
    for name, text in files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


main()
