//! Limits of each client: its connections, the length of targets, its rate, and its requests in flight.

use std::sync::Arc;

use axum::extract::Request;
use http::HeaderMap;

use super::connections::{Accepted, Addresses, Place};
use crate::{
    error::Failure,
    generation::Generation,
    message::Peer,
    rates::{Allowances, Client},
    telemetry::metrics::{self, Limit},
};

/// Limits the connections of each address.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    limit: Option<usize>,
    open: Arc<Addresses>,
}

impl Entry {
    pub(super) fn new(limit: Option<usize>) -> Self {
        Self { limit, open: Arc::default() }
    }

    /// Takes a place for a connection, which holds it until it ends. Returns `false` if its address has no place left.
    /// Proxies and the clients of a Unix socket need none.
    pub(super) fn admit(&self, accepted: &mut Accepted, is_proxy: bool) -> bool {
        let limit = self.limit.filter(|_| !is_proxy);
        let Some((limit, address)) = limit.zip(accepted.address()) else { return true };
        let place = self.open.enter(address, limit);
        let is_admitted = place.is_some();
        if !is_admitted {
            metrics::exceeded(Limit::Connections);
            tracing::debug!(%address, "a connection was closed: server.connections_per_address");
        }
        accepted.hold(place);
        is_admitted
    }
}

/// Permission to run a request.
pub(super) struct Admission {
    /// The remaining allowances of the client. Boxed, because most applications have none.
    allowances: Option<Box<Allowances>>,
    /// Place among the requests of the client.
    _place: Option<Place>,
}

/// Checks the limits before the body of a request arrives.
///
/// # Errors
///
/// Returns the failure to answer if the request exceeds a limit.
pub(super) fn admit(
    generation: &Generation,
    in_flight: &Arc<Addresses>,
    request: &Request,
    peer: Peer,
) -> Result<Admission, Failure> {
    let (config, rates) = (&generation.config.server, &generation.rates);
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    if target.len() > config.max_target {
        metrics::exceeded(Limit::Target);
        return Err(Failure::target_too_long(config.max_target));
    }
    let place = match (config.requests_per_address, peer.address) {
        (Some(limit), Some(address)) => {
            let full = || {
                metrics::exceeded(Limit::Requests);
                Failure::too_many_in_flight()
            };
            Some(in_flight.enter(address, limit).ok_or_else(full)?)
        }
        _ => None,
    };
    let allowances = match rates.is_empty() {
        true => None,
        false => {
            let client = Client { address: peer.address, headers: request.headers(), subject: None };
            let left = rates.count(request.uri().path(), client).map_err(|exceeded| {
                metrics::exceeded(Limit::Rate);
                Failure::too_many_requests(&exceeded)
            })?;
            Some(Box::new(left))
        }
    };
    Ok(Admission { allowances, _place: place })
}

impl Admission {
    /// Adds the remaining allowances to a response.
    pub(super) fn describe(&self, headers: &mut HeaderMap) {
        for (name, value) in self.allowances.iter().flat_map(|allowances| allowances.fields()) {
            headers.append(name, value);
        }
    }
}
