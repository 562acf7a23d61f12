//! Hook that reports the duration of a request in the header `x-response-time`, including the commit.
//!
//! The hook has the lowest priority (1), so its `before` runs first, and its `after` runs last. One instance runs both
//! phases of a request, so `before` can pass the start time to `after` in a static.

use std::sync::OnceLock;
use std::time::Instant;

use carya_guest::{HostError, prelude::*};

static START: OnceLock<Instant> = OnceLock::new();

#[carya_guest::before]
fn start() {
    START.get_or_init(Instant::now);
}

#[carya_guest::after]
fn report(reply: Reply) -> Result<(), HostError> {
    let Some(start) = START.get() else { return Ok(()) };
    let us = start.elapsed().as_micros();
    reply.set_header("x-response-time", &format!("{}.{:03}ms", us / 1000, us % 1000))
}
