//! Parameters, results and values of types that the library does not accept.

use carya_guest::prelude::*;

struct Ticket;

#[carya_guest::routes]
mod tickets {
    use super::*;

    #[get("/tickets/{id}")]
    fn show(id: i64) -> NoContent { //~ `i64` cannot be a parameter of a handler
        NoContent
    }

    #[get("/tickets")]
    fn list() -> Ticket { //~ `Ticket` is not a response
        Ticket
    }

    #[post("/tickets")]
    fn create(db: &Writer) -> Result<NoContent, Problem> {
        db.execute("INSERT INTO tickets (id) VALUES (?)", 7)?; //~ `{integer}` is not a list of parameters
        db.execute("INSERT INTO tickets (id) VALUES (?)", (7_u64,))?; //~ `u64` cannot be a parameter of a statement
        db.after_commit(&Ticket, Delivery::AtMostOnce)?; //~ `Ticket` is not the payload of an action
        Ok(NoContent)
    }
}

#[carya_guest::before]
fn check() -> bool { //~ `bool` is not the result of this hook
    true
}

fn main() {}
