//! Calls of `wasi:http/incoming-handler`: components that were not made for this host, as controllers.
//!
//! The guest writes the body of its response to a channel that the host drains while the guest runs. How the channel
//! ends does not show whether the guest succeeded: after a trap the body ends cleanly, and after a successful call it
//! may stay open. So the result of the call decides, and only then the state of the body.

use std::{
    convert::Infallible,
    future::pending,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, response::Parts};
use http_body_util::{BodyExt, Full};
use tokio::{sync::oneshot, task::unconstrained};
use wasmtime::{Store, component::Resource};
use wasmtime_wasi_http::{
    Error, WasiHttpView,
    p2::{
        bindings::{
            exports::wasi::http::incoming_handler::Guest,
            http::types::{ErrorCode, Scheme},
        },
        body::HyperOutgoingBody,
        types::{HostIncomingRequest, HostResponseOutparam},
    },
};

use super::{
    answer::{Body, Response},
    store::StoreData,
};
use crate::message::{Limits, Request};

/// Authority of a request of HTTP/1.0 without a `Host`.
const NO_AUTHORITY: HeaderValue = HeaderValue::from_static("localhost");

/// Error for a missing, incomplete or too long response of a guest. The instance must not serve a further request.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct ResponseFault(String);

/// Value that the guest passes to `response-outparam.set`.
type Answer = Result<http::Response<HyperOutgoingBody>, ErrorCode>;

/// Calls the handler of a guest with the request that its store contains. Returns the complete response, or the error
/// that the guest set instead of a response.
///
/// # Errors
///
/// Returns an error if the guest trapped, and a [`ResponseFault`] if its response is missing, incomplete or longer than
/// `limits` permit.
pub(super) async fn handle(
    store: &mut Store<StoreData>,
    handler: &Guest,
    limits: Limits,
) -> wasmtime::Result<Result<Response, String>> {
    let data = store.data_mut();
    data.may_have_handles = true;
    let served = data.lent.request.clone();
    let (sender, receiver) = oneshot::channel();
    let (request, out) = begin(data, sender)?;
    let mut collector = Collector::new(receiver, limits);
    {
        let calling = pin!(handler.call_handle(&mut *store, request, out));
        tokio::select! {
            // Poll the call first: if the guest never waits, its body is drained only once, after the call.
            biased;
            called = calling => called?,
            fault = collector.run() => return Err(fault.into()),
        }
    }
    collector.settle()?;
    if collector.has_trailers {
        let (component, request) = (&*store.data().properties.name, &*served.id);
        tracing::debug!(component, request, "the trailers of the response were dropped");
    }
    Ok(collector.end(&served.method)?)
}

/// Adds the request of the running call to the table of the guest, and the place for the response.
fn begin(
    data: &mut StoreData,
    sender: oneshot::Sender<Answer>,
) -> wasmtime::Result<(Resource<HostIncomingRequest>, Resource<HostResponseOutparam>)> {
    let scheme = if data.lent.request.is_encrypted { Scheme::Https } else { Scheme::Http };
    let request = convert(&data.lent.request);
    let answered = Arc::new(AtomicBool::new(false));
    let mut http = data.http();
    let request = http.new_incoming_request(scheme, request)?;
    let set = {
        let answered = answered.clone();
        move |answer| {
            answered.store(true, Relaxed);
            // The receiver is gone if the call is cut off.
            let _ = sender.send(answer);
        }
    };
    let out = http.new_response_outparam_from_callback(set)?;
    if let Some(http) = &mut data.http {
        http.answered = Some(answered);
    }
    Ok((request, out))
}

/// Returns a request as wasmtime reads it. It has the authority in its URI or in its header `host`.
fn convert(
    request: &Request,
) -> http::Request<impl hyper::body::Body<Data = Bytes, Error = Error> + Send + 'static + use<>> {
    let body = Full::new(request.body.clone()).map_err(|never: Infallible| -> Error { match never {} });
    let mut converted = http::Request::new(body);
    *converted.method_mut() = request.method.clone();
    *converted.uri_mut() = request.uri.clone();
    *converted.headers_mut() = request.headers.clone();
    if request.uri.authority().is_none() {
        converted.headers_mut().entry(header::HOST).or_insert(NO_AUTHORITY);
    }
    converted
}

/// Collects a response while the guest produces it. Dropping a future of its methods loses nothing.
struct Collector {
    limits: Limits,
    /// `None` once the guest has set or dropped its `response-outparam`.
    receiver: Option<oneshot::Receiver<Answer>>,
    /// The error that the guest set instead of a response.
    refusal: Option<ErrorCode>,
    head: Option<Parts>,
    /// Rest of the body, `None` once it has ended.
    body: Option<HyperOutgoingBody>,
    bytes: Collected,
    has_trailers: bool,
    /// Error with which the body has ended.
    error: Option<Error>,
}

impl Collector {
    fn new(receiver: oneshot::Receiver<Answer>, limits: Limits) -> Self {
        let (receiver, bytes) = (Some(receiver), Collected::default());
        Self { limits, receiver, refusal: None, head: None, body: None, bytes, has_trailers: false, error: None }
    }

    /// Drains the body. Resolves only if it is too long: the guest must not run until its time limit then. A body that
    /// ends with an error does not end the call, because the guest may have more to report about its failure.
    async fn run(&mut self) -> ResponseFault {
        match self.drain().await {
            Ok(()) => pending().await,
            Err(fault) => fault,
        }
    }

