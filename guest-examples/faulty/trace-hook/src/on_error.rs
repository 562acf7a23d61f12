//! The setting `on_error`: `fail`, `panic`, `write`, `answer` (200 with the text `on_error`), `tell` (200 with the
//! status and the fault of the failure, and the mark), `explain` (409 with the kind, the code and the constraint of the failure).

use crate::carya::host::config;
use crate::carya::host::database::Handle;
use crate::carya::host::types::{Body, Failure, Response};
use crate::exports::carya::host::on_error::Guest;
use crate::handle::{mark, write};

impl Guest for crate::Hook {
    fn on_error(db: Handle, failure: Failure) -> Result<Option<Response>, String> {
        let text = match config::get("on_error").as_deref() {
            None | Some("none") => return Ok(None),
            Some("fail") => return Err("on_error fails".into()),
            Some("panic") => panic!("on_error panics"),
            Some("write") => return write(&db).map(|()| None),
            Some("answer") => "on_error".into(),
            Some("tell") => format!("{} {:?} {}", failure.status, failure.fault, mark(&db)),
            Some("explain") => {
                let text = format!("{:?} {:?} {:?}", failure.kind, failure.code, failure.constraint);
                return Ok(Some(Response { status: 409, headers: vec![], body: Body::Text(text) }));
            }
            Some(other) => return Err(format!("on_error = {other}: unknown")),
        };
        Ok(Some(Response { status: 200, headers: vec![], body: Body::Text(text) }))
    }
}
