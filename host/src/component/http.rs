//! State of `wasi:http` in the store of a guest, and the hooks through which wasmtime's implementation sends the requests
//! of the guest by the rules of `outbound`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use http::{HeaderName, Method};
use http_body_util::BodyExt;
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpHooks};

use super::properties::Properties;
use crate::{
    message::{self, Request},
    outbound::{End, Failure, Record, Redirect, RequestBody, Timeouts},
    transaction::{Open, Trace},
};

/// Headers of a client's request that the host adds to requests of guests, so that one distributed trace contains both.
const TRACE_HEADERS: [HeaderName; 2] = [HeaderName::from_static("traceparent"), HeaderName::from_static("tracestate")];

/// Maximum size of a write to the body of a request, which the host buffers.
const MAX_WRITE: usize = 64 << 10;

/// State of `wasi:http` in the store of a guest.
pub(super) struct Http {
    pub(super) ctx: WasiHttpCtx,
    pub(super) sender: Sender,
    /// Whether the guest has set its response. `None` unless it serves a request by `incoming-handler`.
    pub(super) answered: Option<Arc<AtomicBool>>,
}

/// Sends the requests of a guest.
pub(super) struct Sender {
    properties: Arc<Properties>,
    /// Set during `handle`.
    pub(super) call: Option<Call>,
    /// Requests of the running call, with their events in the trace.
    pub(super) traced: Vec<(Open, Arc<End>)>,
}

/// The call of `handle` in which the guest sends a request.
pub(super) struct Call {
    pub(super) request: Arc<Request>,
    pub(super) redirect: Option<Arc<Redirect>>,
    /// Reason why the guest must not send a request now.
    pub(super) refusal: Option<String>,
    pub(super) begun: Option<Begun>,
}

/// A request that the guest has sent, or that the host refused.
pub(super) struct Begun {
    pub(super) target: Arc<str>,
    /// Method of a request that was not refused.
    pub(super) sent: Option<Method>,
    pub(super) end: Arc<End>,
}

impl Http {
    pub(super) fn new(properties: Arc<Properties>) -> Self {
        Self { ctx: WasiHttpCtx::new(), sender: Sender { properties, call: None, traced: Vec::new() }, answered: None }
    }

    /// Returns whether the guest serves a request by `incoming-handler` and has not set its response.
    pub(super) fn is_unanswered(&self) -> bool {
        self.answered.as_ref().is_some_and(|answered| !answered.load(Relaxed))
    }

    /// Ends a call: completes the events of its requests. Returns whether a request is still running.
    pub(super) fn end_call(&mut self, trace: &mut Trace) -> bool {
        self.answered = None;
        let mut is_running = false;
        for (open, end) in self.sender.traced.drain(..) {
            // The request and the body of its response share `end`.
            is_running |= Arc::strong_count(&end) > 1;
            if let Some((took, outcome)) = end.get() {
                trace.complete(open, *took, outcome.clone());
            }
        }
        is_running
    }
}

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sending = Box<dyn Future<Output = Result<(http::Response<WasiBody>, Io), Error>> + Send>;

impl WasiHttpHooks for Sender {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _response_processed: Io,
    ) -> Sending {
        let properties = self.properties.clone();
        let Some(call) = &mut self.call else { return Box::new(async { Err(Error::InternalError(None)) }) };
        let (mut parts, body) = request.into_parts();
        let (name, id) = (properties.name.clone(), call.request.id.clone());
        let record = Record::begin(name, id, &parts.method, &parts.uri);
        let permitted = properties.outbound.check(&parts.uri).and_then(|()| match call.refusal.take() {
            Some(reason) => Err(Failure::Forbidden(reason)),
            None => Ok(()),
        });
        call.begun = Some(Begun {
            target: record.target().clone(),
            sent: permitted.is_ok().then(|| parts.method.clone()),
            end: record.end().clone(),
        });
        if message::trace_id(&call.request.headers).is_some() && !parts.headers.contains_key(&TRACE_HEADERS[0]) {
            for name in TRACE_HEADERS {
                let value = call.request.headers.get(&name).cloned();
                value.map(|value| parts.headers.insert(name, value));
            }
        }
        let timeouts = options.map_or_else(Timeouts::default, |options| Timeouts {
            first_byte: options.first_byte_timeout,
            between_bytes: options.between_bytes_timeout,
        });
        let redirect = call.redirect.take();
        // Dropped with the future of a refused request, which drains it.
        let request = http::Request::from_parts(parts, RequestBody::new(body));
        Box::new(async move {
            let sent = match permitted {
                Ok(()) => properties.outbound.send(request, redirect.as_deref(), timeouts, &record).await,
                Err(failure) => Err(failure),
            };
            match sent {
                Ok(response) => {
                    record.responded(response.status());
                    let io: Io = Box::new(std::future::ready(Ok(())));
                    Ok((response.map(|body| body.map_err(error).boxed_unsync()), io))
                }
                Err(failure) => {
                    record.failed(&failure);
                    Err(error(failure))
                }
            }
        })
    }

    fn is_supported_scheme(&mut self, _: &http::uri::Scheme) -> bool {
        // `Policy::check` refuses other schemes, with a log line and the error that other refusals have.
        true
    }

    fn set_host_header(&mut self) -> bool {
        // The client sets it, except for HTTP/2.
        false
    }

    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        MAX_WRITE
    }
}

/// Converts a failure to the error that the guest receives. Only two of these errors carry a text.
fn error(failure: Failure) -> Error {
    match failure {
        Failure::Denied(_) => Error::HttpRequestDenied,
        Failure::Forbidden(reason) => Error::InternalError(Some(reason)),
        Failure::Prohibited(_) => Error::DestinationIpProhibited,
        Failure::TooMany(_) => Error::ConnectionLimitReached,
        Failure::Name(reason) => Error::DnsError { rcode: Some(reason), info_code: None },
        Failure::Connect(_) => Error::ConnectionRefused,
        Failure::Certificate(_) => Error::TlsCertificateError,
        Failure::Tls(_) => Error::TlsProtocolError,
        Failure::Timeout(_) => Error::HttpResponseTimeout,
        Failure::Silence(_) => Error::ConnectionReadTimeout,
        Failure::TooLong(limit) => Error::HttpResponseBodySize(Some(limit as u64)),
        Failure::Incomplete(_) => Error::HttpResponseIncomplete,
        Failure::Protocol(_) => Error::HttpProtocolError,
    }
}
