//! Reasons why an outbound request fails, found in the errors of the client.

use std::{error::Error, io, net::IpAddr, time::Duration};

use crate::tls;

/// Reason why an outbound request failed or was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    /// A list does not permit the destination.
    #[error("{0}")]
    Denied(String),
    /// The guest must not send a request at this point.
    #[error("{0}")]
    Forbidden(String),
    /// The name has only addresses that are not reachable from everywhere.
    #[error("{0} is not reachable from everywhere; to permit it, set `allow_private` in [outbound]")]
    Prohibited(IpAddr),
    /// The component has too many requests in flight.
    #[error("{0} requests of the component are in flight, as many as `max_in_flight` in [outbound] permits")]
    TooMany(usize),
    /// The name has no address.
    #[error("its host cannot be resolved: {0}")]
    Name(String),
    /// No connection could be made.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The server's certificate was rejected.
    #[error("its certificate is not valid: {0}; for an authority of your own, set `ca` in [outbound]")]
    Certificate(String),
    /// TLS failed otherwise.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The request took too long.
    #[error("it did not end within {0:?} (`http_timeout`)")]
    Timeout(Duration),
    /// The server was silent for longer than the guest permits.
    #[error("the server was silent for {0:?}, as long as the guest permits")]
    Silence(Duration),
    /// The body of the response is too long.
    #[error("its response has more than {0} bytes (`http_max_response`)")]
    TooLong(usize),
    /// The server ended the connection before the end of the response.
    #[error("the connection ended before the response: {0}")]
    Incomplete(String),
    /// The request or the response violates the protocol.
    #[error("{0}")]
    Protocol(String),
}

impl Failure {
    /// Returns whether the host refused to send the request.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Denied(_) | Self::Forbidden(_) | Self::Prohibited(_) | Self::TooMany(_))
    }

    /// Finds the reason in an error of the client.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        let is_connect = error.downcast_ref().is_some_and(hyper_util::client::legacy::Error::is_connect);
        let causes: Vec<_> = tls::causes(error).collect();
        let text = causes.last().map_or_else(String::new, ToString::to_string);
        if let Some(known) = causes.iter().find_map(|error| error.downcast_ref::<Self>()) {
            return known.clone();
        }
        if tls::is_certificate_error(error) {
            return Self::Certificate(text);
        }
        if causes.iter().any(|error| error.is::<rustls::Error>()) {
            return Self::Tls(text);
        }
        if is_connect {
            return Self::Connect(text);
        }
        let is_cut = |error: &hyper::Error| error.is_incomplete_message() || error.is_canceled() || error.is_closed();
        let is_io = causes.iter().any(|error| error.is::<io::Error>());
        match is_io || causes.iter().any(|error| error.downcast_ref().is_some_and(is_cut)) {
            true => Self::Incomplete(text),
            false => Self::Protocol(text),
        }
    }
}
