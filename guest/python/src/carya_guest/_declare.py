"""The decorators that declare routes and hooks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from ._registry import Access, Hook, Phase, Route, registry

F = TypeVar("F", bound=Callable[..., Any])


def route(method: str, pattern: str, *, transaction: Access | None = None) -> Callable[[F], F]:
    """Declares a function that serves a route of the configuration: `@route("GET", "/items/{id}")`. See `get`, `post`,
    `put`, `patch`, `delete`, `head` and `options`.

    If `transaction` of the route sets another access mode than that of the method, repeat it.
    """
    params = _params(pattern)
    access = transaction or _ACCESS.get(method, "read-write")
    if access not in ("none", "read-only", "read-write"):
        raise ValueError(f'the transaction is "none", "read-only" or "read-write", not {access!r}')

    def declare(function: F) -> F:
        registry.add_route(Route(method, pattern, params, access, function))
        return function

    return declare


_ACCESS: dict[str, Access] = {"GET": "read-only", "HEAD": "read-only", "OPTIONS": "none", "TRACE": "none"}


def get(pattern: str, *, transaction: Access | None = None) -> Callable[[F], F]:
    """Declares a function that serves GET, and HEAD if no function serves it.

    The pattern is the `path` of a `[[route]]` in the configuration. The annotations of the parameters select what the
    function receives:

    - `db: Reader` is the handle of the database, `db: Writer` for methods that write,
    - a parameter of the pattern is found by its name: `id: int` for `/tickets/{id}`,
    - `Json[T]`, `Form[T]`, `Query[T]`, `Body[bytes]`, `Multipart`, `Cookies`, `Identity`, `IfMatch`, `Flash` and `Request`
      are parts of the request,
    - all others are query parameters: `page: int = 1`, `tag: list[str]`.

    If a part cannot be read, the function does not run, and the client receives the problem. The result becomes the
    response: a dataclass, a list or a dictionary becomes JSON, and a text becomes text. Other results are `Created`,
    `NoContent`, `Redirect`, `Rows`, `Template`, `JsonText`, `Tagged` and `Response`.

    ```python
    @get("/tickets/{id}")
    def show(db: Reader, id: int) -> Ticket:
        return find(db, id)
    ```
    """
    return route("GET", pattern, transaction=transaction)


def head(pattern: str, *, transaction: Access | None = None) -> Callable[[F], F]:
    """Declares a function that serves HEAD. See `get`."""
    return route("HEAD", pattern, transaction=transaction)


def post(pattern: str, *, transaction: Access | None = None) -> Callable[[F], F]:
    """Declares a function that serves POST. See `get`."""
    return route("POST", pattern, transaction=transaction)


def put(pattern: str, *, transaction: Access | None = None) -> Callable[[F], F]:
    """Declares a function that serves PUT. See `get`."""
    return route("PUT", pattern, transaction=transaction)


def patch(pattern: str, *, transaction: Access | None = None) -> Callable[[F], F]:
    """Declares a function that serves PATCH. See `get`."""
    return route("PATCH", pattern, transaction=transaction)


def delete(pattern: str, *, transaction: Access | None = None) -> Callable[[F], F]:
    """Declares a function that serves DELETE. See `get`."""
    return route("DELETE", pattern, transaction=transaction)


def options(pattern: str, *, transaction: Access | None = None) -> Callable[[F], F]:
    """Declares a function that serves OPTIONS, without a transaction. See `get`."""
    return route("OPTIONS", pattern, transaction=transaction)


def _hook(phase: Phase, function: F) -> F:
    registry.add_hook(Hook(phase, function))
    return function


def on_route(function: F) -> F:
    """Declares a hook that runs before routing. It returns nothing to proceed, an `AccessMode` to proceed with this mode, or
    a response."""
    return _hook("on-route", function)


def before(function: F) -> F:
    """Declares a hook that runs before the controller. It returns nothing to proceed, or a response. A `Problem` is a
    response too. The handle is `db: Reader | Writer | None`.

    ```python
    @before
    def check(request: Request) -> None:
        if request.header("x-api-key") != setting_text("key"):
            raise Problem(401, "this needs the header x-api-key")
    ```
    """
    return _hook("before", function)


def after(function: F) -> F:
    """Declares a hook that runs after the controller. It changes the response by its parameter `reply: Reply`."""
    return _hook("after", function)


def on_error(function: F) -> F:
    """Declares a hook that runs after a failure, with the parameter `failure: Failure`. It returns nothing, or a response
    for the client."""
    return _hook("on-error", function)


def init(function: F) -> F:
    """Declares the function that initializes the content of the database: `def fill(db: Writer) -> None`. The host calls it
    at each start, in the component that `[model] component` names."""
    return _hook("init", function)


def _params(pattern: str) -> tuple[str, ...]:
    """Returns the names of a pattern's parameters."""

    def wrong(message: str) -> ValueError:
        return ValueError(f"the pattern {pattern!r}: {message}")

    if not pattern.startswith("/"):
        raise wrong(f'a pattern begins with a slash: "/{pattern}"')
    if re.search(r"[\s\x00-\x1f\x7f]", pattern):
        raise wrong("a pattern contains no white space")
    if old := re.search("/:([^/]*)", pattern):
        raise wrong(f"a parameter is written in braces: `{{{old[1]}}}` instead of `:{old[1]}`")
    names: list[str] = []
    # `{{` and `}}` are braces of the path itself.
    rest = pattern.replace("{{", "").replace("}}", "")
    while brace := re.search("[{}]", rest):
        parameter = re.match(r"\{(\*?)([^{}*/]+)\}", rest[brace.start() :])
        if parameter is None:
            raise wrong("a parameter is a name in braces: `{id}`, or `{*path}` for the rest of the path")
        name, rest = parameter[2], rest[brace.start() + parameter.end() :]
        if parameter[1] and rest:
            raise wrong(f"`{{*{name}}}` takes the rest of the path, so it must be the last part")
        if name in names:
            raise wrong(f"there are two parameters `{name}`")
        names.append(name)
    return tuple(names)
