"""Errors as problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping

from . import _json

_PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    410: "Gone",
    412: "Precondition Failed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    428: "Precondition Required",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class Problem(Exception):
    """Error that the client receives as problem details (RFC 9457). Raise it in a handler or a hook.

    All other exceptions are internal errors: the host rolls back, writes the message and the traceback to its log, and
    responds with 500.

    ```python
    raise Problem(404, "there is no such ticket")
    raise Problem(402, "the account is empty", balance=0)
    ```
    """

    def __init__(
        self,
        status: int,
        detail: str | None = None,
        *,
        title: str | None = None,
        type: str | None = None,
        errors: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **members: object,
    ) -> None:
        """Returns a problem with a status from 400 to 599.

        `title` is by default the standard phrase of the status. `type` is the URI that identifies the type of the
        problem. `errors` are the violated rules by field. Further members become members of the JSON object.
        """
        if not 400 <= status <= 599:
            raise ValueError(f"the status of a problem is from 400 to 599, not {status}")
        self.status = status
        self.title = title or _PHRASES.get(status, "Error")
        self.detail = detail
        self.type = type
        self.errors = dict(errors or {})
        self.members = members
        self.headers = dict(headers or {})
        super().__init__(status, detail)

    def __str__(self) -> str:
        text = f"{self.status} {self.title}"
        if self.detail:
            text += f": {self.detail}"
        return f"{text}; {_json.dumps(self.errors)}" if self.errors else text

    def to_json(self) -> str:
        """Returns the problem details."""
        members: dict[str, object] = {}
        if self.detail is not None:
            members["detail"] = self.detail
        if self.errors:
            members["errors"] = self.errors
        members |= {"status": self.status, "title": self.title}
        if self.type is not None:
            members["type"] = self.type
        return _json.dumps(members | self.members)


class Checks:
    """Checks of the fields of a request. Reports all invalid fields at once, as a problem with status 422.

    ```python
    checks = Checks()
    checks.check("title", 1 <= len(title) <= 100, "must have 1 to 100 characters")
    checks.check("priority", 1 <= priority <= 5, "must be from 1 to 5")
    checks.finish()
    ```
    """

    def __init__(self) -> None:
        self._errors: dict[str, str] = {}

    def check(self, field: str, valid: bool, rule: str) -> None:
        """Checks a field: `rule` completes the sentence "The field ...", and is reported unless `valid`. Of several
        rules that a field violates, the first one is reported."""
        if not valid:
            self._errors.setdefault(field, rule)

    def finish(self) -> None:
        """Raises the problem, if a field is not valid."""
        if self._errors:
            raise invalid(self._errors)


def invalid(errors: Mapping[str, str]) -> Problem:
    """Returns the problem of fields that are not valid."""
    return Problem(422, "some fields are not valid", errors=errors)
