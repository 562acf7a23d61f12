//! The setting `on_route`: `fail`, `panic`, `answer` (200 with the text `on_route`), `identify` (sets the identity of the
//! client), or the access mode `read-write`, `read-only` or `none`.

use crate::carya::host::config;
use crate::carya::host::types::{AccessMode, Body, Response};
use crate::exports::carya::host::on_route::{Decision, Guest};
use crate::identity::identify;

impl Guest for crate::Hook {
    fn on_route() -> Result<Decision, String> {
        Ok(match config::get("on_route").as_deref() {
            None | Some("proceed") => Decision::Proceed,
            Some("identify") => {
                identify()?;
                Decision::Proceed
            }
            Some("fail") => return Err("on_route fails".into()),
            Some("panic") => panic!("on_route panics"),
            Some("answer") => {
                Decision::Answer(Response { status: 200, headers: vec![], body: Body::Text("on_route".into()) })
            }
            Some("read-write") => Decision::Access(AccessMode::ReadWrite),
            Some("read-only") => Decision::Access(AccessMode::ReadOnly),
            Some("none") => Decision::Access(AccessMode::None),
            Some(other) => return Err(format!("on_route = {other}: unknown")),
        })
    }
}