    /// Waits for the response and for the end of its body.
    async fn drain(&mut self) -> Result<(), ResponseFault> {
        if let Some(receiver) = &mut self.receiver {
            let answer = receiver.await;
            self.receiver = None;
            match answer {
                Ok(Ok(response)) => {
                    let (head, body) = response.into_parts();
                    (self.head, self.body) = (Some(head), Some(body));
                }
                Ok(Err(code)) => self.refusal = Some(code),
                Err(_) => {}
            }
        }
        while let Some(body) = &mut self.body {
            match body.frame().await.map(|frame| frame.map(|frame| frame.into_data())) {
                Some(Ok(Ok(data))) => {
                    self.limits.check_body(self.bytes.len() + data.len()).map_err(ResponseFault)?;
                    self.bytes.push(data);
                }
                Some(Ok(Err(_))) => self.has_trailers = true,
                Some(Err(error)) => (self.body, self.error) = (None, Some(error)),
                None => self.body = None,
            }
        }
        Ok(())
    }

    /// Drains the bytes that the guest has written until the end of its call. A body that is still pending then stays
    /// incomplete.
    fn settle(&mut self) -> Result<(), ResponseFault> {
        // Without `unconstrained`, the budget of the task could make a complete body appear pending.
        unconstrained(self.drain()).now_or_never().unwrap_or(Ok(()))
    }

    /// Returns the response of a settled call.
    fn end(self, method: &Method) -> Result<Result<Response, String>, ResponseFault> {
        if let Some(code) = self.refusal {
            return Ok(Err(words(code)));
        }
        let Some(head) = self.head else {
            return Err(ResponseFault("it returned without setting its `response-outparam`".to_owned()));
        };
        if self.body.is_some() {
            return Err(ResponseFault("it returned without finishing the body of its response".to_owned()));
        }
        check_length(&head, method, self.bytes.len()).map_err(ResponseFault)?;
        // The length in an answer to HEAD is that of GET, so wasmtime finds it wrong.
        if let Some(error) = self.error.filter(|_| method != Method::HEAD) {
            return Err(ResponseFault(format!("the body of its response was dropped before its end: {error}")));
        }
        let body = match method {
            &Method::HEAD if self.bytes.len() == 0 => Body::Omitted(declared_length(&head.headers)),
            _ => Body::Untyped(self.bytes.into()),
        };
        Ok(Ok(Response { status: head.status.as_u16(), headers: fields(&head.headers), body }))
    }
}

/// Returns the error that a guest set instead of a response, in its own words if it has some.
fn words(code: ErrorCode) -> String {
    match code {
        ErrorCode::InternalError(Some(words)) => words,
        code => format!("it set its response to the error {code:?}"),
    }
}

/// Checks the `content-length` of a guest. Wasmtime checks it only if the guest has requested the body.
fn check_length(head: &Parts, method: &Method, length: usize) -> Result<(), String> {
    if method == Method::HEAD || head.status == StatusCode::NOT_MODIFIED {
        return Ok(());
    }
    let Some(declared) = head.headers.get(header::CONTENT_LENGTH) else { return Ok(()) };
    if declared_length(&head.headers) == Some(length as u64) {
        return Ok(());
    }
    Err(format!("the `content-length` of its response is {declared:?}, but the body has {length} bytes"))
}

/// Returns the `content-length` of a guest, which may be that of a body that it has left out.
fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Returns the header fields of a guest's response without those that the host sets itself.
fn fields(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let is_by_guest = |name: &header::HeaderName| name != header::CONTENT_LENGTH && name != header::DATE;
    let by_guest = headers.iter().filter(|(name, _)| is_by_guest(name));
    by_guest.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

/// The bytes of a body. A body of one part is not copied.
#[derive(Default)]
struct Collected {
    first: Bytes,
    all: Vec<u8>,
}

impl Collected {
    fn len(&self) -> usize {
        self.first.len() + self.all.len()
    }

    fn push(&mut self, data: Bytes) {
        if self.len() == 0 {
            self.first = data;
            return;
        }
        self.all.extend(std::mem::take(&mut self.first));
        self.all.extend(data);
    }
}

impl From<Collected> for Bytes {
    fn from(Collected { first, all }: Collected) -> Self {
        if all.is_empty() { first } else { all.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_body_are_joined() {
        for parts in [&[][..], &["a"], &["", "a"], &["ab", "", "c", "d"]] {
            let mut collected = Collected::default();
            parts.iter().for_each(|part| collected.push(Bytes::from_static(part.as_bytes())));
            assert_eq!(collected.len(), parts.concat().len(), "{parts:?}");
            assert_eq!(Bytes::from(collected), parts.concat(), "{parts:?}");
        }
    }

    #[test]
    fn a_declared_length_must_be_that_of_the_body() {
        let table = [
            (200, Method::GET, None, true),
            (200, Method::GET, Some("4"), true),
            (200, Method::POST, Some("5"), false),
            (200, Method::GET, Some("4, 4"), false),
            (200, Method::HEAD, Some("5"), true),
            (304, Method::GET, Some("5"), true),
        ];
        for (status, method, declared, is_good) in table {
            let mut head = http::Response::new(()).into_parts().0;
            head.status = StatusCode::from_u16(status).unwrap_or_default();
            let declared = declared.map(HeaderValue::from_static);
            head.headers.extend(declared.clone().map(|value| (header::CONTENT_LENGTH, value)));
            assert_eq!(check_length(&head, &method, 4).is_ok(), is_good, "{status} {method} {declared:?}");
        }
    }

    #[test]
    fn the_host_sets_the_length_and_the_date() {
        let headers = HeaderMap::from_iter([
            (header::CONTENT_LENGTH, HeaderValue::from_static("4")),
            (header::DATE, HeaderValue::from_static("now")),
            (header::VARY, HeaderValue::from_static("accept")),
        ]);
        assert_eq!(fields(&headers), [("vary".to_owned(), b"accept".to_vec())]);
    }
}
