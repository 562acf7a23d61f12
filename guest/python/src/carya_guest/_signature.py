"""Parameters of declared functions: each annotation selects what the function receives."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from types import UnionType
from typing import Annotated, Any, TypeVar, Union

from ._convert import Converter, Mismatch, absent, converter, describe, is_record
from ._cookies import FLASH, Cookies
from ._database import Db, Reader, Writer
from ._problem import Problem, invalid
from ._registry import refuse
from ._replies import Reply
from ._requests import Identity, Multipart, Request, form_body, from_texts, json_body, query_parameters
from ._responses import Flash, IfMatch
from .raw import identity
from .raw import request as host

T = TypeVar("T")

Json = Annotated[T, "json"]
"""Annotation of a parameter: the JSON body as a type, such as `ticket: Json[NewTicket]`. The media type of the request must
be `application/json` or end with `+json`. Problems: 415, 400 if it is not JSON, 422 with the fields that do not fit."""

Form = Annotated[T, "form"]
"""Annotation of a parameter: the text fields of a form as a dataclass, such as `comment: Form[Comment]`. A `list` takes all
values of a repeated field. Problems: 415, 400, 413, 422 with the fields that do not fit."""

Query = Annotated[T, "query"]
"""Annotation of a parameter: the query parameters as a dataclass, such as `search: Query[Search]`. Problem: 422."""

Body = Annotated[T, "body"]
"""Annotation of a parameter: the body as `Body[bytes]` or as `Body[str]`. Problem: 400 if it is not UTF-8."""

Extractor = Callable[[], Any]


def _identity() -> Identity | None:
    subject = identity.subject()
    return None if subject is None else Identity(subject)


def _known_identity() -> Identity:
    client = _identity()
    if client is None:
        raise Problem(401, "this needs an identity")
    return client


_EXTRACTORS: dict[Any, Extractor] = {
    Request: Request,
    Cookies: Cookies,
    Multipart: form_body,
    Identity: _known_identity,
    Flash: lambda: Flash(Cookies().get(FLASH)),
    IfMatch: lambda: IfMatch(host.header("if-match")),
    Reply: Reply,
}

HANDLES = (Db, Reader, Writer)


def bind(
    function: Callable[..., Any],
    *,
    handles: tuple[Any, ...],
    reason: str = "",
    params: tuple[str, ...] = (),
    given: dict[Any, str] | None = None,
) -> Callable[..., Any]:
    """Returns a function that extracts the parameters from the request and calls `function`. Its arguments are the handle
    of the database, and the values of the types in `given` by their names there.

    `handles` are the types that a handle may have in the signature; `reason` explains that in the error. `params` are the
    parameters of the route's pattern.
    """
    given = given or {}
    if inspect.iscoroutinefunction(function):
        raise refuse(function, "a guest has no event loop: write `def` instead of `async def`")
    annotations = hints(function)
    handle: str | None = None
    extractors: dict[str, Extractor] = {}
    names: dict[str, str] = {}
    queries: dict[str, tuple[Any, Any]] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise refuse(function, f"the parameter `{name}` must have a name by which it can be given")
        if name not in annotations:
            raise refuse(function, f"the parameter `{name}` has no annotation")
        tp = annotations[name]
        members = typing.get_args(tp) if typing.get_origin(tp) in (Union, UnionType) else (tp,)
        if any(member in HANDLES for member in members):
            if tp not in handles:
                wanted = f"must be `{name}: {describe(handles[0])}`" if handles else "is not possible"
                raise refuse(function, f"the parameter `{name}: {describe(tp)}` {wanted}{reason and '; '}{reason}")
            handle = name
        elif tp in given:
            names[given[tp]] = name
        elif name in params:
            extractors[name] = _path(function, name, tp)
        elif (extractor := _extractor(function, name, tp)) is not None:
            extractors[name] = extractor
        else:
            _check_query(function, name, tp)
            queries[name] = (tp, parameter.default)
    for missing in params:
        if missing not in extractors and not any(tp is Request for tp in annotations.values()):
            raise refuse(function, f"no parameter takes `{{{missing}}}` of the pattern: add `{missing}: str`")

    def call(db: Any = None, **values: Any) -> Any:
        arguments = {name: extract() for name, extract in extractors.items()}
        if queries:
            arguments |= _read_queries(queries)
        if handle is not None:
            arguments[handle] = db
        for key, name in names.items():
            arguments[name] = values[key]
        return function(**arguments)

    return call


def hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Returns the annotations of a function's parameters."""
    try:
        annotations = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise refuse(function, f"an annotation cannot be resolved: {error}") from None
    return {name: tp for name, tp in annotations.items() if name != "return"}


def _extractor(function: Callable[..., Any], name: str, tp: Any) -> Extractor | None:
    """Returns the extractor of an annotation that does not depend on the name of the parameter."""
    if tp in _EXTRACTORS:
        return _EXTRACTORS[tp]
    if tp == Identity | None:
        return _identity
    if typing.get_origin(tp) is not Annotated:
        return None
    inner, source = typing.get_args(tp)[:2]
    if source in ("query", "form"):
        if not is_record(inner):
            raise refuse(
                function, f"the parameter `{name}`: a {source} is read as a dataclass, not as {describe(inner)}"
            )
        if source == "query":
            return lambda: from_texts(inner, query_parameters())
        return lambda: from_texts(inner, form_body().texts())
    if source == "body" and inner is bytes:
        return host.body
    if source == "body" and inner is str:
        return lambda: Request().text
    if source == "json":
        _checked(function, name, inner, "json")
        return lambda: json_body(inner)
    return None


def _path(function: Callable[..., Any], name: str, tp: Any) -> Extractor:
    convert = _checked(function, name, tp, "text")

    def extract() -> Any:
        try:
            return convert([host.param(name) or ""])
        except Mismatch:
            # No object has this path.
            raise Problem(404, "there is nothing at this path") from None

    return extract


def _check_query(function: Callable[..., Any], name: str, tp: Any) -> None:
    if is_record(tp) or tp in (bytes, dict):
        shown = describe(tp)
        choices = "`Body[bytes]`" if tp is bytes else f"`Json[{shown}]`, `Form[{shown}]` or `Query[{shown}]`"
        raise refuse(function, f"the parameter `{name}: {shown}` must be {choices}")
    _checked(function, name, tp, "text")


def _checked(function: Callable[..., Any], name: str, tp: Any, source: Any) -> Converter:
    try:
        return converter(tp, source)
    except TypeError as error:
        raise refuse(function, f"the parameter `{name}`: {error}") from None


def _read_queries(queries: dict[str, tuple[Any, Any]]) -> dict[str, Any]:
    """Returns the query parameters that are parameters of the function."""
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name, (tp, default) in queries.items():
        texts = host.query_all(name)
        try:
            if texts:
                values[name] = converter(tp, "text")(texts)
            elif default is not inspect.Parameter.empty:
                values[name] = default
            else:
                values[name] = absent(tp, "text")
        except Mismatch as error:
            errors |= error.at(name)
    if errors:
        raise invalid(errors)
    return values
