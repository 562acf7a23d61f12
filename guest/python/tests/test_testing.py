"""The client of `carya test`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from carya_guest.testing import App, ControlError

STATES = [{"state": "lagging"}, {"state": "gone", "database": "other"}]


class Control(BaseHTTPRequestHandler):
    """A control with one lane, whose application returns what it receives."""

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        url = f"http://{self.headers['host']}"
        status, answer = 200, json.dumps([self.command, self.path, self.headers.get("content-type"), body])
        match self.path:
            case "/token/lanes":
                answer = json.dumps({"lane": 3, "url": url})
            case "/token/lanes/3/reset":
                status, answer = 204, ""
            case "/token/lanes/3/replicas":
                is_known = self.command == "PUT" and json.loads(body) in STATES
                status, answer = (204, "") if is_known else (400, f"{self.command} {body}")
            case "/token/lanes/3/sql" if "absent" in body:
                status, answer = 400, "no such table: absent"
            case "/token/lanes/3/sql":
                answer = json.dumps([json.loads(body)])
            case "/away":
                status = 303
        self.send_response(status)
        self.send_header("location", "/elsewhere")
        self.send_header("content-length", str(len(answer.encode())))
        self.end_headers()
        self.wfile.write(answer.encode())

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Control)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("CARYA_TEST_CONTROL", f"http://127.0.0.1:{server.server_address[1]}/token")
    yield App()
    server.shutdown()
    server.server_close()


def test_requests_are_sent_as_they_are(app: App) -> None:
    assert app.get("/a?b=c").json() == ["GET", "/a?b=c", "application/octet-stream", ""]
    assert app.post("/a", "Größe").json() == ["POST", "/a", "application/octet-stream", "Größe"]
    assert app.put("/a", {"n": 1}).json() == ["PUT", "/a", "application/json", '{"n": 1}']
    form = app.post("/a", b"a=1", headers={"content-type": "application/x-www-form-urlencoded"})
    assert form.json() == ["POST", "/a", "application/x-www-form-urlencoded", "a=1"]
    away = app.delete("/away")
    assert (away.status, away.headers["Location"]) == (303, "/elsewhere")


def test_the_control_resets_and_runs_sql(app: App) -> None:
    app.reset()
    assert app.sql("SELECT ?", (1,)) == [{"sql": "SELECT ?", "params": [1]}]
    assert app.sql("SELECT 1", database="other") == [{"sql": "SELECT 1", "params": [], "database": "other"}]
    with pytest.raises(ControlError, match="no such table: absent"):
        app.sql("SELECT * FROM absent")


def test_the_control_sets_the_state_of_replicas(app: App) -> None:
    app.set_replicas("lagging")
    app.set_replicas("gone", database="other")
    with pytest.raises(ControlError, match="current"):
        app.set_replicas("current")


def test_tests_run_by_carya_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARYA_TEST_CONTROL", raising=False)
    with pytest.raises(ControlError, match="run the tests by `carya test`"):
        App()
