//! Results of a request: it has ended, or its rows are streamed and its transaction ends after the last row.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;

use crate::{
    error::Failure,
    message::Reply,
    sql::DbError,
    transaction::{Cleared, Event, Open, ReadOnly, RowStream, Trace},
};

/// A request after its last phase. Its reply can be sent.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all requests end so; a box would cost each of them an allocation"
)]
pub enum Handled {
    /// The request is finished.
    Ended(Ended),
    /// The rows of the response are still to be streamed, in the transaction of the request.
    Streaming(Box<Streaming>),
}

/// A finished request. It contains a [`Cleared`], which exists only after the transaction has ended.
#[derive(Debug)]
pub struct Ended {
    /// Reply for the client.
    pub reply: Reply,
    /// Proof that the request's transaction has ended, with its outcome.
    pub cleared: Cleared,
    /// Events of the request, in order.
    pub trace: Trace,
    /// Failure of the request, if it failed.
    pub failure: Option<Failure>,
    /// The route and the controller of the request.
    pub served: Served,
}

/// The route and the controller of a request. Both fields are `None` if no route matched it.
#[derive(Debug, Clone, Default)]
pub struct Served {
    /// Pattern of the route.
    pub route: Option<Arc<str>>,
    /// Name of the controller.
    pub component: Option<Arc<str>>,
}

/// How the binding of a request ends.
pub(super) enum End {
    /// It has ended.
    Cleared(Cleared),
    /// It ends with the rows that are streamed.
    Streams(Box<RowStream>),
}

/// A request that has rows to stream.
#[derive(Debug)]
pub struct Streaming {
    /// Reply for the client, without its body.
    pub(crate) reply: Reply,
    rows: RowStream,
    trace: Trace,
    /// The event of the stream, which has begun.
    open: Open,
    failure: Option<Failure>,
    served: Served,
}

/// Reason why a stream ended before its last row.
#[derive(Debug)]
pub(crate) enum Cut {
    /// The query failed.
    Failed(DbError),
    /// The host panicked.
    Panicked,
    /// The client disconnected, or did not read fast enough.
    Disconnected,
    /// `stream_timeout` has passed.
    TimedOut,
    /// The host is shutting down, or the drain timeout of an old generation has passed.
    Drained,
}

impl Handled {
    /// Returns the reply.
    pub fn reply(&self) -> &Reply {
        match self {
            Handled::Ended(ended) => &ended.reply,
            Handled::Streaming(streaming) => &streaming.reply,
        }
    }

    /// Returns the finished request. Rows that are still to be streamed are dropped.
    pub(super) fn end(self) -> Ended {
        match self {
            Handled::Ended(ended) => ended,
            Handled::Streaming(streaming) => streaming.end(None),
        }
    }
}

impl End {
    /// Ends a read-only binding, or leaves its end to its rows. In the latter case `binding` is the one that hooks have
    /// used beside the rows.
    pub(super) fn read(binding: ReadOnly, rows: Option<Box<RowStream>>, trace: &mut Trace) -> Self {
        match rows {
            None => End::Cleared(binding.clear(trace)),
            Some(rows) => {
                binding.close();
                End::Streams(rows)
            }
        }
    }
}

impl Cut {
    /// Returns the failure for the log. The client has received the status of the reply already.
    fn failure(self, sent: u64) -> Failure {
        let what = format!("the response was cut off after {sent} bytes");
        match self {
            Cut::Failed(error) => Failure::statement(&error, &what),
            Cut::Disconnected => Failure::disconnected(format!(
                "{what}: the client disconnected or did not read within server.send_timeout"
            )),
            Cut::Panicked => Failure::host(format!("{what}: the host panicked; the panic is in the log")),
            Cut::TimedOut => Failure::host(format!("{what}: it took longer than stream_timeout of its database")),
            Cut::Drained => Failure::host(format!("{what}: the host is shutting down, or its generation was replaced")),
        }
    }
}

impl Streaming {
    pub(super) fn begin(
        reply: Reply,
        rows: Box<RowStream>,
        mut trace: Trace,
        failure: Option<Failure>,
        served: Served,
    ) -> Handled {
        let open = trace.open(Event::Stream, None);
        Handled::Streaming(Box::new(Self { reply, rows: *rows, trace, open, failure, served }))
    }

    /// Returns the rows.
    pub(crate) fn rows(&self) -> &RowStream {
        &self.rows
    }

    /// Returns the events so far.
    pub(crate) fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Returns the next piece of the rows; see [`RowStream::poll_next`].
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, DbError>>> {
        self.rows.poll_next(cx)
    }

    /// Ends the request. `cut` is the reason if the client does not receive all rows.
    pub(crate) fn end(self, cut: Option<Cut>) -> Ended {
        let Self { reply, rows, mut trace, open, failure, served } = self;
        let cut = cut.map(|cut| cut.failure(rows.sent()));
        trace.close(open);
        let cleared = rows.clear(&mut trace);
        Ended { reply, cleared, trace, failure: failure.or(cut), served }
    }
}
