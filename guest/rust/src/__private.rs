//! Functions and modules that the expansions of the attributes name. They are not part of the API.

#![allow(missing_docs)]

use crate::{Decision, Request, Response};
pub use crate::{
    action::{parse, split},
    bindings::{
        actions, after, before, model, on_error, on_route, plain_controller, read_controller, write_controller,
    },
    database::WritesThroughReader,
    hook::{IntoAnswer, IntoDecision, IntoOutcome},
    log::{Level, write as log},
    raw::{database, types},
};

pub const fn request() -> Request {
    Request::new()
}

/// Returns the pattern of the route and the method.
pub fn endpoint() -> (String, String) {
    let request = Request::new();
    (request.route().unwrap_or_default(), request.method())
}

/// The host compares the routes of the configuration with those of the component when it loads the component, so this
/// error means that an `on-route` hook has chosen another access mode.
#[inline]
pub fn unserved() -> Response {
    Response::failed("no function of this component serves this route with this method and access mode".to_owned())
}

#[inline]
pub fn respond(response: Response) -> Result<types::Response, String> {
    response.into_raw()
}

pub fn answer(answer: impl IntoAnswer) -> Result<Option<types::Response>, String> {
    answer.into_answer().map(Response::into_raw).transpose()
}

pub fn decide(decision: impl IntoDecision) -> Result<on_route::exports::carya::host::on_route::Decision, String> {
    use on_route::exports::carya::host::on_route::Decision as Raw;
    Ok(match decision.into_decision() {
        Decision::Proceed => Raw::Proceed,
        Decision::Answer(response) => Raw::Answer(response.into_raw()?),
        Decision::Access(mode) => Raw::Access(mode),
    })
}

pub fn finish(outcome: impl IntoOutcome) -> Result<(), String> {
    outcome.into_outcome()
}
