//! The connections of all listeners: their number, their time limits, and the memory of their unsent responses. The
//! caller provides the function that answers requests.

mod accepted;
mod activity;
mod addresses;
mod body;
mod connection;
mod fragment;
mod head;
mod listener;
mod proxied;
mod refused;
mod response;
mod socket;
mod streams;

use std::{future::Future, pin::Pin};

use axum::{Router, extract::Request, response::Response};
use tower_service::Service;

pub(super) use self::head::is_host;
pub(crate) use self::{
    accepted::Accepted,
    addresses::{Addresses, Place},
    connection::Connections,
    listener::{Accept, Listener, permits},
};
use crate::message::Peer;

/// Returns a function for [`Accepted::serve`] that answers requests with `router`.
pub(crate) fn routed(
    router: Router,
) -> impl Fn(Request, Peer) -> Pin<Box<dyn Future<Output = Response> + Send>> + Clone + Send + Sync + 'static {
    move |request, _| {
        let mut router = router.clone();
        Box::pin(async move { router.call(request).await.unwrap_or_else(|never| match never {}) })
    }
}
