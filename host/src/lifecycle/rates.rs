//! The rate limits by identity.

use super::Lifecycle;
use crate::{component::RequestState, error::Failure, rates::Client, telemetry::metrics};

impl Lifecycle<'_> {
    /// Counts the request for the rate limits by identity, which no later hook can set. Returns `false` if it exceeds one.
    pub(super) fn is_within_rates(&mut self) -> bool {
        let rates = &self.generation.rates;
        if rates.is_empty() || self.is_rehearsal {
            return true;
        }
        let RequestState { request, client, .. } = &self.state;
        let subject = client.as_ref().map(|client| &*client.subject);
        let client = Client { address: request.client, headers: &request.headers, subject };
        let Err(exceeded) = rates.count_identity(request.uri.path(), client) else { return true };
        metrics::exceeded(metrics::Limit::Rate);
        self.fail(Failure::too_many_requests(&exceeded));
        false
    }
}
