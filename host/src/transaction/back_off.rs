//! The pause between two runs of a transaction that met a conflict.

use std::time::Duration;

/// Returns the pause before a rerun after a conflict. It is a random time between 5 and 10 ms for the first rerun, and
/// both bounds double with each earlier rerun, up to 320 and 640 ms. The random part keeps two conflicting requests
/// from retrying at the same time.
pub(crate) fn back_off(earlier: u32) -> Duration {
    let most: u64 = 10_000 << earlier.min(6);
    Duration::from_micros(rand::random_range(most / 2..most))
}
