//! Controller that parses the JSON body of a request, serializes it again, and responds with the result.

use carya::host::database::{Reader, Writer};
use carya::host::request;
use carya::host::types::{Body, Response};
use exports::carya::host::{read_controller, write_controller};
use serde_json::Value;

wit_bindgen::generate!({ path: "../../../wit", world: "controller" });

struct Echo;
export!(Echo);

impl read_controller::Guest for Echo {
    fn read(_: Reader) -> Result<Response, String> {
        Err("GET is not supported: send a JSON body by POST".to_owned())
    }
}

impl write_controller::Guest for Echo {
    fn write(_: Writer) -> Result<Response, String> {
        let body: Value = serde_json::from_slice(&request::body()).map_err(|error| error.to_string())?;
        let body = serde_json::to_string(&body).map_err(|error| error.to_string())?;
        Ok(Response { status: 200, headers: vec![], body: Body::Json(body) })
    }
}
