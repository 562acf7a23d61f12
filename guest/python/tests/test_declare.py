"""Functions that cannot be served."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import Host

from carya_guest import (
    Body,
    DeclarationError,
    Form,
    Json,
    Reader,
    Request,
    Writer,
    action,
    before,
    get,
    post,
)
from carya_guest._declare import _params
from carya_guest._exports import complete


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("/", ()),
        ("/notes/{id}", ("id",)),
        ("/{a}/{b}.txt", ("a", "b")),
        ("/files/{*path}", ("path",)),
        ("/{{a}}/{b}", ("b",)),
    ],
)
def test_patterns_have_parameters(pattern: str, names: tuple[str, ...]) -> None:
    assert _params(pattern) == names


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("notes", 'a pattern begins with a slash: "/notes"'),
        ("/a b", "contains no white space"),
        ("/notes/:id", "a parameter is written in braces: `{id}` instead of `:id`"),
        ("/notes/{id", "a parameter is a name in braces"),
        ("/notes/{}", "a parameter is a name in braces"),
        ("/{*path}/a", "so it must be the last part"),
        ("/{a}/{a}", "there are two parameters `a`"),
    ],
)
def test_malformed_patterns_are_refused(pattern: str, message: str) -> None:
    with pytest.raises(ValueError) as failed:
        get(pattern)
    assert message in str(failed.value)


@dataclass
class Note:
    text: str


def writes(db: Writer) -> None: ...
def reads(db: Reader) -> None: ...
def unknown(note: Note) -> None: ...
def content(body: bytes) -> None: ...
def form(note: Form[int]) -> None: ...
def unannotated(note) -> None: ...  # type: ignore[no-untyped-def]
def unresolved(note: Nothing) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def several(*notes: str) -> None: ...
def number(n: Json[complex]) -> None: ...
async def waits() -> None: ...


@pytest.mark.parametrize(
    ("declare", "function", "message"),
    [
        (get("/a"), writes, "the parameter `db: Writer` must be `db: Reader`; GET /a only reads"),
        (post("/a"), reads, "the parameter `db: Reader` must be `db: Writer`; POST /a writes"),
        (get("/a", transaction="none"), reads, "the parameter `db: Reader` is not possible; GET /a has no transaction"),
        (get("/a"), unknown, "`note: Note` must be `Json[Note]`, `Form[Note]` or `Query[Note]`"),
        (get("/a"), content, "`body: bytes` must be `Body[bytes]`"),
        (post("/a"), form, "a form is read as a dataclass, not as int"),
        (get("/a"), unannotated, "the parameter `note` has no annotation"),
        (get("/a"), unresolved, "an annotation cannot be resolved: name 'Nothing' is not defined"),
        (get("/a"), several, "the parameter `notes` must have a name"),
        (post("/a"), number, "the parameter `n`: complex cannot be read from JSON"),
        (get("/a"), waits, "write `def` instead of `async def`"),
        (get("/a/{id}"), reads, "no parameter takes `{id}` of the pattern: add `id: str`"),
        (before, writes, "the parameter `db: Writer` must be `db: Reader | Writer | None`"),
        (action, writes, "an action has one parameter for its payload, which is a dataclass"),
    ],
)
def test_functions_that_cannot_be_called_are_refused(
    host: Host, declare: Callable[[Any], Any], function: Callable[..., Any], message: str
) -> None:
    declare(function)
    with pytest.raises(DeclarationError) as failed:
        complete()
    place = f"{__file__}:{function.__code__.co_firstlineno}: `{function.__name__}`: "
    assert str(failed.value).startswith(place) and message in str(failed.value)


def test_a_request_replaces_the_parameters_of_the_pattern(host: Host) -> None:
    @get("/a/{id}")
    def a(request: Request) -> None: ...

    @post("/b")
    def b(body: Body[bytes]) -> None: ...

    complete()


def test_each_route_and_phase_has_one_function(host: Host) -> None:
    get("/a")(reads)
    with pytest.raises(DeclarationError, match="`reads` serves GET /a already"):
        get("/a")(waits)
    before(reads)
    with pytest.raises(DeclarationError, match="`reads` runs in this phase already"):
        before(waits)
