//! The listener of plain HTTP that redirects to `https`.

use std::sync::Arc;

use axum::extract::Request;
use http::{HeaderValue, header, uri::Authority};

use super::live::Live;
use crate::{
    error::Failure,
    exchange::{self, Answered},
    message::Peer,
};

/// Prefix of the paths by which a certificate authority checks that the host has a name (RFC 8555, section 8.3). It
/// requests them by plain HTTP.
const CHALLENGES: &str = "/.well-known/acme-challenge/";
/// Port that `https` URLs leave out.
pub(super) const HTTPS: u16 = 443;

/// Redirects a request to `https` at `port`. Passes requests below [`CHALLENGES`] to the application, which may have the
/// answers in a static folder.
pub(super) async fn answer(live: &Arc<Live>, port: u16, request: Request, peer: Peer) -> Answered {
    if request.uri().path().starts_with(CHALLENGES) {
        return live.answer(request, peer).await;
    }
    let host = request.headers().get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let location = host.and_then(|host| location(host.host(), port, request.uri().path_and_query()?.as_str()));
    let (head, _) = request.into_parts();
    match location {
        Some(location) => exchange::redirect(head, peer, location),
        // A request of HTTP/1.0 without a host.
        None => exchange::reject(head, peer, &Failure::malformed("The request has no Host header.")),
    }
}

/// Returns the URL of a target at a host.
fn location(host: &str, port: u16, target: &str) -> Option<HeaderValue> {
    let port = if port == HTTPS { String::new() } else { format!(":{port}") };
    HeaderValue::try_from(format!("https://{host}{port}{target}")).ok()
}
