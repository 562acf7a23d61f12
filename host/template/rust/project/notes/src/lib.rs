//! Controller for a list of notes: GET /notes reads the list, POST /notes adds the request's text.

use carya_guest::prelude::*;

#[carya_guest::routes]
mod notes {
    use super::*;

    /// The host runs the query and sends its rows to the client; the guest does not receive them.
    #[get("/notes")]
    fn list() -> Rows {
        Rows::json(
            "SELECT id, text, written_at FROM notes ORDER BY id DESC LIMIT 100",
            (),
        )
    }

    /// The host runs `create` in one transaction. It commits the transaction after a 2xx or 3xx response, and rolls it
    /// back otherwise. With a `Reader` in place of the `Writer`, this function does not compile.
    #[post("/notes")]
    fn create(db: &Writer, text: String) -> Result<(u16, JsonText), Problem> {
        if text.trim().is_empty() {
            return Err(Problem::unprocessable("a note needs a text"));
        }
        let note = db.fetch_one_json(
            "INSERT INTO notes (text) VALUES (?) RETURNING id, text, written_at",
            (text,),
        )?;
        Ok((201, note))
    }
}
