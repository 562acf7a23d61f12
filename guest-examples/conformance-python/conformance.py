"""Controller that uses each part of the library once, for the tests that compare the languages.

Returns the same responses as `conformance` (Rust), byte for byte: change them together. Statements, parameters and faults
come from the request, so `tests/languages/` has the cases.
"""

import struct
from dataclasses import dataclass
from typing import Any

from carya_guest import (
    Attempt,
    Body,
    Checks,
    Cookies,
    Db,
    DbError,
    Delivery,
    ETag,
    Flash,
    IfMatch,
    Json,
    Multipart,
    NoContent,
    OtherValue,
    Problem,
    Reader,
    Redirect,
    Request,
    Response,
    Rows,
    SetCookie,
    StatementResult,
    Writer,
    action,
    get,
    post,
    put,
)


@get("/query/{how}")
def read(db: Reader, how: str, request: Request) -> Any:
    try:
        return query(db, how, request)
    except DbError as error:
        return Response(describe(error), status=409)


@post("/query/{how}")
def write(db: Writer, how: str, request: Request) -> Any:
    try:
        if how == "execute":
            return {"affected": db.execute(sql(request), params(request)).rows_affected}
        return query(db, how, request)
    except DbError as error:
        return Response(describe(error), status=409)


@post("/savepoint")
def savepoint(db: Writer, request: Request) -> dict[str, Any]:
    """Runs a statement inside a savepoint, and reports its error as a success."""
    try:
        with db.savepoint():
            db.execute("INSERT INTO notes (name) VALUES ('inside')")
            result = shown(db.run(sql(request), params(request)))
    except DbError as error:
        result = describe(error)
    db.execute("INSERT INTO notes (name) VALUES ('outside')")
    return result


@get("/path/{name}/{*rest}")
def path(name: str, rest: str, request: Request) -> dict[str, Any]:
    return {
        "all": request.query_all("x"),
        "first": request.query("x"),
        "header": request.header("x-name"),
        "method": request.method,
        "name": name,
        "path": request.path,
        "rest": rest,
    }


@get("/number/{number}")
def number(number: int) -> list[str]:
    return [str(number)]


@get("/search")
def search(word: str | None) -> list[str | None]:
    return [word]


@get("/problem/{kind}")
def problem(kind: str) -> NoContent:
    if kind == "login":
        raise Problem(401, "log in", headers={"www-authenticate": "Basic"})
    if kind != "fields":
        raise Problem(int(kind), "a detail")
    checks = Checks()
    checks.check("name", False, 'must be "short"\n')
    checks.check("größe", False, "must be \x01, \x7f or \u2028 🌰")
    checks.check("name", False, "must be a name")
    checks.check("sound", True, "must be sound")
    checks.finish()
    return NoContent()


@post("/flash")
def leave(message: Body[str]) -> Redirect:
    return Redirect("/flash", flash=message)


@get("/flash")
def flash(flash: Flash) -> Response:
    return flash.forget("no message" if flash.message is None else flash.message)


@get("/cookie")
def cookie(cookies: Cookies) -> Response:
    theme = cookies.get("theme")
    value = "dark" if theme is None else theme
    changed = SetCookie(name="theme", value=value, max_age=60, path="/cookie", secure=True)
    return Response([theme], headers={"set-cookie": str(changed)})


@get("/tagged/{version}")
def tagged(version: str) -> Any:
    return ETag(version).tag([version])


@put("/tagged/{version}")
def change(version: str, held: IfMatch) -> NoContent:
    held.require(ETag(version))
    return NoContent()


@post("/json")
def parse(body: Json[object]) -> list[str | None]:
    found = body.get("text") if isinstance(body, dict) else None
    return [found if isinstance(found, str) else None]


@post("/form")
def form(form: Multipart) -> dict[str, Any]:
    files = [[file.name, file.content_type, file.content.hex()] for file in form.files("file")]
    return {"files": files, "text": form.text("text")}


@post("/text")
def text(db: Writer, text: Body[str]) -> str:
    db.execute("INSERT INTO texts (text) VALUES (?)", (text,))
    return db.fetch_one(str, "SELECT text FROM texts")


@post("/bytes")
def echo(body: Body[bytes]) -> bytes:
    return body


