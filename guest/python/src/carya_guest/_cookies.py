"""Cookies, and messages that survive one redirect."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote

from .raw import request as host

FLASH = "flash"
"""Name of the cookie of `Flash`."""


@dataclass(frozen=True, kw_only=True)
class SetCookie:
    """A cookie that a response sets: `Response(page, headers={"set-cookie": str(SetCookie(name="theme", value="dark"))})`.

    JavaScript cannot read the cookie (`HttpOnly`), and other sites do not send it with their requests (`SameSite=Lax`).
    Bytes of the value that a cookie cannot contain are percent-encoded.
    """

    name: str
    value: str
    max_age: int | None = None
    """Seconds after which the browser deletes the cookie. 0 deletes it at once. By default, at the end of the session."""
    path: str = "/"
    secure: bool = False
    """Whether the browser sends the cookie only over HTTPS."""

    def __str__(self) -> str:
        age = "" if self.max_age is None else f"; Max-Age={self.max_age}"
        secure = "; Secure" if self.secure else ""
        return f"{self.name}={quote(self.value, safe='')}; Path={self.path}{age}; HttpOnly; SameSite=Lax{secure}"


class Cookies:
    """Parameter of a handler: the cookies of the request."""

    def get(self, name: str) -> str | None:
        """Returns the value of the first cookie with this name, percent-decoded as `SetCookie` encodes it. A value that is
        not UTF-8 afterwards stays as it is. The client chooses the value, so do not trust it."""
        value = host.cookie(name)
        if value is None:
            return None
        try:
            return unquote(value, errors="strict")
        except UnicodeDecodeError:
            return value
