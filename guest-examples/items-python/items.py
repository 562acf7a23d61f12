"""Controller for the shop's items in Python: lists a page of items, reads one, and creates, updates or deletes one.

Returns the same responses as `items` (Rust) and `items-js`, byte for byte: change all three together.
"""

import json
import re
import traceback
from functools import wraps

from componentize_py_types import Err
from wit_world.imports import database, request
from wit_world.imports.database import Value_Int64, Value_Null, Value_Text, ViolationKind
from wit_world.imports.types import Body_Bytes, Body_Json, Response


class Problem(Exception):
    """Raised if a request cannot be served: a response with problem details (RFC 9457)."""

    def __init__(self, status, title, detail, **more):
        body = to_json({"detail": detail, **more, "status": status, "title": title})
        self.response = json_response(status, body, ("content-type", "application/problem+json"))


def answered(serve):
    """Returns a `Problem` as its response. Raises every other exception as an `Err` with a text, which the host logs:
    the contract's errors are strings, so an `Err` with a `DbError` would trap and its message would be lost."""

    @wraps(serve)
    def method(self, db):
        try:
            return serve(self, db)
        except Problem as problem:
            return problem.response
        except Err as error:
            raise Err(error.value.message if isinstance(error.value, database.DbError) else error.value)
        except Exception as error:
            raise Err("".join([f"{error!r}\n", *traceback.format_tb(error.__traceback__)]))

    return method


# The classes that the host calls; the world `controller` in wit/world.wit requires both.


class ReadController:
    @answered
    def read(self, db):
        return page(db) if request.param("id") is None else one(db)


class WriteController:
    @answered
    def write(self, db):
        match request.method():
            case "POST":
                return create(db)
            case "PUT":
                return update(db)
            case "DELETE":
                return delete(db)
            case method:
                raise ValueError(f"{method} is not routed here")


def page(db):
    page, per_page = number("page", 1, 1_000_000), number("per_page", 20, 100)
    validate(
        ("page", page is not None, "must be a whole number from 1 to 1000000"),
        ("per_page", per_page is not None, "must be a whole number from 1 to 100"),
    )
    # The rows stay the JSON text that the host wrote, so the guest neither parses nor serializes them.
    items = db.query_json(
        "SELECT id, name, price_cents, stock FROM items ORDER BY id LIMIT ? OFFSET ?",
        [Value_Int64(per_page), Value_Int64((page - 1) * per_page)],
    )
    [total] = db.query_one("SELECT count(*) FROM items", [])
    return json_response(200, f'{{"items":{items},"page":{page},"total":{total.value}}}')


def one(db):
    item = db.query_one_json("SELECT id, name, price_cents, stock FROM items WHERE id = ?", [item_id()])
    if item is None:
        raise missing()
    return json_response(200, item)


def create(db):
    draft = draft_from_body()
    sql = "INSERT INTO items (name, price_cents, stock) VALUES (?, ?, ?) RETURNING id"
    try:
        [key] = db.query_one(sql, values(draft))
    except Err as error:
        raise name_taken() if is_name_taken(error) else error
    return json_response(201, to_json({"id": key.value, **draft}), ("location", f"/items/{key.value}"))


def update(db):
    draft = draft_from_body()
    key = item_id()
    sql = "UPDATE items SET name = ?, price_cents = ?, stock = ? WHERE id = ?"
    try:
        done = db.execute(sql, [*values(draft), key])
    except Err as error:
        raise name_taken() if is_name_taken(error) else error
    if done.rows_affected == 0:
        raise missing()
    return json_response(200, to_json({"id": key.value, **draft}))


def delete(db):
    try:
        done = db.execute("DELETE FROM items WHERE id = ?", [item_id()])
    except Err as error:
        raise Problem(409, "Conflict", "there are orders of this item") if is_referenced(error) else error
    if done.rows_affected == 0:
        raise missing()
    return Response(204, [], Body_Bytes(b""))


def draft_from_body():
    """Returns the item that the client sent, with its members in the order of the response."""
    try:
        body = json.loads(request.body_text(), parse_int=float)
        # json.loads accepts NaN, 1e400 and half a surrogate pair ("\ud800"), none of which can be serialized again.
        json.dumps(body, allow_nan=False, ensure_ascii=False).encode()
    except (Err, ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Problem(400, "Bad Request", "the body is not a JSON object")
    name, price_cents, stock = (body.get(field) for field in ("name", "price_cents", "stock"))
    validate(
        ("name", isinstance(name, str) and 1 <= len(name) <= 100, "must be a text of 1 to 100 characters"),
        ("price_cents", is_amount(price_cents), "must be a whole number from 0 to 1000000000"),
        ("stock", is_amount(stock), "must be a whole number from 0 to 1000000000"),
    )
    return {"name": name, "price_cents": int(price_cents), "stock": int(stock)}


def is_amount(value):
    # Accept 5.0 as a whole number: JavaScript cannot distinguish it from 5. So json.loads reads all numbers as floats.
    return isinstance(value, float) and value.is_integer() and 0 <= value <= 1_000_000_000


def values(draft):
    return [Value_Text(draft["name"]), Value_Int64(draft["price_cents"]), Value_Int64(draft["stock"])]


def item_id():
    """Returns the item's id from the path. A text that cannot be an id becomes NULL, which equals no id."""
    key = whole(request.param("id") or "")
    return Value_Null() if key is None else Value_Int64(key)


def number(name, default, most):
    """Returns a query parameter from 1 to `most`, or None if it is not valid."""
    text = request.query(name)
    if text is None:
        return default
    n = whole(text)
    return n if n is not None and 1 <= n <= most else None


def whole(text):
    """Parses decimal digits, at most as many as a JavaScript number represents exactly."""
    return int(text) if re.fullmatch("[0-9]{1,15}", text) else None


def to_json(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def json_response(status, text, *headers):
    return Response(status, list(headers), Body_Json(text))


def missing():
    return Problem(404, "Not Found", "there is no such item")


def name_taken():
    return Problem(409, "Conflict", "another item has this name")


def validate(*fields):
    """Raises a `Problem` that lists the invalid fields. Each comes with its validity and the rule to follow."""
    errors = {field: rule for field, valid, rule in fields if not valid}
    if errors:
        raise Problem(422, "Unprocessable Content", "some fields are not valid", errors=errors)


def is_name_taken(error):
    """Returns whether a statement failed because another item has the same name."""
    violated = error.value.constraint
    return violated is not None and violated.kind == ViolationKind.UNIQUE and violated.columns == ["name"]


def is_referenced(error):
    """Returns whether a statement failed because other rows refer to the item."""
    violated = error.value.constraint
    return violated is not None and violated.kind == ViolationKind.FOREIGN_KEY
