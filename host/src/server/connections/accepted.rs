//! Serves one accepted connection: HTTP over its stream, within its time limits.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    net::IpAddr,
    pin::pin,
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use axum::{extract::Request, response::Response};
use http::{HeaderValue, Version, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::GracefulConnection};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    activity::{Activity, Closed, Due, FIRST_BYTE, LINGER, Order, Timeouts},
    addresses::Place,
    body::RequestBody,
    connection::{Connection, Connections, MAX_DISCARDED},
    head::{self, Scope},
    proxied::{self, Peek},
    response::{ResponseBody, Running},
    socket::Socket,
};
use crate::{
    exchange::{self, Answered},
    message::Peer,
    tls,
};

/// Maximum time to discard bytes that a client sends after its last response.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(30);
/// Size of the buffer for discarded bytes.
const DISCARD_BUFFER: usize = 16 << 10;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// An accepted connection. It holds one of its listener's permits until this value is dropped.
#[derive(Debug)]
pub(crate) struct Accepted {
    connection: Arc<Connection>,
    peer: Peer,
    _permit: OwnedSemaphorePermit,
    /// Place among the connections of its address, if these are limited.
    place: Option<Place>,
}

impl Accepted {
    pub(super) fn new(
        listener: &'static str,
        address: Option<IpAddr>,
        all: Arc<Connections>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            connection: all.add(listener),
            peer: Peer { address, is_encrypted: false },
            _permit: permit,
            place: None,
        }
    }

    /// Runs a part of a connection that is not HTTP, within a time limit and until the host closes the connection.
    async fn run_idle<T>(&self, limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let activity = &self.connection.activity;
        let mut work = pin!(timeout(limit, work));
        poll_fn(|cx| {
            activity.register(cx.waker());
            match activity.ordered() {
                Some(_) => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
                None => work.as_mut().poll(cx).map(|ended| ended.unwrap_or_else(|slow| Err(slow.into()))),
            }
        })
        .await
    }

    /// Returns the address of the peer, if it has one.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.peer.address
    }

    /// Holds a place until the connection ends.
    pub(crate) fn hold(&mut self, place: Option<Place>) {
        self.place = place;
    }

    /// Reads the header of the PROXY protocol, and takes the client in it for the peer of the connection. Returns `false`
    /// if the connection is to be closed: it does not begin with a header, or the header does not arrive within the time
    /// limit of the first byte (10 s).
    pub(crate) async fn receive_proxy_header(&mut self, stream: &mut (impl Peek + AsyncRead + Unpin)) -> bool {
        match self.run_idle(FIRST_BYTE, proxied::receive(stream, self.peer)).await {
            Ok(peer) => self.peer = peer,
            Err(error) => {
                let (listener, proxy) = (self.connection.listener, self.peer.address.map(tracing::field::display));
                tracing::warn!(listener, proxy, %error, "a proxy sent no header of the PROXY protocol");
                return false;
            }
        }
        true
    }

    /// Serves HTTP/1 or HTTP/2 until the connection is closed, over TLS if `tls` is given. The handshake has the time
    /// limit of the first byte (10 s). Until it ends the connection counts as idle.
    pub(crate) async fn serve<F>(
        mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        tls: Option<TlsAcceptor>,
        answer: impl Fn(Request, Peer) -> F + Clone + Send + Sync + 'static,
    ) where
        F: Future<Output: Into<Answered>> + Send + 'static,
    {
        let Some(tls) = tls else { return self.serve_http(stream, answer).await };
        match self.run_idle(FIRST_BYTE, tls.accept(stream)).await {
            Ok(mut stream) if tls::is_check(stream.get_ref().1) => {
                let _ = self.run_idle(FIRST_BYTE, stream.shutdown()).await;
            }
            Ok(stream) => {
                self.peer.is_encrypted = true;
                // Boxed, so that connections without TLS do not contain this future.
                Box::pin(self.serve_http(stream, answer)).await;
            }
            Err(error) => tracing::debug!(listener = self.connection.listener, %error, "a TLS handshake failed"),
        }
    }

    async fn serve_http<F>(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        answer: impl Fn(Request, Peer) -> F + Clone + Send + Sync + 'static,
    ) where
        F: Future<Output: Into<Answered>> + Send + 'static,
    {
        let (connection, owner, peer) = (&self.connection, self.connection.clone(), self.peer);
        let service = service_fn(move |request| {
            let (mut running, answer, owner) = (Running::new(owner.clone()), answer.clone(), owner.clone());
            async move {
                running.admit().await;
                let Answered { response, access } = respond(request, &owner, peer, answer).await;
                let (head, body) = response.into_parts();
                Ok::<_, Infallible>(Response::from_parts(head, ResponseBody::new(running, body, access).await))
            }
        });
        let (socket, mut returned) = Socket::new(stream, connection.clone());
        let Connections { http, timeouts, .. } = &*connection.all;
        let http = http.serve_connection(TokioIo::new(socket), service);
        if let Err(reason) = drive(&connection.activity, timeouts, http).await {
            tracing::debug!(listener = connection.listener, reason, "a connection was closed");
            // If hyper cannot parse a head, it has sent an error response, and `close` below lets the client receive
            // the response. After all other errors the connection is closed at once.
            if !reason.downcast_ref().is_some_and(hyper::Error::is_parse) {
                return;
            }
        }
        if let Ok(stream) = returned.try_recv() {
            self.close(stream).await;
        }
    }

    /// Closes the sending side of `stream`, then discards what the client still sends until the client closes its side.
    ///
    /// If a socket is closed with unread bytes, the system resets the connection, and the client loses the last
    /// response. The connection counts as idle: the host closes it at once to make room, and at shutdown.
    async fn close(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        self.connection.activity.end_http();
        let discard = async {
            stream.shutdown().await?;
            let (mut buffer, mut discarded) = (vec![0; DISCARD_BUFFER], 0);
            while discarded < MAX_DISCARDED {
                match timeout(LINGER, stream.read(&mut buffer)).await?? {
                    0 => break,
                    length => discarded += length,
                }
            }
            Ok(())
        };
        if let Err(error) = self.run_idle(DISCARD_TIMEOUT, discard).await {
            tracing::debug!(listener = self.connection.listener, %error, "a client did not close its connection");
        }
    }
}

