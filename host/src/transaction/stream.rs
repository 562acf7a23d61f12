//! The rows of a read-only request that are streamed to the client. The stream owns the binding of the request, and so
//! keeps its connection until the last row was passed on or the stream is dropped.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::{
    binding::{Cleared, ReadOnly, Unbound},
    trace::Trace,
};
use crate::{
    database::OpenStream,
    sql::{
        DbError, Sink, Statement, StreamedRows,
        flow::{Flow, RowsText},
    },
};

/// Rows on their way to the client.
pub(crate) struct RowStream {
    /// The statement. `None` after its end, and after the stream was released.
    statement: Option<Running>,
    flow: Flow,
    /// Binding for statements of hooks that run before the rows are sent.
    companion: Option<ReadOnly>,
    /// Place of the stream in its database. `None` until the stream is admitted.
    place: Option<OpenStream>,
    timeout: Duration,
    sent: u64,
}

/// A statement that runs, with the binding that it uses. Its result is the last piece.
type Running = Pin<Box<dyn Future<Output = (ReadOnly, Result<String, DbError>)> + Send>>;

/// Result of [`ReadOnly::stream`].
pub(crate) enum Begun {
    /// The result has at most one piece, or the statement failed.
    Ended(ReadOnly, Result<String, DbError>),
    /// The first piece is ready, and more rows follow.
    Partial(RowStream),
}

impl ReadOnly {
    /// Runs a query up to the first piece of its rows. The caller must have begun the transaction.
    pub(crate) async fn stream(mut self, query: Statement, text: RowsText, timeout: Duration) -> Begun {
        let companion = Some(self.companion());
        let mut rows = StreamedRows::new(text, timeout);
        let flow = rows.flow.clone();
        let mut statement: Running = Box::pin(async move {
            // The transaction has begun, so no event happens in this trace.
            let run = self.session().run(&mut Trace::default(), query, Sink::Stream(&mut rows)).await;
            (self, run.map(|_| rows.finish()))
        });
        let first = poll_fn(|cx| match statement.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if flow.is_waiting() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        match first.await {
            Some((binding, result)) => Begun::Ended(binding, result),
            None => {
                let statement = Some(statement);
                Begun::Partial(RowStream { statement, flow, companion, place: None, timeout, sent: 0 })
            }
        }
    }
}

impl RowStream {
    /// Returns the binding for statements of hooks that run before the rows are sent. A second call returns `None`.
    pub(crate) fn take_companion(&mut self) -> Option<ReadOnly> {
        self.companion.take()
    }

    /// Sets the place that the stream takes until its end.
    pub(crate) fn admit(&mut self, place: OpenStream) {
        self.place = Some(place);
    }

    /// Returns the maximum time of the stream.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns the number of bytes that were passed on so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns the next piece. Returns `None` after the last one. After an error the result is incomplete. The transaction
    /// ends with the last row.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, DbError>>> {
        let Some(statement) = &mut self.statement else { return Poll::Ready(None) };
        // The first piece was produced before the first call.
        let mut piece = self.flow.take();
        if piece.is_none() {
            if let Poll::Ready((binding, result)) = statement.as_mut().poll(cx) {
                self.statement = None;
                let place = self.place.take();
                binding.close();
                // An error drops the place of a stream that is incomplete.
                let rest = match result {
                    Ok(rest) => rest,
                    Err(error) => return Poll::Ready(Some(Err(error))),
                };
                if let Some(place) = place {
                    place.sent(rest.len());
                    place.complete();
                }
                if rest.is_empty() {
                    return Poll::Ready(None);
                }
                piece = Some(rest);
            } else {
                piece = self.flow.take();
            }
        }
        let Some(piece) = piece else { return Poll::Pending };
        self.sent += piece.len() as u64;
        if let Some(place) = &self.place {
            place.sent(piece.len());
        }
        Poll::Ready(Some(Ok(Bytes::from(piece))))
    }

    /// Ends the stream and the transaction. A statement that still runs is ended.
    pub(crate) fn clear(self, trace: &mut Trace) -> Cleared {
        drop(self);
        Unbound::default().clear(trace)
    }
}

impl Drop for RowStream {
    /// Ends a stream before its last row. If the statement waits for the client, it ends in the background, and where the
    /// engine permits, the connection stays usable. Otherwise the statement is cancelled, which closes the connection.
    fn drop(&mut self) {
        let Some(statement) = self.statement.take().filter(|_| self.flow.is_waiting()) else { return };
        self.flow.close();
        if let Ok(runtime) = Handle::try_current() {
            let place = self.place.take();
            runtime.spawn(async move {
                statement.await.0.close();
                drop(place);
            });
        }
    }
}

impl fmt::Debug for RowStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowStream").field("sent", &self.sent).finish_non_exhaustive()
    }
}
