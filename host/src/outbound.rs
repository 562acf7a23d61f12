//! Outbound HTTP of guests: which requests a component may send, and the client that sends them. A request leaves only
//! if the lists of the host and of the component both permit its destination, and only to an address that was checked.
//! This module knows neither transactions nor guests: its caller decides when a request may be sent.

mod address;
mod body;
mod failure;
mod network;
mod policy;
mod record;
mod redirect;

use std::sync::Arc;

use http::Method;

pub(crate) use self::{
    body::{RequestBody, ResponseBody, Timeouts},
    failure::Failure,
    network::Network,
    policy::Policy,
    record::{End, Record},
    redirect::Redirect,
};

/// The outbound requests of the guests of one request.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// Set where guests must not send any request: a description of the caller, such as "a smoke request".
    pub(crate) forbidden_to: Option<&'static str>,
    /// Whether a request was sent with a method other than GET and HEAD, which must not be sent again.
    pub(crate) unrepeatable: bool,
    /// The server that answers the requests of a test. `None` except in `carya test`.
    pub(crate) redirect: Option<Arc<Redirect>>,
}

impl Calls {
    /// Returns the calls of a caller that must not send requests.
    pub(crate) fn forbidden_to(caller: &'static str) -> Self {
        Self { forbidden_to: Some(caller), ..Self::default() }
    }

    /// Notes a request that was sent.
    pub(crate) fn sent(&mut self, method: &Method) {
        self.unrepeatable |= !matches!(*method, Method::GET | Method::HEAD);
    }
}
