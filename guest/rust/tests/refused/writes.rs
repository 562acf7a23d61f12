//! Writes through a handle that only reads.

use carya_guest::prelude::*;

#[carya_guest::routes]
mod tickets {
    use super::*;

    #[get("/tickets/{id}")]
    fn show(db: &Reader, Path(id): Path<i64>) -> Result<NoContent, Problem> {
        db.execute("UPDATE tickets SET seen = 1 WHERE id = ?", (id,))?; //~ a `Reader` cannot write to the database
        close(db, id)?; //~ this handle cannot write to the database
        count(db)?;
        Ok(NoContent)
    }

    #[delete("/tickets/{id}")]
    fn remove(db: &Writer, Path(id): Path<i64>) -> Result<NoContent, Problem> {
        close(db, id)?;
        count(db)?;
        Ok(NoContent)
    }
}

fn close(db: &impl DbMut, id: i64) -> Result<(), DbError> {
    db.execute("UPDATE tickets SET closed = 1 WHERE id = ?", (id,)).map(drop)
}

fn count(db: &impl Db) -> Result<i64, DbError> {
    db.fetch_one("SELECT count(*) FROM tickets", ())
}

fn main() {}
