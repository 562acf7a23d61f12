//! Controller for tickets with comments: a JSON API with validation and entity tags, and a page with a form.

use carya_guest::{ToValue, Value, prelude::*};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Ticket {
    id: i64,
    title: String,
    priority: i64,
    state: State,
    version: i64,
}

/// A ticket as the client sends it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    title: String,
    priority: i64,
    #[serde(default)]
    state: State,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Open,
    Closed,
}

#[derive(Deserialize)]
struct Search {
    state: Option<State>,
    #[serde(default)]
    after: i64,
}

#[derive(Serialize, Deserialize)]
struct Comment {
    text: String,
}

#[derive(Serialize)]
struct Page {
    ticket: Ticket,
    comments: Vec<String>,
    flash: Option<String>,
}

#[carya_guest::routes]
mod tickets {
    use super::*;

    #[get("/tickets")]
    fn list(db: &Reader, Query(search): Query<Search>) -> Result<JsonText, Problem> {
        let sql = "SELECT id, title, priority, state, version FROM tickets WHERE id > ? AND state = coalesce(?, state) \
                   ORDER BY id LIMIT 20";
        Ok(db.fetch_json(sql, (search.after, search.state))?)
    }

    /// Responds with 304 if the client has this version already.
    #[get("/tickets/{id}")]
    fn show(db: &Reader, Path(id): Path<i64>) -> Result<Tagged<Json<Ticket>>, Problem> {
        find(db, id).map(tagged)
    }

    #[post("/tickets")]
    fn create(db: &Writer, Json(draft): Json<Draft>) -> Result<Created<Ticket>, Problem> {
        draft.check()?;
        let sql = "INSERT INTO tickets (title, priority, state) VALUES (?, ?, ?) RETURNING id";
        let id = db
            .fetch_one(sql, (&draft.title, draft.priority, draft.state))
            .on_violation(ViolationKind::Unique, title_taken)?;
        Ok(Created::at(format!("/tickets/{id}"), find(db, id)?))
    }

    /// Requires `if-match`, so that no client overwrites a change that it has not seen.
    #[put("/tickets/{id}")]
    fn update(
        db: &Writer,
        Path(id): Path<i64>,
        held: IfMatch,
        Json(draft): Json<Draft>,
    ) -> Result<Tagged<Json<Ticket>>, Problem> {
        draft.check()?;
        let present = find(db, id)?;
        held.require(&ETag::of(present.version))?;
        // At lower isolation levels another transaction may have changed the ticket since it was read.
        let sql = "UPDATE tickets SET title = ?, priority = ?, state = ?, version = version + 1 \
                   WHERE id = ? AND version = ?";
        let updated = db
            .execute(sql, (&draft.title, draft.priority, draft.state, id, present.version))
            .on_violation(ViolationKind::Unique, title_taken)?;
        if updated.rows_affected == 0 {
            return Err(Problem::precondition_failed("this has changed since you read it"));
        }
        find(db, id).map(tagged)
    }

    #[delete("/tickets/{id}")]
    fn remove(db: &Writer, Path(id): Path<i64>) -> Result<NoContent, Problem> {
        find(db, id)?;
        db.execute("DELETE FROM comments WHERE ticket = ?", (id,))?;
        db.execute("DELETE FROM tickets WHERE id = ?", (id,))?;
        Ok(NoContent)
    }

    /// A page with the comments and a form for the next one.
    #[get("/tickets/{id}/page")]
    fn page(db: &Reader, Path(id): Path<i64>, flash: Flash) -> Result<Response, Problem> {
        let comments = db.fetch("SELECT text FROM comments WHERE ticket = ? ORDER BY id", (id,))?;
        let page = Page { ticket: find(db, id)?, comments, flash: flash.message().map(str::to_owned) };
        Ok(flash.forget(Template::new("ticket.html", &page)))
    }

    #[post("/tickets/{id}/comments")]
    fn comment(db: &Writer, Path(id): Path<i64>, Form(comment): Form<Comment>) -> Result<Redirect, Problem> {
        find(db, id)?;
        let page = Redirect::to(format!("/tickets/{id}/page"));
        if comment.text.trim().is_empty() {
            return Ok(page.flash("A comment needs a text."));
        }
        db.execute("INSERT INTO comments (ticket, text) VALUES (?, ?)", (id, &comment.text))?;
        db.after_commit(&Commented { ticket: id }, Delivery::AtLeastOnce)?;
        Ok(page.flash("Thank you for the comment."))
    }

    #[derive(Serialize, Deserialize)]
    struct Commented {
        ticket: i64,
    }

    /// Reopens a ticket after a comment, in a transaction of its own.
    #[action]
    fn reopen(db: &Writer, job: Commented) -> Result<(), Problem> {
        let sql = "UPDATE tickets SET state = 'open', version = version + 1 WHERE id = ? AND state = 'closed'";
        if db.execute(sql, (job.ticket,))?.rows_affected > 0 {
            carya_guest::info!("ticket {} was reopened", job.ticket);
        }
        Ok(())
    }
}

fn find(db: &impl Db, id: i64) -> Result<Ticket, Problem> {
    let sql = "SELECT id, title, priority, state, version FROM tickets WHERE id = ?";
    db.fetch_optional(sql, (id,))?.ok_or(Problem::not_found("there is no such ticket"))
}

fn title_taken() -> Problem {
    Problem::conflict("another ticket has this title")
}

fn tagged(ticket: Ticket) -> Tagged<Json<Ticket>> {
    ETag::of(ticket.version).tag(Json(ticket))
}

impl Draft {
    fn check(&self) -> Result<(), Problem> {
        Checks::new()
            .check("title", (1..=100).contains(&self.title.chars().count()), "must have 1 to 100 characters")
            .check("priority", (1..=5).contains(&self.priority), "must be from 1 to 5")
            .finish()
    }
}

impl ToValue for State {
    fn to_value(&self) -> Value {
        match self {
            Self::Open => "open".to_value(),
            Self::Closed => "closed".to_value(),
        }
    }
}
