"""The classes that the host calls. Their names and methods are those of the contract's interfaces."""

from __future__ import annotations

# `datetime.strptime` imports it when it is called.
import _strptime  # type: ignore[import-not-found]  # noqa: F401
import random
import re
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib.machinery import ModuleSpec
from pathlib import PurePath
from typing import Any, TypeVar

from . import _json, raw
from ._actions import Attempt
from ._convert import Mismatch, converter, describe, is_record
from ._database import HANDLES_OF_HOOKS, Db, Reader, Writer, wrap
from ._problem import Problem
from ._registry import Access, Phase, refuse, registry
from ._responses import respond
from ._signature import bind, hints
from .raw import Err, types
from .raw import request as host

T = TypeVar("T")
_PACKAGE = str(PurePath(__file__).parent)


def complete() -> None:
    """Resolves the annotations of all declared functions. Raises `DeclarationError` for the first one that cannot be
    served."""
    for route in registry.routes.values():
        place = f"{route.method} {route.pattern}"
        modes: dict[Access, tuple[tuple[Any, ...], str]] = {
            "none": ((), f"{place} has no transaction"),
            "read-only": ((Reader, Db), f"{place} only reads"),
            "read-write": ((Writer, Db), f"{place} writes, and a Writer also reads"),
        }
        handles, reason = modes[route.access]
        reason += "; for another mode set `transaction` in the decorator and in the route of the configuration"
        route.call = bind(route.function, handles=handles, reason=reason, params=route.params)
    for phase, hook in registry.hooks.items():
        of_hook: tuple[Any, ...] = () if phase == "on-route" else (Writer, Db) if phase == "init" else HANDLES_OF_HOOKS
        given: dict[Any, str] = {types.Failure: "failure"} if phase == "on-error" else {}
        hook.call = bind(hook.function, handles=of_hook, given=given)
    for action in registry.actions.values():
        payloads = [tp for tp in hints(action.function).values() if is_record(tp) and tp is not Attempt]
        if len(payloads) != 1:
            raise refuse(action.function, "an action has one parameter for its payload, which is a dataclass")
        action.payload = payloads[0]
        action.call = bind(action.function, handles=(Writer, Db), given={action.payload: "job", Attempt: "attempt"})
        converter(action.payload, "json")


def start() -> None:
    """Completes the declarations, at the end of the component's build. The component starts with the modules that are
    loaded now, and has no files from which it could load others."""
    complete()
    if "logging" in sys.modules:
        from ._log import add_handler

        add_handler()
    if "sqlalchemy.orm" in sys.modules:
        from sqlalchemy.orm import configure_mappers

        # Otherwise the first request of each instance would do it.
        configure_mappers()
    sys.meta_path.append(_Absent())


class _Absent:
    """Finder that explains why a module cannot be imported. It is the last one, so no other finder has the module."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        raise ModuleNotFoundError(
            f"the module `{name}` is not in the component, which has no files at run time: "
            "move the import to the top of the file",
            name=name,
        )


def describe_failure(error: BaseException) -> str:
    """Returns the text for the log of the host: the message, and the functions of the guest that led to it."""
    lines: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        lines.append(("caused by " if lines else "") + _message(cause))
        lines += _frames(cause)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\n".join(lines)


def _message(error: BaseException) -> str:
    if isinstance(error, Err):
        value = error.value
        return value.message if isinstance(value, raw.database.DbError) else str(value)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _frames(error: BaseException) -> list[str]:
    found = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not code.co_filename.startswith(_PACKAGE):
            # In a component, each folder of modules has a number in place of its path.
            file = re.sub(r"^/\d+/", "", code.co_filename)
            found.append(f"  at {file}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    # The place of the error is of more interest than the place of its callers.
    return found[::-1]


def _guarded(call: Callable[[], T], handle: AbstractContextManager[Any] | None = None) -> T:
    """Calls a function, and drops the handle that it received. Objects that refer to each other, such as those of
    SQLAlchemy, would keep it until the garbage collector runs, and a component with a handle can have no warm image."""
    with handle or nullcontext():
        try:
            return call()
        except Exception as error:
            raise Err(describe_failure(error)) from None


def _resource(db: raw.database.Handle) -> Any:
    """Returns the resource of a hook's handle."""
    return getattr(db, "value", None)


