//! Converts between HTTP and the [`Request`] and [`Reply`] of `lifecycle`. [`serve`] has the steps in order: receive
//! the head and the body, detach from the client, admit, run, log, respond.

mod access;
mod admission;
mod body;
mod detach;
mod etag;
mod heavy;
mod rows;
mod steady;

use std::sync::Arc;

use axum::{body::Body, extract::Request as HttpRequest, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{access::End, detach::detach_on_drop};
pub(crate) use self::{
    access::{Access, Begun},
    admission::{Places, RoutePlaces},
};
use crate::{
    error::Failure,
    generation::Generation,
    lifecycle::{self, Ended, Handled},
    message::{self, BodyLength, Peer, Reply, Request},
    telemetry,
    transaction::{RequestEnd, Trace},
};

/// Header with the id of a request, in the request and in its response.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// Header with the id of the generation that served a request. The host sets it if `debug = true`.
const GENERATION: HeaderName = HeaderName::from_static("x-carya-generation");

/// A response, and the record of its request if the access log is on.
pub(crate) struct Answered {
    pub(crate) response: Response,
    pub(crate) access: Option<Access>,
}

/// For the listeners that have no access log.
impl From<Response> for Answered {
    fn from(response: Response) -> Self {
        Self { response, access: None }
    }
}

/// State shared by all requests of one generation.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The generation that serves the requests.
    pub(crate) generation: Arc<Generation>,
    /// Places for concurrent requests, shared by all generations.
    pub(crate) places: Arc<Places>,
    /// Number of places that a request takes.
    pub(crate) places_per_request: u32,
    /// The places of each route, by its index.
    pub(crate) routes: Vec<RoutePlaces>,
    /// Running requests of this generation.
    pub(crate) running: TaskTracker,
    /// Running requests of all generations.
    pub(crate) all: TaskTracker,
    /// Cancels the requests that still run after the drain timeout.
    pub(crate) cut_off: CancellationToken,
}

/// Serves one HTTP request. If the future is dropped while the request runs, the request ends in the background: by a
/// rollback, or by the commit if that has begun.
pub(crate) async fn serve(exchange: Arc<Exchange>, request: HttpRequest, peer: Peer) -> Answered {
    // From here on, a retired generation waits for the end of this request.
    let running = exchange.running.token();
    let begun = Access::begin();
    let (head, body) = request.into_parts();
    let mut request = receive_head(head, peer);
    match body::receive(body, &exchange.places.receiving, &exchange.generation.config.server).await {
        Ok(body) => request.body = body,
        Err(failure) => {
            let request = Arc::new(request);
            let (reply, access) = refuse(&request, begun, &failure);
            return Answered { response: respond(reply, None, &request), access };
        }
    }
    let request = Arc::new(request);
    let running = [running, exchange.all.token()];
    let found = exchange.generation.routes.find(&request.method, request.uri.path());
    let route = found.route();
    let (shared, tasks, pace) = (request.clone(), exchange.all.clone(), exchange.pace(route));
    // A client that disconnects must not interrupt a commit.
    let work = detach_on_drop(&tasks, pace, |abandoned| async move {
        let admitted = match admission::admit(&exchange, route).await {
            Ok(admitted) => admitted,
            Err(failure) => {
                let (reply, access) = refuse(&shared, begun, &failure);
                return (reply, None, access);
            }
        };
        let abandoned = async {
            tokio::select! {
                () = abandoned => {}
                () = exchange.cut_off.cancelled() => {}
            }
        };
        match lifecycle::handle(&exchange.generation, shared.clone(), found, abandoned).await {
            Handled::Ended(mut ended) => {
                if exchange.generation.config.server.etag {
                    etag::apply(&shared, &mut ended.reply);
                }
                log_end(&exchange.generation, &shared, &ended);
                if ended.failure.as_ref().is_some_and(Failure::is_of_guest) {
                    exchange.record_failure(route);
                }
                let access = Access::new(begun, &shared, || End::ran(&ended));
                let mut reply = ended.reply;
                add_debug(&mut reply.headers, &ended.trace, &exchange.generation);
                (reply, None, access)
            }
            Handled::Streaming(streaming) => {
                let mut reply = streaming.reply.clone();
                add_debug(&mut reply.headers, streaming.trace(), &exchange.generation);
                let (access, end) = Access::streaming(begun, &shared).unzip();
                // The places stay taken until the last row is sent.
                (reply, Some(rows::RowsBody::new(streaming, shared, (exchange, admitted), running, end)), access)
            }
        }
    });
    let (reply, rows, access) = work.await.unwrap_or_else(|| {
        let failure = Failure::host("the host panicked; the panic is in the log");
        (failure.reply(&request), None, Access::new(begun, &request, || End::panicked(&failure)))
    });
    Answered { response: respond(reply, rows, &request), access }
}

