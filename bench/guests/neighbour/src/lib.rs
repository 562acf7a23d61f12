//! Controller that is a bad neighbour: by the last part of its path, it computes, waits, takes memory, or traps.

use std::{hint::black_box, thread::sleep, time::Duration};

use carya::host::database::Reader;
use carya::host::request;
use carya::host::types::{Body, Response};
use exports::carya::host::read_controller::Guest;

wit_bindgen::generate!({ path: "../../../wit", world: "read-only-controller" });

/// Steps of a request that computes, which take far longer than the 10 ms after which the host moves a request.
const STEPS: u64 = 200_000_000;
/// Memory of a request that takes memory, in bytes.
const MEMORY: usize = 48 << 20;

struct Neighbour;
export!(Neighbour);

impl Guest for Neighbour {
    fn read(_: Reader) -> Result<Response, String> {
        match request::param("how").as_deref() {
            Some("spin") => drop(black_box((0..STEPS).fold(0, |sum, number| black_box(sum ^ number)))),
            Some("sleep") => sleep(Duration::from_millis(500)),
            Some("eat") => drop(black_box(vec![1_u8; MEMORY])),
            Some("trap") => panic!("as asked"),
            how => return Err(format!("{how:?} is unknown")),
        }
        Ok(Response { status: 200, headers: vec![], body: Body::Text(String::new()) })
    }
}