/// Answers one request: checks its head, calls the handler, and announces the end of an HTTP/1 connection whose request
/// has an unread body.
async fn respond<F>(
    request: http::Request<Incoming>,
    connection: &Arc<Connection>,
    peer: Peer,
    answer: impl Fn(Request, Peer) -> F,
) -> Answered
where
    F: Future<Output: Into<Answered>>,
{
    let (mut head, body) = request.into_parts();
    let is_http1 = head.version < Version::HTTP_2;
    let body = RequestBody::wrap(body, head.version, connection);
    let activity = &connection.activity;
    let has_fragment = connection.fragments.take(&head.uri);
    let mut answered = match head::check(&mut head, has_fragment) {
        Ok(Scope::Resource) => answer(Request::from_parts(head, body), peer).await.into(),
        early => {
            drop(body);
            match early {
                Err(failure) => exchange::reject(head, peer, &failure),
                Ok(_) => exchange::acknowledge(head, peer),
            }
        }
    };
    if is_http1 && activity.has_unread() {
        answered.response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answered
}

impl Drop for Accepted {
    fn drop(&mut self) {
        self.connection.remove();
    }
}

/// Polls a connection until it ends. Closes it when a time limit has passed, or on an [`Order`].
async fn drive(
    activity: &Activity,
    timeouts: &Timeouts,
    http: impl GracefulConnection<Error = Error>,
) -> Result<(), Error> {
    let mut http = pin!(http);
    let mut timer = pin!(sleep_until(Instant::now() + FIRST_BYTE));
    poll_fn(|cx| {
        activity.register(cx.waker());
        loop {
            if let Poll::Ready(ended) = http.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            match activity.ordered() {
                Some(Order::Abort) => return Poll::Ready(Err(Closed::Slowest.into())),
                Some(Order::Finish) if activity.begin_to_finish() => {
                    http.as_mut().graceful_shutdown();
                    continue;
                }
                _ => {}
            }
            // The timer moves here only to an earlier time. If the limit has moved to a later time, the timer fires
            // early and is set again below. Otherwise busy connections would reset the timer for each request.
            let (at, due) = activity.due(timeouts);
            if at < timer.deadline() {
                timer.as_mut().reset(at);
            }
            ready!(timer.as_mut().poll(cx));
            match due {
                _ if Instant::now() < at => timer.as_mut().reset(at),
                Due::Close(reason) => return Poll::Ready(Err(reason.into())),
                Due::Finish => activity.order(Order::Finish),
                Due::Rearm => {}
            }
        }
    })
    .await
}
