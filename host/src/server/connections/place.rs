//! Serves one accepted connection: HTTP over its stream, within its time limits.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::Arc,
    task::{Poll, ready},
};

use axum::response::Response;
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::GracefulConnection};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until, timeout},
};

use super::{
    activity::{Activity, Closed, Due, FIRST_BYTE, Order, Timeouts},
    connection::{Connection, Connections},
    response::{ResponseBody, Running},
    socket::Socket,
};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// An accepted connection. It holds one of its listener's permits until this value is dropped.
#[derive(Debug)]
pub struct Place {
    connection: Arc<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    pub(super) fn new(listener: &'static str, all: Arc<Connections>, permit: OwnedSemaphorePermit) -> Self {
        Self { connection: all.add(listener), _permit: permit }
    }

    /// Runs the part of a connection before HTTP, such as the TLS handshake. The handshake has the time limit of the
    /// first byte (10 s). Until it ends the connection counts as idle.
    ///
    /// # Errors
    ///
    /// Returns the error of the handshake, `TimedOut` after the time limit, or `ConnectionAborted` if the host closes
    /// the connection to make room.
    pub async fn handshake<T>(&self, handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let activity = &self.connection.activity;
        let mut handshake = pin!(timeout(FIRST_BYTE, handshake));
        poll_fn(|cx| {
            activity.register(cx.waker());
            match activity.ordered() {
                Some(_) => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
                None => handshake.as_mut().poll(cx).map(|ended| ended.unwrap_or_else(|slow| Err(slow.into()))),
            }
        })
        .await
    }

    /// Serves HTTP/1 or HTTP/2 until the connection is closed.
    pub async fn serve<F>(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    ) where
        F: Future<Output = Response> + Send + 'static,
    {
        let (connection, owner) = (&self.connection, self.connection.clone());
        let service = service_fn(move |request| {
            let (mut running, answer) = (Running::new(owner.clone()), answer.clone());
            async move {
                running.admit().await;
                let (head, body) = answer(request).await.into_parts();
                Ok::<_, Infallible>(Response::from_parts(head, ResponseBody::new(running, body).await))
            }
        });
        let socket = TokioIo::new(Socket::new(stream, connection.clone()));
        let Connections { http, timeouts, .. } = &*connection.all;
        if let Err(reason) = drive(&connection.activity, timeouts, http.serve_connection(socket, service)).await {
            tracing::debug!(listener = connection.listener, reason, "a connection was closed");
        }
    }
}

impl Drop for Place {
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
                Due::Look => {}
            }
        }
    })
    .await
}
