"""The database: handles of requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import UnionType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from . import _actions, _values, raw
from ._errors import data_error, reraise
from ._responses import JsonText
from ._values import Parameters
from .raw import Err, database

T = TypeVar("T")


class Db:
    """Reading from the database: the functions that `Reader` and `Writer` share. Write a function that only reads for
    `db: Db`, and call it with either handle.

    On every engine, `?` is the placeholder of the next parameter and `?1` that of the first one. The parameters are a
    tuple: `(id,)`, `(id, name)`.

    The first argument of `fetch` and its relatives is the type of a row:

    - a dataclass, `NamedTuple` or `TypedDict` takes the columns by name,
    - `tuple[int, str]` takes them by position, and `dict[str, object]` by name,
    - `int`, `float`, `str`, `bool`, `bytes`, `Decimal`, `date`, `datetime`, `time`, `UUID` or an enum takes the only column.

    NULL needs a type with `| None`. A column with JSON becomes a list, a dictionary or a dataclass. All errors are a
    `DbError`.
    """

    def __init__(self, handle: raw.database.Reader | raw.database.Writer) -> None:
        self._handle = handle

    @property
    def raw(self) -> raw.database.Reader | raw.database.Writer:
        """The generated handle."""
        return self._handle

    @overload
    def fetch(self, row: type[T], sql: str, params: Parameters = ()) -> list[T]: ...
    @overload
    def fetch(self, row: UnionType, sql: str, params: Parameters = ()) -> list[Any]: ...
    def fetch(self, row: Any, sql: str, params: Parameters = ()) -> list[Any]:
        """Runs a query and returns all rows.

        ```python
        @dataclass
        class Ticket:
            id: int
            title: str
            closed_at: datetime | None

        tickets = db.fetch(Ticket, "SELECT id, title, closed_at FROM tickets WHERE title LIKE ?", (f"%{words}%",))
        ```
        """
        result = _call(self._handle.query, sql, params)
        read = _values.reader(row, result.columns)
        return [read(values) for values in result.rows]

    @overload
    def fetch_optional(self, row: type[T], sql: str, params: Parameters = ()) -> T | None: ...
    @overload
    def fetch_optional(self, row: UnionType, sql: str, params: Parameters = ()) -> Any: ...
    def fetch_optional(self, row: Any, sql: str, params: Parameters = ()) -> Any:
        """Runs a query and returns the first row, or `None` if there is no row."""
        # Not `query_one`, which returns no names of columns.
        result = _call(self._handle.query, sql, params)
        return _values.reader(row, result.columns)(result.rows[0]) if result.rows else None

    @overload
    def fetch_one(self, row: type[T], sql: str, params: Parameters = ()) -> T: ...
    @overload
    def fetch_one(self, row: UnionType, sql: str, params: Parameters = ()) -> Any: ...
    def fetch_one(self, row: Any, sql: str, params: Parameters = ()) -> Any:
        """Runs a query and returns the first row. Use it where a row always exists, as for an aggregate or RETURNING."""
        result = _call(self._handle.query, sql, params)
        if not result.rows:
            raise data_error(f"the query returned no row: {sql:.200}")
        return _values.reader(row, result.columns)(result.rows[0])

    def fetch_json(self, sql: str, params: Parameters = ()) -> JsonText:
        """Runs a query and returns all rows as JSON text: an array with one object for each row. The host writes the
        JSON, so the guest neither parses nor serializes the rows."""
        return JsonText(_call(self._handle.query_json, sql, params))

    def fetch_optional_json(self, sql: str, params: Parameters = ()) -> JsonText | None:
        """Runs a query and returns the first row as a JSON object, or `None` if there is no row."""
        text = _call(self._handle.query_one_json, sql, params)
        return None if text is None else JsonText(text)

    def fetch_one_json(self, sql: str, params: Parameters = ()) -> JsonText:
        """Runs a query and returns the first row as a JSON object. Use it where a row always exists."""
        text = self.fetch_optional_json(sql, params)
        if text is None:
            raise data_error(f"the query returned no row: {sql:.200}")
        return text

    def run(self, sql: str, params: Parameters = ()) -> database.StatementResult:
        """Runs a statement of any kind and returns its complete result, for object-relational mappers."""
        return _call(self._handle.run, sql, params)

    def dialect(self) -> database.Dialect:
        """Returns the dialect of the database."""
        return self._handle.dialect()


class Reader(Db):
    """Handle of a request that only reads. The host rejects statements that write."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if hasattr(Writer, name):
                raise AttributeError(
                    f"a Reader has no `{name}`, because it cannot write to the database: GET and HEAD receive a Reader; "
                    "a handler that writes must serve POST, PUT, PATCH or DELETE and take `db: Writer`"
                )
            raise AttributeError(f"a Reader has no attribute `{name}`")


