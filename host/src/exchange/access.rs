//! The access log: one record for each request, written after its response was passed to the connection, or when the
//! request has ended without one.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Instant,
};

use http::{HeaderMap, HeaderName, Method, Version, header};

use crate::{
    error::Failure,
    lifecycle::{Ended, Served},
    message::{self, Request},
    telemetry::{self, ACCESS, AccessFormat, Combined},
};

/// Maximum length of a header field in a record, in bytes.
const MAX_FIELD: usize = 512;

/// Beginning of a request, or `None` if the access log is off.
pub(crate) type Begun = Option<Instant>;

/// The record of a request. It is written when the value is dropped, so a request has a record even if its client has
/// disconnected. Boxed, because the futures and the body of a response contain it.
pub(crate) struct Access(Box<Record>);

struct Record {
    begun: Instant,
    head: Head,
    end: Slot,
    /// Bytes of the body that were passed to the connection.
    sent: u64,
    /// Length of the body, if the response has a header with it that its body does not report.
    length: Option<u64>,
    is_complete: bool,
}

/// The fields of a record that describe the request. They are copies: a slow client must not keep the body and the head of
/// its request in memory while it receives the response. A short record has no header fields but `trace`.
struct Head {
    id: Arc<str>,
    client: Option<IpAddr>,
    method: Method,
    /// In the combined format with the query.
    path: String,
    protocol: &'static str,
    authority: Option<String>,
    user_agent: Option<String>,
    /// Only in the combined format.
    referer: Option<String>,
    trace: Option<String>,
    /// Length of the body.
    bytes: usize,
}

/// The end of a request.
enum Slot {
    Known(End),
    /// The request ends after its last row.
    Later(Arc<OnceLock<End>>),
}

/// Facts about a request that are known at its end.
#[derive(Default)]
pub(super) struct End {
    /// Kind of the record, its message.
    what: &'static str,
    status: u16,
    outcome: &'static str,
    /// Time in the lifecycle, in microseconds.
    us: Option<u64>,
    served: Served,
    detail: Option<String>,
}

impl Head {
    fn of(Request { method, uri, version, headers, body, client, id, .. }: &Request) -> Self {
        let format = telemetry::access_format();
        let (is_short, is_combined) = (format == AccessFormat::Short, format == AccessFormat::Combined);
        let target = uri.path_and_query().filter(|_| is_combined).map(|target| target.as_str());
        Self {
            id: id.clone(),
            client: *client,
            method: method.clone(),
            path: target.unwrap_or(uri.path()).to_owned(),
            protocol: protocol(*version),
            authority: if is_short { None } else { field(headers, header::HOST) },
            user_agent: if is_short { None } else { field(headers, header::USER_AGENT) },
            referer: if is_combined { field(headers, header::REFERER) } else { None },
            trace: message::trace_id(headers).map(str::to_owned),
            bytes: body.len(),
        }
    }
}

impl End {
    /// Returns the end of a request that ran.
    pub(super) fn ran(ended: &Ended) -> Self {
        Self {
            what: "request",
            status: ended.reply.status.as_u16(),
            outcome: ended.cleared.outcome().as_str(),
            us: Some(telemetry::micros(ended.trace.elapsed())),
            served: ended.served.clone(),
            detail: None,
        }
    }

    /// Returns the end of a request that did not run.
    pub(super) fn refused(failure: &Failure) -> Self {
        let (status, detail) = (failure.status.as_u16(), Some(failure.detail.clone()));
        Self { what: "refused", status, outcome: "refused", detail, ..Self::default() }
    }

    /// Returns the end of a request in which the host panicked.
    pub(super) fn panicked(failure: &Failure) -> Self {
        Self { what: "request", outcome: "panicked", ..Self::refused(failure) }
    }

    /// Returns the end of a request for the server itself or for a file below the prefix `route`.
    pub(super) fn host(what: &'static str, status: u16, route: Option<Arc<str>>) -> Self {
        Self { what, status, outcome: what, served: Served { route, component: None }, ..Self::default() }
    }
}

impl Access {
    /// Returns the beginning of a request that arrives now.
    pub(crate) fn begin() -> Begun {
        let is_on = match telemetry::access_format() {
            AccessFormat::Short | AccessFormat::Full => tracing::enabled!(target: ACCESS, tracing::Level::INFO),
            AccessFormat::Combined => true,
            AccessFormat::Off => false,
        };
        is_on.then(Instant::now)
    }

    /// Returns the record of a request that has ended, if it has a beginning.
    pub(super) fn new(begun: Begun, request: &Request, end: impl FnOnce() -> End) -> Option<Self> {
        Some(Self::at(begun?, request, Slot::Known(end())))
    }

    fn at(begun: Instant, request: &Request, end: Slot) -> Self {
        Self(Box::new(Record { begun, head: Head::of(request), end, sent: 0, length: None, is_complete: false }))
    }

    /// Returns the record of a request that streams its rows, and the place for its end.
    pub(super) fn streaming(begun: Begun, request: &Request) -> Option<(Self, Arc<OnceLock<End>>)> {
        let place = Arc::default();
        Some((Self::at(begun?, request, Slot::Later(Arc::clone(&place))), place))
    }

    /// Counts bytes of the body that were passed to the connection.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.0.sent += bytes as u64;
    }

    /// Records that the whole body was passed to the connection.
    pub(crate) fn complete(&mut self) {
        self.0.is_complete = true;
    }

    /// Sets the length of the body from the header of its response.
    pub(super) fn expect(&mut self, headers: &HeaderMap) {
        let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        self.0.length = length.and_then(|length| length.parse().ok());
    }
}

impl Record {
    fn write(&self, end: &End) {
        let Head { id, client, method, path, protocol, authority, user_agent, referer, trace, bytes } = &self.head;
        let End { what, status, outcome, us, served: Served { route, component }, detail } = end;
        let (client, status, method, user_agent) = (*client, *status, method.as_str(), user_agent.as_deref());
        let format = telemetry::access_format();
        if format == AccessFormat::Combined {
            let (target, referer, bytes) = (path, referer.as_deref(), self.sent);
            return Combined { client, method, target, protocol, status, bytes, referer, user_agent }.write();
        }
        let aborted = (!self.is_complete && self.length != Some(self.sent)).then_some(true);
        if format == AccessFormat::Short {
            // Each further field costs time in every request.
            let (request, bytes_out) = (&**id, self.sent);
            tracing::info!(
                target: ACCESS, request, method, path, status, outcome, us, bytes_out, trace, aborted, detail, "{what}"
            );
            return;
        }
        tracing::info!(
            target: ACCESS,
            request = &**id,
            client = client.map(tracing::field::display),
            authority,
            method,
            path,
            route = route.as_deref(),
            component = component.as_deref(),
            status,
            outcome,
            us,
            total_us = telemetry::micros(self.begun.elapsed()),
            bytes_in = bytes,
            bytes_out = self.sent,
            protocol,
            user_agent,
            trace,
            aborted,
            detail,
            "{what}"
        );
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        match &self.end {
            Slot::Known(end) => self.write(end),
            // The body with the rows is dropped before this value, and has set the end.
            Slot::Later(end) => self.write(end.get().unwrap_or(&End::default())),
        }
    }
}

/// Returns the beginning of the first header field with a name.
fn field(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let mut value = String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned();
    value.truncate(value.floor_char_boundary(MAX_FIELD));
    Some(value)
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}