/// Returns the response to a request that the server refuses before it reads the body.
pub(crate) fn refuse_head(head: Parts, peer: Peer, failure: &Failure) -> Answered {
    let request = Arc::new(receive_head(head, peer));
    let (reply, access) = refuse(&request, Access::begin(), failure);
    Answered { response: respond(reply, None, &request), access }
}

/// Returns the response to a request that the server refuses because of its head. The response has the header
/// `connection: close`, so that the server closes the connection.
pub(crate) fn reject(head: Parts, peer: Peer, failure: &Failure) -> Answered {
    let mut answered = refuse_head(head, peer, failure);
    // The client and this host may disagree on where the next request begins.
    add(answered.response.headers_mut(), header::CONNECTION, HeaderValue::from_static("close"));
    answered
}

/// Returns the response to `OPTIONS *`, a request that concerns the whole server and no path.
pub(crate) fn acknowledge(head: Parts, peer: Peer) -> Answered {
    answer_as_server(head, peer, Reply { status: StatusCode::NO_CONTENT, ..Reply::default() })
}

/// Returns the response that redirects a request for good, with its method and body.
pub(crate) fn redirect(head: Parts, peer: Peer, location: HeaderValue) -> Answered {
    let headers = HeaderMap::from_iter([(header::LOCATION, location)]);
    answer_as_server(head, peer, Reply { status: StatusCode::PERMANENT_REDIRECT, headers, ..Reply::default() })
}

/// Returns the response to a preflight of CORS.
pub(crate) fn answer_preflight(head: Parts, peer: Peer, headers: HeaderMap) -> Answered {
    answer_as_server(head, peer, Reply { status: StatusCode::NO_CONTENT, headers, ..Reply::default() })
}

fn answer_as_server(head: Parts, peer: Peer, reply: Reply) -> Answered {
    let (begun, request) = (Access::begin(), Arc::new(receive_head(head, peer)));
    let access = Access::new(begun, &request, || End::host("server", reply.status.as_u16(), None));
    Answered { response: respond(reply, None, &request), access }
}

/// Completes the response with a file, or with the failure to find one, of the folder with this path prefix.
pub(crate) fn answer_with_file(
    mut response: Response,
    prefix: &str,
    (request, peer): (HttpRequest, Peer),
    begun: Begun,
) -> Answered {
    let request = Arc::new(receive_head(request.into_parts().0, peer));
    add_id(response.headers_mut(), &request);
    let status = response.status().as_u16();
    let route = || Some(if prefix.is_empty() { "/" } else { prefix }.into());
    let mut access = Access::new(begun, &request, || End::host("file", status, route()));
    if let Some(access) = &mut access {
        access.expect(response.headers());
    }
    Answered { response, access }
}

/// Returns a request without its body, and determines its id.
fn receive_head(head: Parts, peer: Peer) -> Request {
    let Parts { method, uri, version, headers, .. } = head;
    let id = request_id(&headers);
    let Peer { address: client, is_encrypted } = peer;
    Request { method, uri, version, headers, id, client, is_encrypted, ..Request::default() }
}