class Writer(Db):
    """Handle of a request that reads and writes.

    The host owns the transaction. It commits after a response with a status from 200 to 399, and rolls back otherwise.
    A failed statement dooms the transaction, unless it is inside a `savepoint`.
    """

    _handle: database.Writer

    @property
    def raw(self) -> database.Writer:
        """The generated handle."""
        return self._handle

    def execute(self, sql: str, params: Parameters = ()) -> database.Execution:
        """Runs a statement. The result has `rows_affected` and, on SQLite and MySQL, `last_insert_id`."""
        return _call(self._handle.execute, sql, params)

    def execute_batch(self, sql: str, rows: Iterable[Parameters]) -> int:
        """Runs a statement once for each tuple of parameters, and returns the total number of affected rows."""
        values = [_values.parameters(row) for row in rows]
        try:
            return self._handle.execute_batch(sql, values)
        except Err as error:
            reraise(error)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Runs the block inside a savepoint. After an exception the changes of the block are undone, and a statement that
        failed in it does not doom the transaction. The exception continues.

        ```python
        try:
            with db.savepoint():
                db.execute("INSERT INTO tags (ticket, name) VALUES (?, ?)", (id, name))
        except DbError as error:
            if not error.violates(ViolationKind.UNIQUE):
                raise
        ```
        """
        try:
            savepoint = self._handle.savepoint()
        except Err as error:
            reraise(error)
        with savepoint:
            try:
                yield
            except BaseException:
                # If this fails, the changes of the block remain. The new error reports that.
                _finish(savepoint.rollback)
                raise
            _finish(savepoint.release)

    def mark_rollback(self) -> None:
        """Marks the transaction for a rollback. The client still receives the response of the handler."""
        self._handle.mark_rollback()

    def after_commit(self, job: object, delivery: database.Delivery) -> None:
        """Registers an action that runs after the commit. The type of `job` selects the function with `@action`."""
        name, payload = _actions.pack(job)
        try:
            self._handle.after_commit(name, payload, delivery)
        except Err as error:
            reraise(error)

    def after_rollback(self, job: object) -> None:
        """Registers an action that runs after a rollback, at most once."""
        name, payload = _actions.pack(job)
        try:
            self._handle.after_rollback(name, payload)
        except Err as error:
            reraise(error)


Handle = Reader | Writer | None
"""Handle of a hook. It is `None` if the request has no transaction, or if the hook runs outside of it."""


HANDLES_OF_HOOKS = (Handle, Db | None)
"""Types that the handle of a hook may have in its signature."""


def wrap(handle: raw.database.Handle) -> Handle:
    """Returns the handle that a hook receives."""
    match handle:
        case raw.database.Handle_Reader():
            return Reader(handle.value)
        case raw.database.Handle_Writer():
            return Writer(handle.value)
        case _:
            return None


def _call(function: Callable[[str, list[raw.database.Value]], T], sql: str, params: Parameters) -> T:
    values = _values.parameters(params)
    try:
        return function(sql, values)
    except Err as error:
        reraise(error)


def _finish(end: Callable[[], None]) -> None:
    try:
        end()
    except Err as error:
        reraise(error)
