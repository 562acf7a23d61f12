//! A controller that only exports `read-controller`, so the host must reject routes that would pass it a writer.

use carya::host::database::Reader;
use carya::host::types::{Body, Response};
use exports::carya::host::read_controller::Guest;

wit_bindgen::generate!({ path: "../../../wit", world: "read-only-controller" });

struct ReadsOnly;
export!(ReadsOnly);

impl Guest for ReadsOnly {
    fn read(_: Reader) -> Result<Response, String> {
        Ok(Response { status: 200, headers: vec![], body: Body::Text("read".into()) })
    }
}
