"""Controller for a list of notes: GET /notes reads the list, POST /notes adds the request's text."""

from carya_guest import Body, Problem, Response, Rows, Writer, get, post


# The host runs the query and sends its rows to the client; the guest does not receive them.
@get("/notes")
def list_notes() -> Rows:
    return Rows.json("SELECT id, text, written_at FROM notes ORDER BY id DESC LIMIT 100")


# The host runs `create` in one transaction. It commits the transaction after a 2xx or 3xx response, and rolls it back
# otherwise. With a `Reader` in place of the `Writer`, the build fails.
@post("/notes")
def create(db: Writer, text: Body[str]) -> Response:
    if not text.strip():
        raise Problem(422, "a note needs a text")
    note = db.fetch_one_json("INSERT INTO notes (text) VALUES (?) RETURNING id, text, written_at", (text,))
    return Response(note, status=201)
