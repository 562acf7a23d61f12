//! The setting `before`: `fail`, `panic`, `answer-200`, `answer-302`, `write`, `mark-rollback`, `identify` (sets the
//! identity of the client), `context` (appends the mark to the context value `before`).

use crate::carya::host::database::Handle;
use crate::carya::host::types::{Body, Response};
use crate::carya::host::{config, context};
use crate::exports::carya::host::before::Guest;
use crate::handle::{mark, write};
use crate::identity::identify;

impl Guest for crate::Hook {
    fn before(db: Handle) -> Result<Option<Response>, String> {
        let answer = |status, headers| Ok(Some(Response { status, headers, body: Body::Text("before".into()) }));
        match (config::get("before").as_deref(), &db) {
            (None | Some("none"), _) => {}
            (Some("fail"), _) => return Err("before fails".into()),
            (Some("panic"), _) => panic!("before panics"),
            (Some("answer-200"), _) => return answer(200, vec![]),
            (Some("answer-302"), _) => {
                return answer(302, vec![("location".into(), "/login".into())]);
            }
            (Some("write"), db) => write(db)?,
            (Some("identify"), _) => identify()?,
            (Some("mark-rollback"), Handle::Writer(db)) => db.mark_rollback(),
            (Some("context"), db) => {
                let earlier = context::get("before").map(|marks| marks + " ").unwrap_or_default();
                context::set("before", &(earlier + &mark(db)))?;
            }
            (Some(other), _) => {
                return Err(format!("before = {other}: unknown, or not with this handle"));
            }
        }
        Ok(None)
    }
}
