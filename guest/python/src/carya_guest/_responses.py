"""Results of handlers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import _json, _values
from ._cookies import FLASH, SetCookie
from ._problem import Problem
from ._values import Parameters
from .raw import request as host
from .raw import types

Headers = Mapping[str, str] | list[tuple[str, str]]
"""Header fields of a response. A list can contain a name more than once."""


class JsonText(str):
    """Text that is JSON already, such as the rows of `Db.fetch_json`."""

    __slots__ = ()


@dataclass(frozen=True)
class Response:
    """A result with another status or further header fields.

    ```python
    return Response({"queued": True}, status=202, headers={"retry-after": "60"})
    ```
    """

    content: Any = b""
    """Any result of a handler."""
    status: int | None = None
    """The status from 200 to 599. By default that of the content."""
    headers: Headers = ()  # type: ignore[assignment]
    """Header fields, after those of the content. The host sets `content-length` and `date` itself."""


@dataclass(frozen=True)
class Created:
    """Response to a request that created an object: 201, the header `location`, and the object as JSON."""

    location: str
    content: Any


@dataclass(frozen=True)
class NoContent:
    """Response without a body: 204."""


@dataclass(frozen=True)
class Redirect:
    """Response that sends the browser to another page with GET: 303.

    The host commits the transaction after a redirect, unless the configuration sets `rollback_on_redirect` or the handler
    calls `mark_rollback`.
    """

    location: str
    flash: str | None = None
    """A message for the next page, in a cookie that lives for a minute. The next page reads it with `Flash`."""


@dataclass(frozen=True)
class Template:
    """Response with a template, which the host renders inside the transaction."""

    name: str
    """The path of the file below the folder of templates."""
    context: Any
    """The variables: a dictionary or a dataclass, or `JsonText` with an object."""


@dataclass(frozen=True)
class Rows:
    """Response with the rows of a query. The host runs the query and writes the rows to the client, so they do not cross
    the guest, and a handler that only reads can send any number of rows.

    ```python
    return Rows.csv("SELECT id, title FROM tickets WHERE state = ? ORDER BY id", ("open",))
    ```
    """

    sql: str
    params: Parameters
    format: types.RowsFormat

    @classmethod
    def json(cls, sql: str, params: Parameters = ()) -> Rows:
        """A JSON array with one object for each row."""
        return cls(sql, params, types.RowsFormat.JSON)

    @classmethod
    def ndjson(cls, sql: str, params: Parameters = ()) -> Rows:
        """One JSON object on each line (`application/x-ndjson`)."""
        return cls(sql, params, types.RowsFormat.NDJSON)

    @classmethod
    def csv(cls, sql: str, params: Parameters = ()) -> Rows:
        """CSV by RFC 4180, with the names of the columns in the first line."""
        return cls(sql, params, types.RowsFormat.CSV)


class ETag:
    """An entity tag: the version of an object, such as a counter that each change increments, or the time of the last
    change. Characters that a tag cannot contain become `_`."""

    def __init__(self, version: object) -> None:
        allowed = (letter if "!" <= letter <= "~" and letter != '"' else "_" for letter in str(version))
        self._text = f'"{"".join(allowed)}"'

    def __str__(self) -> str:
        return self._text

    def tag(self, content: Any) -> Tagged:
        """Adds the tag to a result. If the client has this version already (`if-none-match`), the response is 304 and has
        no body."""
        return Tagged(self, content)

    def is_in(self, tags: str, weak: bool) -> bool:
        """Returns whether the list of tags in a header field contains this tag. `*` stands for all tags."""
        listed = (tag.strip() for tag in tags.split(","))
        return any((tag.removeprefix("W/") if weak else tag) in ("*", self._text) for tag in listed)


@dataclass(frozen=True)
class Tagged:
    """A result with an `ETag`."""

    tag: ETag
    content: Any


class IfMatch:
    """Parameter of a handler: the header `if-match`, with which a client protects its change against a change by another
    client.

    ```python
    @put("/tickets/{id}")
    def update(db: Writer, id: int, held: IfMatch, title: Json[str]) -> NoContent:
        version = db.fetch_one(int, "SELECT version FROM tickets WHERE id = ?", (id,))
        held.require(ETag(version))
        db.execute("UPDATE tickets SET title = ?, version = version + 1 WHERE id = ?", (title, id))
        return NoContent()
    ```
    """

    def __init__(self, tags: str | None) -> None:
        self._tags = tags

    def check(self, present: ETag) -> None:
        """Raises a problem with status 412 if the client has read another version. A request without the header
        passes."""
        # `if-match` compares strongly (RFC 9110, 13.1.1).
        if self._tags is not None and not present.is_in(self._tags, weak=False):
            raise Problem(412, "this has changed since you read it", headers={"etag": str(present)})

    def require(self, present: ETag) -> None:
        """Checks like `check`, and raises a problem with status 428 if the request has no `if-match`."""
        if self._tags is None:
            raise Problem(428, "send the header `if-match` with the version that you read")
        self.check(present)


class Flash:
    """Parameter of a handler: the message that a `Redirect` has left for this page.

    The message is in a cookie, so a client can forge it: escape it like every other input.
    """

    def __init__(self, message: str | None) -> None:
        self.message = message

    def forget(self, content: Any) -> Response:
        """Returns a response that deletes the message, so that the browser shows it once."""
        deleted = [] if self.message is None else [("set-cookie", str(SetCookie(name=FLASH, value="", max_age=0)))]
        return Response(content, headers=deleted)


def respond(content: Any) -> types.Response:
    """Returns the response of the contract for a result of a handler. Raises `TypeError` or `ValueError` if the result is
    none."""
    match content:
        case Response():
            response = respond(content.content)
            extra = content.headers.items() if isinstance(content.headers, Mapping) else content.headers
            response.headers = [*response.headers, *extra]
            response.status = response.status if content.status is None else content.status
            return response
        case Problem():
            headers = [("content-type", "application/problem+json"), *content.headers.items()]
            return types.Response(content.status, headers, types.Body_Json(content.to_json()))
        case Created():
            response = respond(content.content)
            response.status = 201
            response.headers = [*response.headers, ("location", content.location)]
            return response
        case NoContent():
            return types.Response(204, [], types.Body_Bytes(b""))
        case Redirect():
            headers = [("location", content.location)]
            if content.flash is not None:
                headers.append(("set-cookie", str(SetCookie(name=FLASH, value=content.flash, max_age=60))))
            return types.Response(303, headers, types.Body_Bytes(b""))
        case Tagged():
            return _tagged(content)
        case Template():
            context = content.context if isinstance(content.context, JsonText) else _json.dumps(content.context)
            return types.Response(200, [], types.Body_Template(types.Template(content.name, context)))
        case Rows():
            query = types.RowsQuery(content.sql, _values.parameters(content.params), content.format)
            return types.Response(200, [], types.Body_Rows(query))
        case JsonText():
            return types.Response(200, [], types.Body_Json(content))
        case str():
            return types.Response(200, [], types.Body_Text(content))
        case bytes() | bytearray():
            return types.Response(200, [], types.Body_Bytes(bytes(content)))
        case None:
            raise TypeError("the function returned None; return NoContent() for a response without a body")
    return types.Response(200, [], types.Body_Json(_json.dumps(content)))


def _tagged(content: Tagged) -> types.Response:
    response = respond(content.content)
    held = host.header("if-none-match")
    # `if-none-match` compares weakly (RFC 9110, 13.1.2), and 304 only answers a request that reads.
    is_fresh = held is not None and content.tag.is_in(held, weak=True)
    if is_fresh and 200 <= response.status < 300 and host.method() in ("GET", "HEAD"):
        response.status, response.body = 304, types.Body_Bytes(b"")
    response.headers = [*response.headers, ("etag", str(content.tag))]
    return response
