//! The record of an outbound request, for the log, the metrics and the trace of the client's request.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use http::{Method, StatusCode, Uri};

use super::Failure;
use crate::telemetry::{
    self,
    metrics::{self, OutboundEnd},
};

/// An outbound request that has begun. Ends with the head of the response, with a failure, or when it is dropped
/// because the guest no longer waits for it.
#[derive(Debug)]
pub(crate) struct Record {
    component: Arc<str>,
    request: Arc<str>,
    /// Method and URL without the query, which may contain secrets.
    target: Arc<str>,
    started: Instant,
    end: Arc<End>,
}

/// End of an outbound request: its duration, and a description of it with its outcome.
pub(crate) type End = OnceLock<(Duration, Arc<str>)>;

impl Record {
    /// Begins an outbound request of `component` on behalf of the request with the id `request`.
    pub(crate) fn begin(component: Arc<str>, request: Arc<str>, method: &Method, uri: &Uri) -> Self {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let host = authority.rsplit('@').next().unwrap_or_default();
        let target = format!("{method} {}://{host}{}", uri.scheme_str().unwrap_or_default(), uri.path());
        Self { component, request, target: target.into(), started: Instant::now(), end: Arc::default() }
    }

    /// Returns the method and the URL.
    pub(crate) fn target(&self) -> &Arc<str> {
        &self.target
    }

    /// Returns the cell that will contain the end of the request. The body of the response shares it, so it also shows
    /// whether the request still runs.
    pub(crate) fn end(&self) -> &Arc<End> {
        &self.end
    }

    /// Ends the request with a response.
    pub(crate) fn responded(self, status: StatusCode) {
        let (component, request, target, status) = (&*self.component, &*self.request, &*self.target, status.as_u16());
        let us = telemetry::micros(self.started.elapsed());
        tracing::debug!(component, request, status, us, "outbound HTTP: {target}");
        self.close(OutboundEnd::Response(status), &status.to_string());
    }

    /// Ends the request with a failure. A refusal is logged at the level `WARN`, because it reaches most guests without
    /// its text.
    pub(crate) fn failed(self, failure: &Failure) {
        let (component, request, target) = (&*self.component, &*self.request, &*self.target);
        if failure.is_refusal() {
            tracing::warn!(component, request, "outbound HTTP was refused: {target}: {failure}");
        } else {
            tracing::debug!(component, request, "outbound HTTP failed: {target}: {failure}");
        }
        let end = if failure.is_refusal() { OutboundEnd::Refused } else { OutboundEnd::Failed };
        self.close(end, &failure.to_string());
    }

    fn close(&self, end: OutboundEnd, outcome: &str) {
        let elapsed = self.started.elapsed();
        metrics::outbound(end, elapsed);
        let _ = self.end.set((elapsed, format!("{}: {outcome}", self.target).into()));
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.end.get().is_none() {
            self.close(OutboundEnd::Cancelled, "cancelled");
        }
    }
}
