//! Hook that reports the duration of a request in the header `x-response-time`, including the commit.
//!
//! The hook has the lowest priority (1), so its `before` runs first, and its `after` runs last. One instance runs both
//! phases of a request, so `before` can pass the start time to `after` in a static.

use std::sync::OnceLock;
use std::time::Instant;

use carya::host::database::Handle;
use carya::host::response;
use carya::host::types::Response;
use exports::carya::host::{after, before};

wit_bindgen::generate!({
    inline: "
        package shop:timing;
        world guest {
            include carya:host/imports@0.2.0;
            export carya:host/before@0.2.0;
            export carya:host/after@0.2.0;
        }
    ",
    path: "../../wit",
    generate_all,
});

static START: OnceLock<Instant> = OnceLock::new();

struct Timing;
export!(Timing);

impl before::Guest for Timing {
    fn before(_: Handle) -> Result<Option<Response>, String> {
        START.get_or_init(Instant::now);
        Ok(None)
    }
}

impl after::Guest for Timing {
    fn after(_: Handle) -> Result<(), String> {
        match START.get() {
            Some(start) => {
                let us = start.elapsed().as_micros();
                response::set_header("x-response-time", &format!("{}.{:03}ms", us / 1000, us % 1000))
            }
            None => Ok(()),
        }
    }
}
