"""Controller for the shop's items in Python: lists a page of items, reads one, and creates, updates or deletes one.

Returns the same responses as `items` (Rust) and `items-js`, byte for byte: change all three together.
"""

import re
from dataclasses import dataclass
from typing import Any, Self

from carya_guest import (
    Body,
    Checks,
    Created,
    JsonText,
    NoContent,
    Problem,
    Reader,
    Request,
    ViolationKind,
    Writer,
    delete,
    get,
    on_violation,
    parse_json,
    post,
    put,
)


@dataclass
class Item:
    id: int
    name: str
    price_cents: int
    stock: int


@dataclass
class Draft:
    """An item as the client sends it."""

    name: str
    price_cents: int
    stock: int

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Parses a body of any media type."""
        try:
            item = parse_json(body)
        except ValueError:
            item = None
        if not isinstance(item, dict):
            raise Problem(400, "the body is not a JSON object")
        name: Any = item.get("name")
        price_cents: Any = item.get("price_cents")
        stock: Any = item.get("stock")
        checks = Checks()
        is_name = isinstance(name, str) and 1 <= len(name) <= 100
        checks.check("name", is_name, "must be a text of 1 to 100 characters")
        checks.check("price_cents", is_amount(price_cents), "must be a whole number from 0 to 1000000000")
        checks.check("stock", is_amount(stock), "must be a whole number from 0 to 1000000000")
        checks.finish()
        return cls(name, int(price_cents), int(stock))


# The rows stay the JSON text that the host wrote, so the guest neither parses nor serializes them.
@get("/items")
def page(db: Reader, request: Request) -> JsonText:
    page, per_page = number(request, "page", 1, 1_000_000), number(request, "per_page", 20, 100)
    checks = Checks()
    checks.check("page", page > 0, "must be a whole number from 1 to 1000000")
    checks.check("per_page", per_page > 0, "must be a whole number from 1 to 100")
    checks.finish()
    items = db.fetch_json(
        "SELECT id, name, price_cents, stock FROM items ORDER BY id LIMIT ? OFFSET ?",
        (per_page, (page - 1) * per_page),
    )
    total = db.fetch_one(int, "SELECT count(*) FROM items")
    return JsonText(f'{{"items":{items},"page":{page},"total":{total}}}')


@get("/items/{id}")
def one(db: Reader, id: str) -> JsonText:
    item = db.fetch_optional_json("SELECT id, name, price_cents, stock FROM items WHERE id = ?", (whole(id),))
    if item is None:
        raise missing()
    return item


@post("/items")
def create(db: Writer, body: Body[bytes]) -> Created:
    draft = Draft.parse(body)
    sql = "INSERT INTO items (name, price_cents, stock) VALUES (?, ?, ?) RETURNING id"
    with on_violation(ViolationKind.UNIQUE, name_taken()):
        id = db.fetch_one(int, sql, (draft.name, draft.price_cents, draft.stock))
    return Created(f"/items/{id}", Item(id, draft.name, draft.price_cents, draft.stock))


@put("/items/{id}")
def update(db: Writer, id: str, body: Body[bytes]) -> Item:
    draft = Draft.parse(body)
    key = whole(id)
    if key is None:
        raise missing()
    sql = "UPDATE items SET name = ?, price_cents = ?, stock = ? WHERE id = ?"
    with on_violation(ViolationKind.UNIQUE, name_taken()):
        done = db.execute(sql, (draft.name, draft.price_cents, draft.stock, key))
    if done.rows_affected == 0:
        raise missing()
    return Item(key, draft.name, draft.price_cents, draft.stock)


@delete("/items/{id}")
def remove(db: Writer, id: str) -> NoContent:
    with on_violation(ViolationKind.FOREIGN_KEY, Problem(409, "there are orders of this item")):
        done = db.execute("DELETE FROM items WHERE id = ?", (whole(id),))
    if done.rows_affected == 0:
        raise missing()
    return NoContent()


def is_amount(value: Any) -> bool:
    # Accept 5.0 as a whole number: JavaScript cannot distinguish it from 5.
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 <= value <= 1_000_000_000 and value == int(value)


def number(request: Request, name: str, default: int, most: int) -> int:
    """Returns a query parameter from 1 to `most`, or 0 if it is not valid."""
    text = request.query(name)
    value = default if text is None else whole(text) or 0
    return value if value <= most else 0


def whole(text: str) -> int | None:
    """Parses decimal digits, at most as many as a JavaScript number represents exactly. As a parameter, `None` is NULL,
    which equals no id."""
    return int(text) if re.fullmatch("[0-9]{1,15}", text) else None


def missing() -> Problem:
    return Problem(404, "there is no such item")


def name_taken() -> Problem:
    return Problem(409, "another item has this name")