@post("/fail/{how}")
def fail(db: Writer, how: str) -> Any:
    """Adds a note and fails, so that the note must not remain."""
    db.execute("INSERT INTO notes (name) VALUES ('lost')")
    match how:
        case "error":
            raise RuntimeError("a failure of the guest")
        case "trap":
            raise AssertionError("a trap of the guest")
        case "recursion":
            return Response(status=depth(1))
        case "statement":
            db.execute("UPDATE nowhere SET name = 'x'")
        case "problem":
            raise Problem(409, "a problem of the client")
        case "marked":
            db.mark_rollback()
        case "status":
            return Response(status=99)
        case "line-break":
            return Response(NoContent(), headers={"x-name": "a\nb"})
        case _:
            return Response(NoContent(), headers={"content-length": "7"})
    return NoContent()


@dataclass
class Note:
    text: str


@dataclass
class Broken:
    text: str


@post("/action/{how}")
def act(db: Writer, how: str, text: Body[str]) -> NoContent:
    match how:
        case "commit":
            db.after_commit(Note(text), Delivery.AT_LEAST_ONCE)
        case "broken":
            db.after_commit(Broken(text), Delivery.AT_MOST_ONCE)
        case _:
            db.after_rollback(Note(text))
            raise Problem(409, "a problem of the client")
    return NoContent()


@action
def note(db: Writer, job: Note, attempt: Attempt) -> None:
    is_committed = "true" if attempt.is_committed else "false"
    db.execute("INSERT INTO notes (name) VALUES (?)", (f"{job.text} {attempt.number} {is_committed}",))


@action
def broken(db: Writer, job: Broken) -> None:
    db.execute("INSERT INTO notes (name) VALUES (?)", (job.text,))
    raise RuntimeError(f"a failure of the action: {job.text}")


@dataclass
class Row:
    id: int
    name: str
    weight: int | None


def query(db: Db, how: str, request: Request) -> Any:
    """Runs the statement of the request with one function of the library."""
    statement, values = sql(request), params(request)
    match how:
        case "json":
            return db.fetch_json(statement, values)
        case "first":
            row = db.fetch_optional_json(statement, values)
            return NoContent() if row is None else row
        case "typed":
            rows = db.fetch(Row, statement, values)
            return [[str(row.id), row.name, None if row.weight is None else str(row.weight)] for row in rows]
        case "rows":
            return Rows.json(statement, values)
        case "csv":
            return Rows.csv(statement, values)
    return shown(db.run(statement, values))


def sql(request: Request) -> str:
    return request.query("sql") or ""


def params(request: Request) -> list[Any]:
    """Returns the parameters of the statement. They have the form in which `show` returns the values of a result."""
    return [parameter(text) for text in request.query_all("p")]


def parameter(text: str) -> Any:
    kind, _, value = text.partition(" ")
    match kind:
        case "int":
            return int(value)
        case "float":
            return struct.unpack(">d", bytes.fromhex(value))[0]
        case "text":
            return value
        case "bytes":
            return bytes.fromhex(value)
        case "true" | "false":
            return kind == "true"
    return None


def shown(result: StatementResult) -> dict[str, Any]:
    """Returns a result. Numbers are texts, because JSON has no 64-bit integers in JavaScript."""
    rows = [[show(getattr(value, "value", None)) for value in row] for row in result.rows]
    columns = [column.name for column in result.columns]
    return {"affected": result.rows_affected, "columns": columns, "rows": rows}


def show(value: object) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return f"int {value}"
        case float():
            return f"float {struct.pack('>d', value).hex()}"
        case str():
            return f"text {value}"
        case bytes():
            return f"bytes {value.hex()}"
        case OtherValue():
            return f"text {value.text}"
    return None


def describe(error: DbError) -> dict[str, Any]:
    """Returns all fields of an error."""
    violation = error.constraint
    constraint = violation and {
        "columns": violation.columns,
        "kind": kebab(violation.kind.name),
        "name": violation.name,
        "table": violation.table,
    }
    return {
        "code": error.code,
        "constraint": constraint,
        "detail": error.detail,
        "hint": error.hint,
        "kind": kebab(error.kind.name),
        "message": error.message,
        "retryable": error.retryable,
    }


def kebab(name: str) -> str:
    """Returns the name of an enum's member as in the contract: `read-only` for `READ_ONLY`."""
    return name.lower().replace("_", "-")


def depth(level: int) -> int:
    """Calls itself until the stack is exhausted."""
    return depth(level + 1) + 1
