//! Settings that all engines have in common.

use wasmtime::{Config, OptLevel};

/// Maximum memory that a component may have, in bytes.
pub const MAX_MEMORY: usize = 1 << 30;

/// Bytes of a table that are reset when its instance ends. The rest is mapped afresh for the next instance.
pub(in crate::component) const TABLE_KEPT_READY: usize = 64 << 10;

/// Returns the number of bytes of a memory that are reset when its instance ends. The rest is mapped afresh for the next
/// instance. With a page scan only written pages are reset; without one all of them are, so keep less.
pub(super) fn kept_ready(scan: bool) -> usize {
    if scan { 2 << 20 } else { 256 << 10 }
}

/// Returns the configuration of every engine. It is the same for all, so that they share compiled code.
pub(super) fn config() -> Config {
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .epoch_interruption(true)
        // Only unwinders other than wasmtime's use this information: a list of the process that grows with each component.
        .native_unwind_info(false)
        .cranelift_opt_level(OptLevel::Speed);
    config
}
