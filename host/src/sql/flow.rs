//! Rows that the host streams to a client: passes pieces of text from the statement that produces them to their reader,
//! one at a time.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::{
    csv::CsvRows,
    error::{DbError, Kind},
    json::JsonRows,
};

/// Size of a piece in bytes. A result up to this size is not streamed.
pub const PIECE: usize = 64 << 10;

/// Channel between a statement and the reader of its rows. It holds at most one piece, and the statement waits until the
/// reader requests the next one.
///
/// The reader polls the future of the statement itself, so the channel needs no wakers.
#[derive(Debug, Clone)]
pub struct Flow(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    piece: Option<String>,
    /// Whether the reader requests no further pieces.
    is_closed: bool,
    /// When the reader requested the piece that the statement produces now, or when the statement made progress since.
    /// `None` while the statement waits for the reader.
    requested: Option<Instant>,
}

impl Default for Flow {
    fn default() -> Self {
        Self::new()
    }
}

impl Flow {
    /// Returns a channel without a piece, for a reader that requests the first piece now.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State { piece: None, is_closed: false, requested: Some(Instant::now()) })))
    }

    /// Passes a piece to the reader, and waits until the reader requests the next one.
    ///
    /// # Errors
    ///
    /// Returns an error if the reader requests no further pieces.
    pub async fn pass(&self, piece: String) -> Result<(), DbError> {
        {
            let mut state = self.state();
            (state.piece, state.requested) = (Some(piece), None);
        }
        poll_fn(|_| {
            let mut state = self.state();
            if state.is_closed {
                return Poll::Ready(Err(DbError::new(Kind::Other, "the rows are not needed any more")));
            }
            if state.piece.is_some() {
                return Poll::Pending;
            }
            state.requested = Some(Instant::now());
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Restarts the time of the statement, because it has made progress without a piece.
    pub fn made_progress(&self) {
        self.state().requested = Some(Instant::now());
    }

    /// Takes the piece that the statement has passed.
    pub fn take(&self) -> Option<String> {
        self.state().piece.take()
    }

    /// Makes the statement end at its next piece.
    pub fn close(&self) {
        self.state().is_closed = true;
    }

    /// Returns whether the statement waits for the reader.
    pub fn is_waiting(&self) -> bool {
        self.state().requested.is_none()
    }

    /// Runs the statement. Cancels it and returns `None` if it takes longer than `limit` for one piece. The time in which
    /// it waits for the reader does not count.
    pub async fn limit<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let (mut work, mut timer) = (pin!(work), pin!(sleep_until(Instant::now() + limit)));
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            let Some(requested) = self.state().requested else { return Poll::Pending };
            if timer.deadline() != requested + limit {
                timer.as_mut().reset(requested + limit);
            }
            timer.as_mut().poll(cx).map(|()| None)
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rows in one of the formats of a body.
#[derive(Debug)]
pub enum RowsText {
    /// JSON.
    Json(JsonRows),
    /// CSV.
    Csv(CsvRows),
}

impl RowsText {
    fn size(&self) -> usize {
        match self {
            RowsText::Json(json) => json.size(),
            RowsText::Csv(csv) => csv.size(),
        }
    }

    fn take(&mut self) -> String {
        match self {
            RowsText::Json(json) => json.take(),
            RowsText::Csv(csv) => csv.take(),
        }
    }

    /// Ends the text, and returns the part that was not taken.
    pub fn finish(self) -> String {
        match self {
            RowsText::Json(json) => json.finish(),
            RowsText::Csv(csv) => csv.finish(),
        }
    }
}

/// Rows that are passed to a reader in pieces.
#[derive(Debug)]
pub struct StreamedRows {
    pub(super) text: RowsText,
    /// Channel to the reader.
    pub flow: Flow,
    /// Maximum time of the stream, after which the database server may end the statement.
    pub timeout: Duration,
    /// Number of bytes passed so far.
    passed: usize,
}

impl StreamedRows {
    /// Returns an encoder that passes its pieces to a new [`Flow`].
    pub fn new(text: RowsText, timeout: Duration) -> Self {
        Self { text, flow: Flow::new(), timeout, passed: 0 }
    }

    /// Returns the number of bytes that were not passed yet.
    pub fn pending(&self) -> usize {
        self.text.size()
    }

    /// Returns the number of bytes so far.
    pub fn total(&self) -> usize {
        self.passed + self.text.size()
    }

    /// Passes the rows so far to the reader, and waits until the reader requests the next piece.
    pub async fn pass(&mut self) -> Result<(), DbError> {
        let piece = self.text.take();
        self.passed += piece.len();
        self.flow.pass(piece).await
    }

    /// Ends the rows, and returns the last piece.
    pub fn finish(self) -> String {
        self.text.finish()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn a_statement_waits_until_the_next_piece_is_requested() {
        let flow = Flow::new();
        assert!(!flow.is_waiting());
        let mut passing = Box::pin(flow.pass("a".to_owned()));
        assert!(poll!(&mut passing).is_pending() && poll!(&mut passing).is_pending());
        assert!(flow.is_waiting());
        assert_eq!(flow.take().as_deref(), Some("a"));
        assert!(flow.is_waiting(), "the reader has not requested the next piece yet");
        assert!(passing.await.is_ok());
        assert!(!flow.is_waiting());
    }

    #[tokio::test]
    async fn a_closed_flow_ends_the_statement() {
        let flow = Flow::new();
        let mut passing = Box::pin(flow.pass("a".to_owned()));
        assert!(poll!(&mut passing).is_pending());
        flow.close();
        assert!(passing.await.is_err());
    }

    #[tokio::test]
    async fn only_the_time_of_the_statement_is_limited() {
        const LIMIT: Duration = Duration::from_millis(50);
        let flow = Flow::new();
        let work = async {
            for _ in 0..3 {
                flow.pass(String::new()).await?;
            }
            std::future::pending::<Result<(), DbError>>().await
        };
        let mut limited = Box::pin(flow.limit(LIMIT, work));
        for _ in 0..3 {
            assert!(poll!(&mut limited).is_pending());
            tokio::time::sleep(LIMIT * 2).await;
            assert!(poll!(&mut limited).is_pending(), "the statement waits for the client");
            assert!(flow.take().is_some());
        }
        assert!(limited.await.is_none(), "the last piece takes longer than the limit");
    }
}
