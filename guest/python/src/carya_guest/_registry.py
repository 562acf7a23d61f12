"""The functions that a guest declares with the decorators of this package."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Access = Literal["none", "read-only", "read-write"]
Phase = Literal["on-route", "before", "after", "on-error", "init"]

EXPORTS: dict[Access, str] = {
    "read-only": "read-controller",
    "read-write": "write-controller",
    "none": "plain-controller",
}
"""The export of the contract for each access mode."""


class DeclarationError(Exception):
    """A function that cannot be served. The message begins with its file and line."""


def refuse(function: Callable[..., Any], message: str) -> DeclarationError:
    """Returns the error of a declared function."""
    code = inspect.unwrap(function).__code__
    return DeclarationError(f"{code.co_filename}:{code.co_firstlineno}: `{function.__name__}`: {message}")


@dataclass
class Route:
    """A function that serves a route."""

    method: str
    pattern: str
    params: tuple[str, ...]
    """Names of the parameters of the pattern."""
    access: Access
    function: Callable[..., Any]
    # Set by `complete`, because annotations may name types that the module defines later.
    call: Callable[[Any], Any] = field(init=False)
    """Calls the function with the handle of the database."""


@dataclass
class Hook:
    """A function that runs in a phase."""

    phase: Phase
    function: Callable[..., Any]
    call: Callable[..., Any] = field(init=False)


@dataclass
class Action:
    """A function that runs after a transaction."""

    name: str
    function: Callable[..., Any]
    payload: Any = None
    call: Callable[..., Any] = field(init=False)


@dataclass
class Registry:
    """All declared functions of a guest."""

    routes: dict[tuple[str, str], Route] = field(default_factory=dict)
    """By pattern and method."""
    hooks: dict[Phase, Hook] = field(default_factory=dict)
    actions: dict[str, Action] = field(default_factory=dict)

    def add_route(self, route: Route) -> None:
        key = (route.pattern, route.method)
        if key in self.routes:
            earlier = self.routes[key].function.__name__
            raise refuse(route.function, f"`{earlier}` serves {route.method} {route.pattern} already")
        self.routes[key] = route

    def add_hook(self, hook: Hook) -> None:
        if hook.phase in self.hooks:
            earlier = self.hooks[hook.phase].function.__name__
            raise refuse(hook.function, f"`{earlier}` runs in this phase already; call one from the other")
        self.hooks[hook.phase] = hook

    def add_action(self, action: Action) -> None:
        if action.name in self.actions:
            raise refuse(action.function, "there is an action with this name already")
        self.actions[action.name] = action

    def exports(self) -> list[str]:
        """Returns the exports of the contract that the functions implement."""
        modes = {route.access for route in self.routes.values()}
        names = [EXPORTS[mode] for mode in EXPORTS if mode in modes]
        names += ["model" if phase == "init" else phase for phase in self.hooks]
        return names + (["actions"] if self.actions else [])

    def section(self) -> str:
        """Returns the text of the custom section `carya:routes`, with which the host compares its configuration."""
        return "".join(f"{route.method} {route.access} {route.pattern}\n" for route in self.routes.values())


registry = Registry()
"""The declared functions. A component contains one guest, so there is one registry."""
