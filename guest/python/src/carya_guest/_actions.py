"""Actions: work after a transaction has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from . import _json
from ._convert import describe
from ._registry import Action, registry

F = TypeVar("F", bound=Callable[..., None])


@dataclass(frozen=True)
class Attempt:
    """A delivery of an action, which the function can take as a parameter."""

    id: str
    """The identifier of the action. It is the same for every delivery, so that a receiver can detect a repeated one."""
    number: int
    """The number of this delivery, from 1."""
    is_committed: bool
    """Whether the transaction that registered the action was committed or rolled back."""
    request_id: str
    """The identifier of the request that registered the action."""


def action(function: F) -> F:
    """Declares a function that runs after a transaction. The type of its payload, a dataclass, connects it with
    `Writer.after_commit` and `Writer.after_rollback`.

    ```python
    @dataclass
    class Confirm:
        order: int

    @action
    def confirm(db: Writer, job: Confirm, attempt: Attempt) -> None:
        db.execute("UPDATE orders SET confirmed = TRUE WHERE id = ?", (job.order,))
    ```

    The host runs each action in a fresh instance and in a transaction of its own. If the function raises an exception,
    the host rolls back and logs the error, and runs an action with `Delivery.AT_LEAST_ONCE` again later.
    """
    registry.add_action(Action(function.__name__, function))
    return function


def pack(job: object) -> tuple[str, str]:
    """Returns the name of the action with this payload, and the payload as JSON."""
    for declared in registry.actions.values():
        if declared.payload is type(job):
            return declared.name, _json.dumps(job)
    raise TypeError(
        f"no action has a payload {describe(type(job))}: "
        f"write `@action def name(db: Writer, job: {describe(type(job))}) -> None`"
    )
