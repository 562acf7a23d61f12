//! Hook that records each change and its client in the transaction of the change: both are committed, or neither is.
//!
//! The hook runs inside the transaction (priority 100 or more).

use carya::host::database::{Handle, Value};
use carya::host::{identity, request, response};
use exports::carya::host::after::Guest;

wit_bindgen::generate!({
    inline: "
        package shop:audit;
        world guest {
            include carya:host/imports@0.2.0;
            export carya:host/after@0.2.0;
        }
    ",
    path: "../../wit",
    generate_all,
});

struct Audit;
export!(Audit);

impl Guest for Audit {
    fn after(db: Handle) -> Result<(), String> {
        let Handle::Writer(db) = db else {
            return Ok(());
        };
        // After a response with an error status the host rolls back, which would discard the audit row. If the
        // transaction is doomed, the host also rejects the INSERT.
        if response::status() >= 400 {
            return Ok(());
        }
        let who = identity::subject().map_or(Value::Null, Value::Text);
        let (method, path) = (Value::Text(request::method()), Value::Text(request::path()));
        db.execute(
            "INSERT INTO audit (request_id, method, path, who) VALUES (?, ?, ?, ?)",
            &[Value::Text(request::id()), method, path, who],
        )
        .map(drop)
        .map_err(|error| error.message)
    }
}
