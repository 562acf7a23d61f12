//! Hook that records each change and its client in the transaction of the change: both are committed, or neither is.
//!
//! The hook runs inside the transaction (priority 100 or more).

use carya_guest::prelude::*;

#[carya_guest::after]
fn record(db: &Handle, request: Request, client: Option<Identity>, reply: Reply) -> Result<(), Problem> {
    // After a response with an error status the host rolls back, which would discard the audit row. If the transaction is
    // doomed, the host also rejects the INSERT.
    if let (Some(db), ..400) = (db.writer(), reply.status()) {
        let who = client.as_ref().map(Identity::subject);
        db.execute(
            "INSERT INTO audit (request_id, method, path, who) VALUES (?, ?, ?, ?)",
            (request.id(), request.method(), request.path(), who),
        )?;
    }
    Ok(())
}
