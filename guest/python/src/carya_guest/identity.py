"""The identity of the client, as a hook sets it. Only hooks outside the transaction can set it: `on_route`, and `before`
with a priority below 100.

A component imports `carya:host/identity-setter` only if it imports this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from . import _json
from ._errors import HostError
from .raw import IS_COMPONENT, Err

if TYPE_CHECKING or not IS_COMPONENT:
    from ._bindings.imports import identity_setter
else:
    from wit_world.imports import identity_setter


def set_identity(subject: str, claims: Mapping[str, object] | None = None) -> None:
    """Sets the identity of the client, which handlers and later hooks receive as `client: Identity`, with claims about the
    client. Raises `HostError` if it is set already."""
    try:
        identity_setter.set(subject, _json.dumps(claims or {}))
    except Err as error:
        raise HostError(error.value) from None
