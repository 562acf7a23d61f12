//! Limits the number of bytes that the guests of one request write to the log.

use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use super::{FRAME, GUEST, LIMITS};

/// Counts the bytes that the guests of one request write to the log. On drop, logs the number of records and bytes that
/// exceeded [`max_per_request`](super::Limits::max_per_request).
#[derive(Debug, Default)]
pub struct Allowance {
    /// Length of all lines so far, in bytes.
    used: AtomicUsize,
    /// Boxed, because few requests exceed the limit.
    excess: OnceLock<Box<Excess>>,
}

/// Lines that were not logged. They are logged as one record when the value is dropped.
#[derive(Debug)]
struct Excess {
    request: String,
    records: AtomicUsize,
    bytes: AtomicUsize,
}

impl Allowance {
    /// Returns whether a guest may write a line of `bytes` bytes, and counts the line. `request` is the id of the
    /// request.
    pub(crate) fn admit(&self, request: &str, bytes: usize) -> bool {
        let max = LIMITS.get().map_or(usize::MAX, |limits| limits.max_per_request);
        let used = self.used.fetch_add(FRAME + bytes, Relaxed);
        if used < max {
            return true;
        }
        let excess = self.excess.get_or_init(|| {
            let (records, bytes) = Default::default();
            Box::new(Excess { request: request.to_owned(), records, bytes })
        });
        excess.records.fetch_add(1, Relaxed);
        excess.bytes.fetch_add(bytes, Relaxed);
        false
    }
}

impl Drop for Excess {
    fn drop(&mut self) {
        let Self { request, records, bytes } = self;
        let (records, bytes) = (*records.get_mut(), *bytes.get_mut());
        tracing::warn!(
            target: GUEST,
            request,
            records,
            bytes,
            "records of a request's guests were dropped: log.max_per_request"
        );
    }
}
