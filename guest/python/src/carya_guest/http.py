"""HTTP requests to other servers.

The host sends a request only to a destination that the configuration permits: the key `http` of the component, and
`allow` in `[outbound]` of the host. Inside a transaction the host refuses requests after the first statement. So send
requests from actions, from hooks outside the transaction, or before the first statement.

```python
from carya_guest import http

rates = http.get("https://api.example.org/rates").raise_for_status().json()
http.post("https://hooks.example.org/orders", json=rates, headers={"idempotency-key": "7"}).raise_for_status()
```

A component imports `wasi:http` only if it imports this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, overload
from urllib.parse import urlsplit

from . import _json
from ._convert import Mismatch, converter
from .raw import IS_COMPONENT, Err

if TYPE_CHECKING or not IS_COMPONENT:
    from ._bindings.componentize_py_types import Ok
    from ._bindings.imports import http_types as types
    from ._bindings.imports import outgoing_handler, streams
else:
    from componentize_py_types import Ok
    from wit_world.imports import http_types as types
    from wit_world.imports import outgoing_handler, streams

T = TypeVar("T")

_CHUNK = 4096
"""Bytes that one write to the host can contain."""

_METHODS: dict[str, Callable[[], types.Method]] = {
    "GET": types.Method_Get,
    "HEAD": types.Method_Head,
    "POST": types.Method_Post,
    "PUT": types.Method_Put,
    "DELETE": types.Method_Delete,
    "CONNECT": types.Method_Connect,
    "OPTIONS": types.Method_Options,
    "TRACE": types.Method_Trace,
    "PATCH": types.Method_Patch,
}


class HttpError(Exception):
    """A request that the host refused, a response that did not arrive, or, from `Response.raise_for_status`, a response
    with an error status."""


@dataclass(frozen=True)
class Response:
    """The response of another server."""

    url: str
    status: int
    headers: list[tuple[str, bytes]]
    body: bytes

    def raise_for_status(self) -> Response:
        """Returns this response if its status is from 200 to 299. Otherwise raises an `HttpError` with the status and the
        beginning of the body."""
        if 200 <= self.status < 300:
            return self
        start = self.body[:200].decode(errors="replace")
        raise HttpError(f"{self.url} responded with status {self.status}: {start}")

    def header(self, name: str) -> str | None:
        """Returns the first value of a header field. The name is case-insensitive."""
        values = (value for known, value in self.headers if known.lower() == name.lower())
        return next((value.decode(errors="replace") for value in values), None)

    @property
    def text(self) -> str:
        """The body as text."""
        try:
            return self.body.decode()
        except UnicodeDecodeError as error:
            raise HttpError(f"the body of {self.url} is not UTF-8: {error}") from None

    @overload
    def json(self) -> Any: ...
    @overload
    def json(self, tp: type[T]) -> T: ...
    def json(self, tp: Any = Any) -> Any:
        """Parses the body as JSON, and returns it as a type."""
        try:
            return converter(tp, "json")(_json.loads(self.body))
        except (ValueError, Mismatch) as error:
            raise HttpError(f"the JSON of {self.url}: {error}") from None


def get(url: str, *, headers: Mapping[str, str] | None = None, timeout: float | None = None) -> Response:
    """Sends a GET request. See `request`."""
    return request("GET", url, headers=headers, timeout=timeout)


def post(
    url: str,
    *,
    json: object = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> Response:
    """Sends a POST request. See `request`."""
    return request("POST", url, json=json, body=body, headers=headers, timeout=timeout)


def put(
    url: str,
    *,
    json: object = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> Response:
    """Sends a PUT request. See `request`."""
    return request("PUT", url, json=json, body=body, headers=headers, timeout=timeout)


def delete(url: str, *, headers: Mapping[str, str] | None = None, timeout: float | None = None) -> Response:
    """Sends a DELETE request. See `request`."""
    return request("DELETE", url, headers=headers, timeout=timeout)


def request(
    method: str,
    url: str,
    *,
    json: object = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> Response:
    """Sends a request and waits for the complete response. A `json` value becomes the body, with its media type.

    `timeout` is the time in seconds until the first byte of the response. The limit of the host, `http_timeout` of the
    component, also applies. The host does not follow redirects. A response with an error status is not an exception; see
    `Response.raise_for_status`.
    """
    fields = [(name, value.encode()) for name, value in (headers or {}).items()]
    if json is not None:
        body = _json.dumps(json).encode()
        fields.append(("content-type", b"application/json"))
    try:
        return _exchange(method, url, fields, body or b"", timeout)
    except Err as error:
        raise HttpError(f"{method} {url}: {_explain(error.value)}") from None
    except ValueError as error:
        raise HttpError(f"{method} {url}: {error}") from None


def _exchange(
    method: str, url: str, fields: list[tuple[str, bytes]], content: bytes, timeout: float | None
) -> Response:
    parts = urlsplit(url)
    schemes: dict[str, Callable[[], types.Scheme]] = {"https": types.Scheme_Https, "http": types.Scheme_Http}
    if parts.scheme not in schemes or not parts.netloc:
        raise ValueError("a URL begins with `https://` or `http://` and a host")
    outgoing = types.OutgoingRequest(types.Fields.from_list(fields))
    outgoing.set_method(_METHODS[method]() if method in _METHODS else types.Method_Other(method))
    outgoing.set_scheme(schemes[parts.scheme]())
    outgoing.set_authority(parts.netloc)
    outgoing.set_path_with_query((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    options = types.RequestOptions()
    if timeout is not None:
        options.set_first_byte_timeout(int(timeout * 1e9))
    body = outgoing.body()
    # Sending starts before the body is written, because the buffer of the host may be smaller than the body.
    future = outgoing_handler.handle(outgoing, options)
    _write(body, content)
    with future.subscribe() as pollable:
        pollable.block()
    result = future.get()
    if not isinstance(result, Ok):
        raise ValueError("the response is not ready")
    if not isinstance(result.value, Ok):
        raise result.value
    response = result.value.value
    with response.headers() as received:
        entries = received.entries()
    return Response(url, response.status(), entries, _read(response.consume()))


def _write(body: types.OutgoingBody, content: bytes) -> None:
    with body.write() as stream:
        try:
            for start in range(0, len(content), _CHUNK):
                stream.blocking_write_and_flush(content[start : start + _CHUNK])
        except Err as error:
            # The server has responded before it read the body, or the request failed. The response shows which of the
            # two happened.
            if not isinstance(error.value, streams.StreamError_Closed):
                raise
    types.OutgoingBody.finish(body, None)


def _read(body: types.IncomingBody) -> bytes:
    content = []
    with body.stream() as stream:
        try:
            while True:
                content.append(stream.blocking_read(64 << 10))
        except Err as error:
            if not isinstance(error.value, streams.StreamError_Closed):
                raise
    return b"".join(content)


def _explain(error: Any) -> str:
    """Describes an error of the host."""
    match error:
        case types.ErrorCode_HttpRequestDenied():
            return (
                "the configuration does not permit this destination: add it to `http` of this component and to `allow` "
                "in `[outbound]`"
            )
        case types.ErrorCode_DestinationIpProhibited():
            return "the address of this destination is not public"
        case types.ErrorCode_InternalError(value=str(text)):
            return text
        case streams.StreamError_LastOperationFailed():
            return error.value.to_debug_string()
        case types.HeaderError_InvalidSyntax() | types.HeaderError_Forbidden():
            return "a header field is not valid, or only the host sets it"
        case None:
            return "the method or the URL is malformed"
    return type(error).__name__.removeprefix("ErrorCode_")
