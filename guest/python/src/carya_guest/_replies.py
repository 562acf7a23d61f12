"""The response on its way to the client."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec

from ._errors import HostError
from .raw import Err
from .raw import response as host

P = ParamSpec("P")


class Reply:
    """Parameter of an `after` hook, which can change the response, and of an `on_error` hook, which can read it."""

    @property
    def status(self) -> int:
        """The status, or 0 if there is no response yet. An `after` hook can set the status that the client receives; the
        transaction is unaffected."""
        return host.status()

    @status.setter
    def status(self, status: int) -> None:
        _call(host.set_status, status)

    def header(self, name: str) -> str | None:
        """Returns the first value of a header field. The name is case-insensitive."""
        return host.header(name)

    def set_header(self, name: str, value: str) -> None:
        """Sets a header field and removes other fields with this name."""
        _call(host.set_header, name, value)

    def append_header(self, name: str, value: str) -> None:
        """Adds a header field and keeps other fields with this name."""
        _call(host.append_header, name, value)

    def remove_header(self, name: str) -> None:
        """Removes all header fields with this name."""
        _call(host.remove_header, name)

    @property
    def body(self) -> bytes:
        """A copy of the body. An `after` hook can set the body, and keeps `content-type`."""
        return host.body()

    @body.setter
    def body(self, body: bytes) -> None:
        _call(host.set_body, body)


def _call(function: Callable[P, None], *arguments: P.args, **more: P.kwargs) -> None:
    try:
        function(*arguments, **more)
    except Err as error:
        raise HostError(error.value) from None