def _serve(
    access: Access, db: Reader | Writer | None, handle: AbstractContextManager[Any] | None = None
) -> types.Response:
    def serve() -> types.Response:
        pattern, method = host.route() or "", host.method()
        route = registry.routes.get((pattern, method))
        if route is None and method == "HEAD":
            route = registry.routes.get((pattern, "GET"))
        if route is None or route.access != access:
            # The host compares the routes of the configuration with those of the component when it loads the
            # component, so an `on-route` hook has chosen another access mode.
            raise RuntimeError("no function of this component serves this route with this method and access mode")
        try:
            content = route.call(db)
        except Problem as problem:
            content = problem
        try:
            return respond(content)
        except (TypeError, ValueError) as error:
            raise TypeError(f"the result of `{route.function.__name__}`: {error}") from error

    return _guarded(serve, handle)


class ReadController:
    def read(self, db: raw.database.Reader) -> types.Response:
        return _serve("read-only", Reader(db), db)


class WriteController:
    def write(self, db: raw.database.Writer) -> types.Response:
        return _serve("read-write", Writer(db), db)


class PlainController:
    def plain(self) -> types.Response:
        return _serve("none", None)


def _answer(phase: Phase, db: Any, **values: Any) -> Any:
    """Returns the result of a hook, or the problem that it raised."""
    try:
        return registry.hooks[phase].call(db, **values)
    except Problem as problem:
        return problem


class OnRoute:
    def on_route(self) -> raw.on_route.Decision:
        def decide() -> raw.on_route.Decision:
            result = _answer("on-route", None)
            if result is None:
                return raw.on_route.Decision_Proceed()
            if isinstance(result, types.AccessMode):
                return raw.on_route.Decision_Access(result)
            return raw.on_route.Decision_Answer(respond(result))

        return _guarded(decide)


class Before:
    def before(self, db: raw.database.Handle) -> types.Response | None:
        def check() -> types.Response | None:
            result = _answer("before", wrap(db))
            return None if result is None else respond(result)

        return _guarded(check, _resource(db))


class OnError:
    def on_error(self, db: raw.database.Handle, failure: types.Failure) -> types.Response | None:
        def handle() -> types.Response | None:
            result = _answer("on-error", wrap(db), failure=failure)
            return None if result is None else respond(result)

        return _guarded(handle, _resource(db))


class After:
    def after(self, db: raw.database.Handle) -> None:
        _guarded(lambda: registry.hooks["after"].call(wrap(db)), _resource(db))


class Model:
    def init(self, db: raw.database.Writer) -> None:
        _guarded(lambda: registry.hooks["init"].call(Writer(db)), db)


class Reseed:
    def reseed(self, a: int, b: int, c: int, d: int) -> None:
        random.seed(a | b << 64 | c << 128 | d << 192)


class Actions:
    def run(self, action: raw.actions.Action, db: raw.database.Writer) -> None:
        def run() -> None:
            declared = registry.actions.get(action.name)
            if declared is None:
                raise RuntimeError(f"this component has no action `{action.name}`")
            is_committed = action.outcome == raw.actions.Outcome.COMMIT
            attempt = Attempt(action.id, action.attempt, is_committed, action.request_id)
            try:
                job = converter(declared.payload, "json")(_json.loads(action.payload))
            except (ValueError, Mismatch) as error:
                name = describe(declared.payload)
                raise ValueError(f"the payload of the action `{action.name}` is no {name}: {error}") from None
            declared.call(Writer(db), job=job, attempt=attempt)

        _guarded(run, db)
