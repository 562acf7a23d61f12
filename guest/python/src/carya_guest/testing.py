"""Client of `carya test`, for tests of an application over HTTP in any test framework of Python.

```python
import unittest

from carya_guest.testing import App


class Notes(unittest.TestCase):
    app: App

    @classmethod
    def setUpClass(cls) -> None:
        cls.app = App()

    def setUp(self) -> None:
        self.app.reset()

    def test_adds_a_note(self) -> None:
        self.assertEqual(self.app.post("/notes", "Pecans").status, 201)
        self.assertEqual(self.app.sql("SELECT text FROM notes"), [{"text": "Pecans"}])
```
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from typing import Any, Literal
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

TIMEOUT = 60.0
"""Seconds until a request without an answer fails."""


class ControlError(Exception):
    """A request that the control of `carya test` refused."""


@dataclass(frozen=True)
class Answer:
    """The response to a request."""

    status: int
    headers: Message
    """The header fields: `answer.headers["content-type"]`. Names are case-insensitive."""
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """Parses the body as JSON."""
        return json.loads(self.body)


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


# Tests check redirects, and the application is on this machine.
_opener = build_opener(_NoRedirects, ProxyHandler({}))


class App:
    """A lane of the application: an address with databases of its own, on which no other test runs."""

    def __init__(self) -> None:
        """Adds a lane. There are at most 16."""
        control = os.environ.get("CARYA_TEST_CONTROL")
        if control is None:
            raise ControlError("CARYA_TEST_CONTROL is not set; run the tests by `carya test`")
        lane = _control(f"{control}/lanes").json()
        self.url: str = lane["url"]
        """The address of the application."""
        self._lane = f"{control}/lanes/{lane['lane']}"

    def reset(self) -> None:
        """Replaces the databases by new ones, with the migrations and the data of `[model]`."""
        _control(f"{self._lane}/reset")

    def sql(self, sql: str, params: Sequence[object] = (), *, database: str | None = None) -> list[dict[str, Any]]:
        """Runs a statement as the owner of the database, in a transaction of its own, and returns its rows."""
        body: dict[str, object] = {"sql": sql, "params": list(params)}
        if database is not None:
            body["database"] = database
        rows: list[dict[str, Any]] = _control(f"{self._lane}/sql", json.dumps(body).encode()).json()
        return rows

    def set_replicas(self, state: Literal["current", "lagging", "gone"], *, database: str | None = None) -> None:
        """Sets the state of the replicas of a database, until the next `reset`. Lagging replicas receive no further
        commits, so reads on them see old data. Replicas that are gone cannot be reached."""
        body: dict[str, object] = {"state": state}
        if database is not None:
            body["database"] = database
        _control(f"{self._lane}/replicas", json.dumps(body).encode(), method="PUT")

    def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Sends a GET request."""
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body: Any = b"", *, headers: Mapping[str, str] | None = None) -> Answer:
        """Sends a POST request. See `request`."""
        return self.request("POST", path, body, headers=headers)

    def put(self, path: str, body: Any = b"", *, headers: Mapping[str, str] | None = None) -> Answer:
        """Sends a PUT request. See `request`."""
        return self.request("PUT", path, body, headers=headers)

    def delete(self, path: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Sends a DELETE request."""
        return self.request("DELETE", path, headers=headers)

    def request(self, method: str, path: str, body: Any = b"", *, headers: Mapping[str, str] | None = None) -> Answer:
        """Sends a request. A text or bytes are the body as they are; any other value is sent as JSON. Redirects are not
        followed."""
        fields = dict(headers or {})
        if isinstance(body, str):
            body = body.encode()
        elif not isinstance(body, bytes):
            body = json.dumps(body).encode()
            fields.setdefault("content-type", "application/json")
        # Without a media type of its own, `urllib` would declare the body a form.
        fields.setdefault("content-type", "application/octet-stream")
        return _send(Request(f"{self.url}{path}", body or None, fields, method=method))


def _control(url: str, body: bytes = b"", method: str = "POST") -> Answer:
    answer = _send(Request(url, body, method=method))
    if answer.status >= 300:
        raise ControlError(answer.text)
    return answer


def _send(request: Request) -> Answer:
    try:
        with _opener.open(request, timeout=TIMEOUT) as response:
            return Answer(response.status, response.headers, response.read())
    except HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())
