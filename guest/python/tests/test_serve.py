"""Requests, from the parameters of functions to responses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from conftest import Host, text

from carya_guest import (
    AccessMode,
    Attempt,
    Body,
    Checks,
    Cookies,
    Created,
    DbError,
    ETag,
    Failure,
    Flash,
    Form,
    HostError,
    Identity,
    IfMatch,
    Json,
    JsonText,
    Multipart,
    NoContent,
    Problem,
    Query,
    Reader,
    Redirect,
    Request,
    Response,
    Rows,
    SetCookie,
    Template,
    Writer,
    _exports,
    action,
    after,
    before,
    delete,
    get,
    init,
    on_error,
    on_route,
    options,
    parse_json,
    post,
    put,
    raw,
    setting,
    setting_text,
)
from carya_guest._registry import registry
from carya_guest.raw import Err, types


class State(Enum):
    OPEN = "open"


@dataclass
class Search:
    words: str | None
    page: int = 1


@dataclass
class Note:
    id: int
    text: str


def problem(response: types.Response) -> tuple[int, Any]:
    assert ("content-type", "application/problem+json") in response.headers
    return response.status, json.loads(text(response))


def test_path_and_query_become_arguments(host: Host) -> None:
    @get("/projects/{project}/notes/{id}")
    def show(id: int, project: str, page: int = 1, state: State | None = None, tag: list[str] = ()) -> str:  # type: ignore[assignment]
        return f"{project} {id} {page} {state} {list(tag)}"

    route = "/projects/{project}/notes/{id}"
    found = host.serve("GET", route, params={"project": "a/b", "id": "7"}, query_string="tag=x&tag=y&state=open")
    assert text(found) == "a/b 7 1 State.OPEN ['x', 'y']"
    assert problem(host.serve("GET", route, params={"project": "a", "id": "x"}))[0] == 404
    wrong = host.serve("GET", route, params={"project": "a", "id": "1"}, query_string="page=x&state=new")
    assert problem(wrong) == (
        422,
        {
            "detail": "some fields are not valid",
            "errors": {"page": "must be a whole number", "state": "must be one of open"},
            "status": 422,
            "title": "Unprocessable Content",
        },
    )


def test_a_required_query_parameter_must_be_sent(host: Host) -> None:
    @get("/a")
    def a(page: int, tag: list[str], words: str | None) -> list[Any]:
        return [page, tag, words]

    assert text(host.serve("GET", "/a", query_string="page=2")) == "[2,[],null]"
    assert problem(host.serve("GET", "/a", query_string=""))[1]["errors"] == {"page": "is missing"}


def test_bodies_become_dataclasses(host: Host) -> None:
    @post("/json")
    def add(note: Json[Note]) -> Note:
        return note

    @post("/form")
    def form(search: Form[Search]) -> Search:
        return search

    @get("/query")
    def query(search: Query[Search]) -> Search:
        return search

    @post("/bytes")
    def content(body: Body[bytes]) -> bytes:
        return body

    @post("/text")
    def words(body: Body[str]) -> str:
        return body

    media_type = {"content-type": "application/json; charset=utf-8"}
    body = '{"id":1,"text":"Größe"}'
    assert text(host.serve("POST", "/json", headers=media_type, body=body.encode())) == body
    merge = {"content-type": "application/merge-patch+json"}
    assert host.serve("POST", "/json", headers=merge, body=body.encode()).status == 200
    for headers, sent, status in [
        ({}, body.encode(), 415),
        ({"content-type": "text/plain"}, body.encode(), 415),
        (media_type, b"{", 400),
        (media_type, b'{"id":NaN}', 400),
        (media_type, b'{"id":1e999}', 400),
        (media_type, b'{"text":"\\ud800"}', 400),
        (media_type, b"\xff", 400),
        (media_type, b"[" * 100_000, 400),
        (media_type, b"[]", 422),
        (media_type, b'{"id":1}', 422),
    ]:
        assert problem(host.serve("POST", "/json", headers=headers, body=sent))[0] == status, sent[:40]
    field = raw.request.FormField("page", b"2", None, None)
    assert text(host.serve("POST", "/form", form=[field])) == '{"words":null,"page":2}'
    assert problem(host.serve("POST", "/form", form=raw.request.FormError_NotAForm()))[0] == 415
    assert problem(host.serve("POST", "/form", form=raw.request.FormError_Limit("1000 fields")))[0] == 413
    malformed = problem(host.serve("POST", "/form", form=raw.request.FormError_Malformed("byte 7")))
    assert malformed[1]["detail"] == "the form is malformed: byte 7"
    broken = raw.request.FormField("words", b"\xff", None, None)
    assert problem(host.serve("POST", "/form", form=[broken]))[0] == 400
    assert text(host.serve("GET", "/query", query_string="words=a+b&page=")) != ""
    assert problem(host.serve("GET", "/query", query_string="page="))[0] == 422
    assert host.serve("POST", "/bytes", body=b"\xff").body == types.Body_Bytes(b"\xff")
    assert problem(host.serve("POST", "/text", body=b"\xff"))[0] == 400


def test_files_of_a_form(host: Host) -> None:
    @post("/photo")
    def attach(form: Multipart) -> str:
        photo = form.file("photo")
        assert photo is not None
        return f"{form.text('photo')} {photo.name} {photo.content!r} {len(form.files('photo'))} {form.file('other')}"

    fields = [("not a file", None), ("one", "1.png"), ("two", "2.png")]
    form = [raw.request.FormField("photo", value.encode(), name, None) for value, name in fields]
    assert text(host.serve("POST", "/photo", form=form)) == "not a file 1.png b'one' 2 None"
    # The handler does not read this field.
    broken = raw.request.FormField("text", b"\xff", None, None)
    refused = problem(host.serve("POST", "/photo", form=[*form, broken]))
    assert (refused[0], refused[1]["detail"]) == (400, "the field `text` is not UTF-8")


def test_identity_cookies_and_request(host: Host) -> None:
    @get("/me")
    def me(client: Identity, cookies: Cookies) -> str:
        return f"{client.subject} {cookies.get('theme')}"

    @get("/maybe")
    def maybe(client: Identity | None, request: Request) -> str:
        return f"{client} {request.header('x-a')} {request.route}"

    assert problem(host.serve("GET", "/me"))[0] == 401
    assert text(host.serve("GET", "/me", subject="ann", cookies={"theme": "dark%20blue"})) == "ann dark blue"
    assert text(host.serve("GET", "/me", subject="ann", cookies={"theme": "a%20%ff"})) == "ann a%20%ff"
    assert text(host.serve("GET", "/maybe", subject=None, headers={"x-a": "1"})) == "None 1 /maybe"


@pytest.mark.parametrize(
    ("content", "status", "headers", "body"),
    [
        ("Größe", 200, [], types.Body_Text("Größe")),
        (b"a", 200, [], types.Body_Bytes(b"a")),
        ([None, Decimal("1.50"), date(2026, 1, 2), State.OPEN], 200, [], '[null,"1.50","2026-01-02","open"]'),
        ([Note(1, "é")], 200, [], '[{"id":1,"text":"é"}]'),
        (JsonText("[1]"), 200, [], "[1]"),
        (7, 200, [], "7"),
        (Created("/notes/1", Note(1, "a")), 201, [("location", "/notes/1")], '{"id":1,"text":"a"}'),
        (NoContent(), 204, [], types.Body_Bytes(b"")),
        (Response(Created("/a", 1), headers={"x-a": "1"}), 201, [("location", "/a"), ("x-a", "1")], "1"),
        (Response("a", 202, [("x-a", "1"), ("x-a", "2")]), 202, [("x-a", "1"), ("x-a", "2")], types.Body_Text("a")),
        (
            Redirect("/report", flash="Größe; ok"),
            303,
            [
                ("location", "/report"),
                ("set-cookie", "flash=Gr%C3%B6%C3%9Fe%3B%20ok; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"),
            ],
            types.Body_Bytes(b""),
        ),
        (Template("a.html", {"n": 1}), 200, [], types.Body_Template(types.Template("a.html", '{"n":1}'))),
        (
            Rows.csv("SELECT ?", (1,)),
            200,
            [],
            types.Body_Rows(types.RowsQuery("SELECT ?", [raw.database.Value_Int64(1)], types.RowsFormat.CSV)),
        ),
    ],
)  # fmt: skip
def test_results_become_responses(host: Host, content: Any, status: int, headers: Any, body: Any) -> None:
    @get("/a")
    def a() -> Any:
        return content

    expected = types.Body_Json(body) if isinstance(body, str) else body
    assert host.serve("GET", "/a") == types.Response(status, headers, expected)


def test_problems_have_their_members_in_a_fixed_order(host: Host) -> None:
    @get("/a")
    def a() -> None:
        more = {"type": "https://example.org/taken", "title": "Name taken", "errors": {"name": "is taken"}}
        raise Problem(409, '"ä"\n', headers={"retry-after": "1"}, by=7, **more)  # type: ignore[arg-type]

    found = host.serve("GET", "/a")
    assert found.headers == [("content-type", "application/problem+json"), ("retry-after", "1")]
    assert text(found) == (
        r'{"detail":"\"ä\"\n","errors":{"name":"is taken"},"status":409,"title":"Name taken",'
        '"type":"https://example.org/taken","by":7}'
    )
    with pytest.raises(ValueError, match="from 400 to 599, not 200"):
        Problem(200)
    checks = Checks()
    checks.check("a", False, "is short")
    checks.check("a", False, "is odd")
    with pytest.raises(Problem) as failed:
        checks.finish()
    assert str(failed.value) == '422 Unprocessable Content: some fields are not valid; {"a":"is short"}'


def test_a_client_with_this_version_gets_304(host: Host) -> None:
    @get("/a")
    def a() -> Any:
        return ETag('2026-11-29 07:00"').tag("page")

    tag = '"2026-11-29_07:00_"'
    for held, status in [(None, 200), (tag, 304), (f'"a", W/{tag}', 304), ("*", 304), ('"a"', 200)]:
        found = host.serve("GET", "/a", headers={} if held is None else {"if-none-match": held})
        assert (found.status, found.headers) == (status, [("etag", tag)]), held
        assert found.body == (types.Body_Bytes(b"") if status == 304 else types.Body_Text("page"))


def test_a_change_of_an_old_version_is_refused(host: Host) -> None:
    @put("/a")
    def a(held: IfMatch) -> NoContent:
        held.require(ETag(7))
        return NoContent()

    @delete("/a")
    def b(held: IfMatch) -> NoContent:
        held.check(ETag(7))
        return NoContent()

    for method, held, status in [
        ("PUT", '"7"', 204),
        ("PUT", '"6"', 412),
        ("PUT", 'W/"7"', 412),
        ("PUT", None, 428),
        ("DELETE", None, 204),
        ("DELETE", '"6"', 412),
    ]:
        found = host.serve(method, "/a", headers={} if held is None else {"if-match": held})
        assert found.status == status, (method, held)


def test_a_message_is_forgotten_only_if_there_is_one(host: Host) -> None:
    @get("/a")
    def a(flash: Flash) -> Response:
        return flash.forget(flash.message or "no news")

    assert host.serve("GET", "/a").headers == []
    found = host.serve("GET", "/a", cookies={"flash": "Gr%C3%B6%C3%9Fe"})
    deleted = "flash=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
    assert (text(found), found.headers) == ("Größe", [("set-cookie", deleted)])
    cookie = SetCookie(name="theme", value="dark", max_age=3600, secure=True)
    assert str(cookie) == "theme=dark; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure"


def test_exceptions_keep_message_and_place(host: Host) -> None:
    @get("/value")
    def broken() -> None:
        try:
            raise KeyError("key")
        except KeyError as error:
            raise ValueError("no such key") from error

    @get("/sql")
    def statement(db: Reader) -> list[int]:
        return db.fetch(int, "SELECT n FROM absent")

    @get("/none")
    def nothing() -> None:
        return None

    @get("/complex")
    def number() -> complex:
        return 1j

    for route, first, others in [
        ("/value", "ValueError: no such key", ["test_serve.py:", " in broken", "caused by KeyError: 'key'"]),
        ("/sql", "DbError: no such table: absent in `SELECT n FROM absent`", [" in statement"]),
        ("/none", "TypeError: the result of `nothing`: the function returned None; return NoContent()", []),
        ("/complex", "TypeError: the result of `number`: a complex cannot be written as JSON: 1j", []),
    ]:
        with pytest.raises(Err) as failed:
            host.serve("GET", route)
        message = failed.value.value
        assert message.startswith(first), message
        assert all(part in message for part in others), message
        assert "carya_guest/_" not in message, message


def test_head_uses_the_function_for_get(host: Host) -> None:
    @get("/a")
    def a() -> str:
        return "a"

    @options("/a")
    def allowed() -> NoContent:
        return NoContent()

    @get("/b", transaction="none")
    def b() -> str:
        return "b"

    assert text(host.serve("HEAD", "/a")) == "a"
    assert host.serve("OPTIONS", "/a").status == 204
    assert registry.section() == "GET read-only /a\nOPTIONS none /a\nGET none /b\n"
    assert registry.exports() == ["read-controller", "plain-controller"]
    with pytest.raises(Err, match="no function of this component serves this route"):
        host.serve("GET", "/b")


def test_hooks_answer_or_proceed(host: Host) -> None:
    seen: list[Any] = []

    @on_route
    def route(request: Request) -> Any:
        return {"a": None, "b": AccessMode.READ_ONLY, "c": "answer"}[request.header("x") or ""]

    @before
    def check(request: Request, db: Reader | Writer | None) -> Any:
        seen.append(type(db).__name__)
        if request.header("x") == "b":
            raise Problem(403, "no")
        return "early" if request.header("x") == "c" else None

    @after
    def record(db: Writer | Reader | None) -> None:
        seen.append(type(db).__name__)
        raise DbError(raw.database.DbErrorKind.OTHER, "broken")

    @on_error
    def page(failure: Failure) -> Response:
        return Response(failure.message, failure.status)

    @init
    def fill(db: Writer) -> None:
        db.execute("CREATE TABLE a (b)")

    _exports.complete()
    none, writer = raw.database.Handle_None_(), raw.database.Handle_Writer(host.db)  # type: ignore[arg-type]
    decisions = []
    for host.headers in [{"x": "a"}, {"x": "b"}, {"x": "c"}]:
        decisions.append((_exports.OnRoute().on_route(), _exports.Before().before(none)))
    assert decisions[0] == (raw.on_route.Decision_Proceed(), None)
    assert decisions[1][0] == raw.on_route.Decision_Access(AccessMode.READ_ONLY)
    assert isinstance(decisions[2][0], raw.on_route.Decision_Answer)
    assert [answer and answer.status for _, answer in decisions] == [None, 403, 200]
    with pytest.raises(Err, match="DbError: broken"):
        _exports.After().after(writer)
    failure = types.Failure(503, types.Fault.DATABASE, "busy", None, None, None)
    answer = _exports.OnError().on_error(none, failure)
    assert answer is not None and answer.status == 503
    _exports.Model().init(host.db)  # type: ignore[arg-type]
    assert seen == ["NoneType", "NoneType", "NoneType", "Writer"]
    assert registry.exports() == ["on-route", "before", "after", "on-error", "model"]


def test_a_handle_that_the_program_keeps_is_dropped(host: Host) -> None:
    kept = []

    @get("/")
    def keep(db: Reader) -> str:
        kept.append(db)
        return "kept"

    _exports.complete()
    assert host.serve("GET", "/").status == 200
    assert host.db.is_dropped


def test_actions_receive_their_payload(host: Host) -> None:
    seen = []

    @action
    def confirm(db: Writer, job: Note, attempt: Attempt) -> None:
        seen.append((job, attempt.number, attempt.is_committed))

    _exports.complete()

    def run(name: str, payload: str) -> None:
        job = raw.actions.Action("1", name, payload, raw.actions.Outcome.COMMIT, 2, "r")
        _exports.Actions().run(job, host.db)  # type: ignore[arg-type]

    run("confirm", '{"id":1,"text":"a"}')
    assert seen == [(Note(1, "a"), 2, True)]
    with pytest.raises(Err, match="the payload of the action `confirm` is no Note: `text` is missing"):
        run("confirm", '{"id":1}')
    with pytest.raises(Err, match="this component has no action `other`"):
        run("other", "{}")


def test_settings_have_a_type(host: Host) -> None:
    host.settings = {"keys": '["a"]', "name": "x"}
    assert (setting("keys", list[str]), setting_text("name")) == (["a"], "x")
    with pytest.raises(HostError, match="the setting `keys` of this component: `0` must be a whole number"):
        setting("keys", list[int])
    with pytest.raises(HostError, match="the setting `other` of this component is missing"):
        setting("other")
    assert parse_json(b"[1]") == [1]
