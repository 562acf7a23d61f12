"""Values that the host keeps: settings of the component, and values that hooks pass on."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from . import _json
from ._convert import Mismatch, converter
from ._errors import HostError
from .raw import Err, config
from .raw import context as host

T = TypeVar("T")


def setting_text(name: str) -> str:
    """Returns a setting that is a string (`[component.NAME.settings]`). Any other value is returned as JSON text."""
    text = config.get(name)
    if text is None:
        raise HostError(f"the setting `{name}` of this component is missing")
    return text


@overload
def setting(name: str) -> Any: ...
@overload
def setting(name: str, tp: type[T]) -> T: ...
def setting(name: str, tp: Any = Any) -> Any:
    """Returns a setting that is a number, a boolean, a list or a table: `setting("keys", list[str])`. Use `setting_text` for
    strings."""
    text = setting_text(name)
    try:
        return converter(tp, "json")(_json.loads(text))
    except (ValueError, Mismatch) as error:
        raise HostError(f"the setting `{name}` of this component: {error}") from None


def context(key: str) -> str | None:
    """Returns the value that an earlier hook of this request has set for a key."""
    return host.get(key)


def set_context(key: str, value: str) -> None:
    """Sets a value for later hooks of this request and for its controller."""
    try:
        host.set(key, value)
    except Err as error:
        raise HostError(error.value) from None
