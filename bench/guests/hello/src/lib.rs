//! Controller that responds with `hello` and does no other work, so that a request costs little more than its sandbox.

use carya::host::database::Reader;
use carya::host::types::{Body, Response};
use exports::carya::host::read_controller::Guest;

wit_bindgen::generate!({ path: "../../../wit", world: "read-only-controller" });

struct Hello;
export!(Hello);

impl Guest for Hello {
    fn read(_: Reader) -> Result<Response, String> {
        Ok(Response { status: 200, headers: vec![], body: Body::Text("hello".to_owned()) })
    }
}
