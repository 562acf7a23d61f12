//! Metrics of the streams of rows of each database.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::add;

/// Ends of streams.
pub(super) const ENDS: [&str; 2] = ["complete", "cut off"];

/// Numbers of the streams of one database.
#[derive(Debug, Default)]
pub(crate) struct StreamCounts {
    pub(super) open: AtomicU64,
    /// Streams that have ended, by their ends in [`ENDS`].
    pub(super) ended: [AtomicU64; ENDS.len()],
    pub(super) bytes: AtomicU64,
}

impl StreamCounts {
    /// Counts a stream that begins.
    pub(crate) fn opened(&self) {
        add(&self.open);
    }

    /// Counts bytes that were passed on to a client.
    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts the end of a stream, by whether its last row was passed on.
    pub(crate) fn ended(&self, is_complete: bool) {
        self.open.fetch_sub(1, Relaxed);
        add(&self.ended[usize::from(!is_complete)]);
    }
}
