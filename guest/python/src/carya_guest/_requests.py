"""The request, as functions of the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from . import _json
from ._convert import Mismatch, converter, record
from ._problem import Problem, invalid
from .raw import Err, identity
from .raw import request as host

T = TypeVar("T")


class Request:
    """The request that this guest serves.

    The host keeps the request, and copies a part of it into the memory of the guest only when a function returns it. A
    handler takes it as a parameter `request: Request`.
    """

    @property
    def method(self) -> str:
        """The method in capital letters."""
        return host.method()

    @property
    def path(self) -> str:
        """The path without the query, percent-encoded."""
        return host.path()

    @property
    def route(self) -> str | None:
        """The pattern of the route, such as `/items/{id}`. `None` before routing, and if no route matches."""
        return host.route()

    def param(self, name: str) -> str | None:
        """Returns a parameter of the route's pattern, percent-decoded."""
        return host.param(name)

    @property
    def params(self) -> dict[str, str]:
        """The percent-decoded parameters of the route's pattern, in order."""
        return dict(host.params())

    def query(self, name: str) -> str | None:
        """Returns the first value of a query parameter, decoded."""
        return host.query(name)

    def query_all(self, name: str) -> list[str]:
        """Returns all values of a query parameter, decoded, in order."""
        return host.query_all(name)

    @property
    def query_string(self) -> str:
        """The query as the client sent it, without the question mark."""
        return host.query_string()

    def header(self, name: str) -> str | None:
        """Returns the first value of a header field. The name is case-insensitive."""
        return host.header(name)

    def cookie(self, name: str) -> str | None:
        """Returns the value of the first cookie with this name, as the client sent it."""
        return host.cookie(name)

    @property
    def body(self) -> bytes:
        """The body."""
        return host.body()

    @property
    def text(self) -> str:
        """The body as text. Raises a problem with status 400 if it is not UTF-8."""
        try:
            return host.body_text()
        except Err:
            raise Problem(400, "the body is not UTF-8") from None

    def json(self, tp: type[T]) -> T:
        """Returns the JSON body as a type, with the problems of `Json`."""
        value: T = json_body(tp)
        return value

    @property
    def scheme(self) -> str:
        """The scheme of the connection: `http` or `https`."""
        return host.scheme()

    @property
    def authority(self) -> str | None:
        """The host name that the client used, with the port if there is one. The client chooses this value, so do not
        trust it."""
        return host.authority()

    @property
    def client_address(self) -> str | None:
        """The IP address of the client, or of the proxy in front of the host."""
        return host.client_address()

    @property
    def id(self) -> str:
        """The identifier of the request, which is also in the host's log and in the response's `x-request-id`."""
        return host.id()


class Identity:
    """Parameter of a handler: the client, as a hook has set it. If there is none, the response is 401. Write
    `client: Identity | None` to accept unknown clients."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        """The name of the client, such as the number of a user."""

    def claim(self, name: str) -> Any:
        """Returns a claim about the client, or `None` if there is no such claim."""
        text = identity.claim(name)
        return None if text is None else _json.loads(text)


@dataclass(frozen=True)
class File:
    """A file of a form."""

    name: str
    """The name that the client gave the file. Do not use it as a path."""
    content: bytes
    content_type: str | None
    """The media type that the client gave the file."""


class Multipart:
    """Parameter of a handler: the fields and files of a form.

    ```python
    @post("/tickets/{id}/photo")
    def attach(db: Writer, id: int, form: Multipart) -> NoContent:
        photo = form.file("photo")
        if photo is None:
            raise Problem(422, "the photo is missing")
        db.execute("INSERT INTO photos (ticket, name, content) VALUES (?, ?, ?)", (id, photo.name, photo.content))
        return NoContent()
    ```
    """

    def __init__(self, fields: list[host.FormField]) -> None:
        # All text fields must be UTF-8, also those that the handler does not read.
        self._texts = [(field.name, text(field)) for field in fields if field.file_name is None]
        self._fields = fields

    def text(self, name: str) -> str | None:
        """Returns the first text field with this name."""
        return next((text for field, text in self._texts if field == name), None)

    def file(self, name: str) -> File | None:
        """Returns the first file with this name."""
        return next(iter(self.files(name)), None)

    def files(self, name: str) -> list[File]:
        """Returns all files with this name, in order."""
        return [
            File(field.file_name, field.value, field.content_type)
            for field in self._fields
            if field.name == name and field.file_name is not None
        ]

    def texts(self) -> dict[str, list[str]]:
        """Returns all text fields by name."""
        return grouped(self._texts)


def text(field: host.FormField) -> str:
    try:
        return field.value.decode()
    except UnicodeDecodeError:
        raise Problem(400, f"the field `{field.name}` is not UTF-8") from None


def grouped(pairs: Any) -> dict[str, list[str]]:
    """Returns all values of each name."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def form_body() -> Multipart:
    """Returns the form of the request."""
    try:
        return Multipart(host.form())
    except Err as error:
        match error.value:
            case host.FormError_NotAForm():
                raise Problem(
                    415, "send a form: `application/x-www-form-urlencoded` or `multipart/form-data`"
                ) from None
            case host.FormError_Limit():
                raise Problem(413, f"the form is too large: {error.value.value}") from None
            case _:
                raise Problem(400, f"the form is malformed: {error.value.value}") from None


def json_body(tp: Any) -> Any:
    """Returns the JSON body as a type.

    Browsers send the media type only to another site that permits it, so a form of a foreign page cannot reach a handler
    that takes JSON.
    """
    media_type = (host.header("content-type") or "").split(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise Problem(415, "send JSON with the header `content-type: application/json`")
    try:
        value = _json.loads(host.body())
    except ValueError as error:
        raise Problem(400, f"the body is not JSON: {error}") from None
    try:
        return converter(tp, "json")(value)
    except Mismatch as error:
        raise problem(error) from None


def from_texts(tp: Any, values: dict[str, list[str]]) -> Any:
    """Returns a record whose fields are parameters of a query or a form."""
    try:
        return record(tp, "text")(values)
    except Mismatch as error:
        raise problem(error) from None


def query_parameters() -> dict[str, list[str]]:
    """Returns all values of each query parameter."""
    return grouped(parse_qsl(host.query_string(), keep_blank_values=True))


def problem(error: Mismatch) -> Problem:
    """Returns the problem of a value that does not have the expected type."""
    if "" in error.errors:
        return Problem(422, f"the content {error.errors['']}")
    return invalid(error.errors)
