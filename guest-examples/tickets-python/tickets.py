"""Controller for tickets with comments: a JSON API with validation and entity tags, and a page with a form."""

from dataclasses import dataclass
from enum import Enum

from carya_guest import (
    Checks,
    Created,
    Db,
    Delivery,
    ETag,
    Flash,
    Form,
    IfMatch,
    Json,
    JsonText,
    NoContent,
    Problem,
    Reader,
    Redirect,
    Response,
    Tagged,
    Template,
    ViolationKind,
    Writer,
    action,
    delete,
    deny_unknown_fields,
    get,
    log,
    on_violation,
    post,
    put,
)


class State(Enum):
    OPEN = "open"
    CLOSED = "closed"


@dataclass
class Ticket:
    id: int
    title: str
    priority: int
    state: State
    version: int


@deny_unknown_fields
@dataclass
class Draft:
    """A ticket as the client sends it."""

    title: str
    priority: int
    state: State = State.OPEN

    def check(self) -> None:
        checks = Checks()
        checks.check("title", 1 <= len(self.title) <= 100, "must have 1 to 100 characters")
        checks.check("priority", 1 <= self.priority <= 5, "must be from 1 to 5")
        checks.finish()


@dataclass
class Comment:
    text: str


@dataclass
class Commented:
    """Payload of the action after a comment."""

    ticket: int


@get("/tickets")
def list_tickets(db: Reader, state: State | None, after: int = 0) -> JsonText:
    sql = """SELECT id, title, priority, state, version FROM tickets WHERE id > ? AND state = coalesce(?, state)
             ORDER BY id LIMIT 20"""
    return db.fetch_json(sql, (after, state))


@get("/tickets/{id}")
def show(db: Reader, id: int) -> Tagged:
    """Responds with 304 if the client has this version already."""
    return tagged(find(db, id))


@post("/tickets")
def create(db: Writer, draft: Json[Draft]) -> Created:
    draft.check()
    sql = "INSERT INTO tickets (title, priority, state) VALUES (?, ?, ?) RETURNING id"
    with on_violation(ViolationKind.UNIQUE, title_taken()):
        id = db.fetch_one(int, sql, (draft.title, draft.priority, draft.state))
    return Created(f"/tickets/{id}", find(db, id))


@put("/tickets/{id}")
def update(db: Writer, id: int, held: IfMatch, draft: Json[Draft]) -> Tagged:
    """Requires `if-match`, so that no client overwrites a change that it has not seen."""
    draft.check()
    present = find(db, id)
    held.require(ETag(present.version))
    # At lower isolation levels another transaction may have changed the ticket since it was read.
    sql = """UPDATE tickets SET title = ?, priority = ?, state = ?, version = version + 1
             WHERE id = ? AND version = ?"""
    with on_violation(ViolationKind.UNIQUE, title_taken()):
        done = db.execute(sql, (draft.title, draft.priority, draft.state, id, present.version))
    if done.rows_affected == 0:
        raise Problem(412, "this has changed since you read it")
    return tagged(find(db, id))


@delete("/tickets/{id}")
def remove(db: Writer, id: int) -> NoContent:
    find(db, id)
    db.execute("DELETE FROM comments WHERE ticket = ?", (id,))
    db.execute("DELETE FROM tickets WHERE id = ?", (id,))
    return NoContent()


@get("/tickets/{id}/page")
def page(db: Reader, id: int, flash: Flash) -> Response:
    """A page with the comments and a form for the next one."""
    comments = db.fetch(str, "SELECT text FROM comments WHERE ticket = ? ORDER BY id", (id,))
    context = {"ticket": find(db, id), "comments": comments, "flash": flash.message}
    return flash.forget(Template("ticket.html", context))


@post("/tickets/{id}/comments")
def comment(db: Writer, id: int, comment: Form[Comment]) -> Redirect:
    find(db, id)
    page = f"/tickets/{id}/page"
    if not comment.text.strip():
        return Redirect(page, flash="A comment needs a text.")
    db.execute("INSERT INTO comments (ticket, text) VALUES (?, ?)", (id, comment.text))
    db.after_commit(Commented(id), Delivery.AT_LEAST_ONCE)
    return Redirect(page, flash="Thank you for the comment.")


@action
def reopen(db: Writer, job: Commented) -> None:
    """Reopens a ticket after a comment, in a transaction of its own."""
    sql = "UPDATE tickets SET state = 'open', version = version + 1 WHERE id = ? AND state = 'closed'"
    if db.execute(sql, (job.ticket,)).rows_affected > 0:
        log.info("ticket %d was reopened", job.ticket)


def find(db: Db, id: int) -> Ticket:
    sql = "SELECT id, title, priority, state, version FROM tickets WHERE id = ?"
    ticket = db.fetch_optional(Ticket, sql, (id,))
    if ticket is None:
        raise Problem(404, "there is no such ticket")
    return ticket


def title_taken() -> Problem:
    return Problem(409, "another ticket has this title")


def tagged(ticket: Ticket) -> Tagged:
    return ETag(ticket.version).tag(ticket)
