//! Instruments of `carya test`, which observe and influence the requests of one generation.

use std::sync::Arc;

use super::Generation;
use crate::{component::RequestState, message::Request, outbound::Redirect, transaction::Recorder};

/// The instruments of a generation.
#[derive(Debug)]
pub(crate) struct Instruments {
    /// Records of requests. All lanes share it.
    pub(crate) recorder: Arc<Recorder>,
    /// Redirect of outbound requests.
    pub(crate) redirect: Arc<Redirect>,
}

impl Generation {
    /// Returns the state of a request, or of an action on behalf of a request.
    pub(crate) fn state_of(&self, request: Arc<Request>) -> RequestState {
        let mut state = RequestState::new(request);
        if let Some(Instruments { redirect, .. }) = self.instruments.as_deref() {
            state.trace.record_details();
            state.calls.redirect = Some(redirect.clone());
        }
        state
    }
}
