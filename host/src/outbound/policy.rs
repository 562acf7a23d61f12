//! The rules for the outbound requests of one component.

use std::{sync::Arc, time::Duration};

use http::Uri;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::{
    Failure, Network, Record, Redirect, RequestBody, ResponseBody,
    body::{Limits, Timeouts},
};
use crate::config::{ComponentConfig, Destination};

/// The outbound requests that a component may send.
#[derive(Debug)]
pub(crate) struct Policy {
    component: String,
    /// `http` of the component.
    own: Vec<Destination>,
    timeout: Duration,
    max_response: usize,
    in_flight: Arc<Semaphore>,
    network: Arc<Network>,
}

impl Policy {
    /// Returns the policy of a component.
    pub(crate) fn new(name: &str, config: &ComponentConfig, network: Arc<Network>) -> Self {
        let ComponentConfig { http, http_timeout, http_max_response, .. } = config;
        Self {
            component: name.to_owned(),
            own: http.clone(),
            timeout: *http_timeout,
            max_response: *http_max_response,
            in_flight: Arc::new(Semaphore::new(network.settings.max_in_flight)),
            network,
        }
    }

    /// Returns whether this is the policy of a component with these settings.
    pub(crate) fn is_of(&self, config: &ComponentConfig, network: &Arc<Network>) -> bool {
        let ComponentConfig { http, http_timeout, http_max_response, .. } = config;
        (&self.own, &self.timeout, &self.max_response) == (http, http_timeout, http_max_response)
            && Arc::ptr_eq(&self.network, network)
    }

    /// Returns the network, which all components of a generation share.
    pub(crate) fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// Returns the destinations that the component may send requests to.
    pub(crate) fn destinations(&self) -> &[Destination] {
        &self.own
    }

    /// Returns the maximum time of a request.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns the maximum size of the body of a response, in bytes.
    pub(crate) fn max_response(&self) -> usize {
        self.max_response
    }

    /// Returns whether requests may be sent while a transaction is open.
    pub(crate) fn permits_in_transaction(&self) -> bool {
        self.network.settings.in_transaction
    }

    /// Checks a destination against the lists of the component and of the host.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Denied`] with the entries that are missing.
    pub(crate) fn check(&self, uri: &Uri) -> Result<(), Failure> {
        let Some(wanted) = Destination::of(uri) else {
            let scheme = uri.scheme_str().unwrap_or_default();
            return Err(Failure::Denied(format!("{scheme} URLs and URLs with a user are not permitted")));
        };
        let lists = [
            (&self.own, "http", format!("[component.{}]", self.component)),
            (&self.network.settings.allow, "allow", "[outbound] of the host".to_owned()),
        ];
        let lacks = |list: &[Destination]| !list.iter().any(|entry| entry.covers(&wanted));
        let missing = lists.iter().filter(|(list, ..)| lacks(list));
        let missing: Vec<_> = missing.map(|(_, key, section)| format!("`{key}` of {section}")).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(Failure::Denied(format!("add \"{}\" to {}", wanted.origin(), missing.join(" and to ")))),
        }
    }

    /// Sends a request, or redirects it. Its destination must have passed [`check`](Self::check).
    pub(crate) async fn send(
        &self,
        mut request: http::Request<RequestBody>,
        redirect: Option<&Redirect>,
        timeouts: Timeouts,
        record: &Record,
    ) -> Result<http::Response<ResponseBody>, Failure> {
        let too_many = |_| Failure::TooMany(self.network.settings.max_in_flight);
        let place = self.in_flight.clone().try_acquire_owned().map_err(too_many)?;
        let deadline = Instant::now() + self.timeout;
        let (until, late) = match timeouts.first_byte.filter(|limit| *limit < self.timeout) {
            Some(limit) => (Instant::now() + limit, Failure::Silence(limit)),
            None => (deadline, Failure::Timeout(self.timeout)),
        };
        let redirected = redirect.and_then(|redirect| redirect.target(request.uri())).transpose()?;
        let is_redirected = redirected.is_some();
        if let Some(target) = redirected {
            *request.uri_mut() = target;
        }
        let response = timeout_at(until, self.network.send(request, is_redirected)).await.map_err(|_| late)??;
        let limits = Limits { timeout: self.timeout, deadline, max_response: self.max_response, timeouts };
        Ok(response.map(|body| ResponseBody::new(body, limits, (place, record.end().clone()))))
    }
}