/// Counts a request that does not run. Returns its reply and its record.
fn refuse(request: &Arc<Request>, begun: Begun, failure: &Failure) -> (Reply, Option<Access>) {
    telemetry::metrics::refused(failure.status.as_u16());
    (failure.reply(request), Access::new(begun, request, || End::refused(failure)))
}

/// Adds, with `debug`, the trace and the generation of a request as headers.
fn add_debug(headers: &mut HeaderMap, trace: &Trace, generation: &Generation) {
    if generation.config.debug {
        let shown = [(SERVER_TIMING, trace.server_timing()), (GENERATION, generation.id.clone())];
        let shown = shown.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?)));
        for (name, value) in shown {
            add(headers, name, value);
        }
    }
}

/// Returns the response with this reply. `rows` is its body if the rows are streamed.
fn respond(reply: Reply, mut rows: Option<rows::RowsBody>, request: &Request) -> Response {
    let Reply { status, mut headers, mut body, length } = reply;
    add_id(&mut headers, request);
    // Remove the body here, because hyper would send a body with the status 205, and over HTTP/2 with every status and
    // method.
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED) {
        body.clear();
        if let Some(rows) = rows.take() {
            rows.omit();
        }
    } else if request.method == Method::HEAD {
        let length = match length {
            BodyLength::OfBody => Some(body.len() as u64),
            BodyLength::Streamed => None,
            BodyLength::Omitted(declared) => declared,
        };
        if let Some(length) = length {
            add(&mut headers, header::CONTENT_LENGTH, length.into());
        }
        body.clear();
    }
    let body = rows.map_or_else(|| Body::from(body), Body::new);
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Adds the id of a request to its response.
fn add_id(headers: &mut HeaderMap, request: &Request) {
    if let Ok(id) = HeaderValue::from_str(&request.id) {
        add(headers, REQUEST_ID, id);
    }
}

/// Sets a header field that the host adds to a response. If the map is full, logs an error and does not panic, because
/// the transaction may already be committed. The limits on guests' header fields leave room for the fields of the host.
fn add(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    if let Err(error) = headers.try_insert(&name, value) {
        tracing::error!(%name, %error, "a header field of the host could not be set");
    }
}

/// Returns the client's `x-request-id` if it consists of 1 to 128 visible ASCII characters, otherwise a new id.
fn request_id(headers: &HeaderMap) -> Arc<str> {
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    match given.filter(|id| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())) {
        Some(id) => id.into(),
        None => message::new_id().into(),
    }
}

/// Counts a request that ran, and logs its failure and its events.
fn log_end(generation: &Generation, request: &Request, ended: &Ended) {
    if let Some(instruments) = &generation.instruments {
        let end = RequestEnd {
            method: request.method.to_string(),
            path: request.uri.to_string(),
            status: ended.reply.status.as_u16(),
            outcome: ended.cleared.outcome().as_str(),
            failure: ended.failure.as_ref().map(|failure| failure.detail.clone()),
        };
        instruments.recorder.request(&request.id, end, &ended.trace);
    }
    let (status, outcome) = (ended.reply.status.as_u16(), ended.cleared.outcome().as_str());
    telemetry::metrics::request(status, outcome, ended.trace.elapsed());
    let (id, trace) = (&*request.id, message::trace_id(&request.headers));
    if let Some(failure) = &ended.failure {
        let (fault, detail) = (failure.fault.as_str(), &*failure.detail);
        match failure.status.is_server_error() {
            true => tracing::error!(request = id, fault, trace, "{detail}"),
            false => tracing::debug!(request = id, fault, trace, "{detail}"),
        }
    }
    tracing::debug!(target: "carya::lifecycle", request = id, trace, "{}", ended.trace.server_timing());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
        headers
    }

    #[test]
    fn a_valid_request_id_is_kept_and_an_invalid_id_is_replaced() {
        assert_eq!(&*request_id(&headers("x-request-id", "abc-1")), "abc-1");
        for bad in ["", "a b", &"x".repeat(129)] {
            assert_eq!(request_id(&headers("x-request-id", bad)).len(), 32, "{bad:?}");
        }
    }
}
