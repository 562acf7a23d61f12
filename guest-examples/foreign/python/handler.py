"""HTTP server by the `wasi:http/proxy` world of componentize-py, with one addition for carya: it writes rows through
`carya:host/current`. Serves the paths that `../wstd` lists."""

from componentize_py_types import Err, Ok
from wit_world.imports import current
from wit_world.imports.database import Handle_Writer, Value_Text
from wit_world.imports.types import (
    Fields,
    IncomingBody,
    IncomingRequest,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
)


class IncomingHandler:
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        body = read(request)
        match (request.path_with_query() or "").split("/")[-1]:
            case "echo":
                sent = request.headers().get("x-sent")
                headers = [("x-sdk", b"python"), ("set-cookie", b"a=1"), ("set-cookie", b"b=2")]
                headers.append(("x-sent", sent[0] if sent else b"none"))
                method = type(request.method()).__name__.removeprefix("Method_").upper()
                respond(response_out, 200, headers, f"{method} {body}")
            case "row":
                insert(body)
                respond(response_out, 201, [], "written")
            case _:
                insert(body)
                respond(response_out, 200, [], "written")
                raise RuntimeError("after the response")


def read(request):
    body = request.consume()
    parts = []
    with body.stream() as stream:
        while True:
            try:
                parts.append(stream.blocking_read(64 << 10))
            except Err:  # the end of the stream
                break
    IncomingBody.finish(body)
    return b"".join(parts).decode()


def respond(out, status, headers, text):
    response = OutgoingResponse(Fields.from_list(headers))
    response.set_status_code(status)
    body = response.body()
    ResponseOutparam.set(out, Ok(response))
    with body.write() as stream:
        parts = text.encode()
        for at in range(0, len(parts), 4096):
            stream.blocking_write_and_flush(parts[at : at + 4096])
    OutgoingBody.finish(body, None)


def insert(mark):
    handle = current.get()
    if not isinstance(handle, Handle_Writer):
        raise RuntimeError(f"no writer but {handle}")
    handle.value.execute("INSERT INTO marks VALUES (?)", [Value_Text(mark)])
