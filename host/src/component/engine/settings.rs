//! Settings that all engines have in common.

use wasmtime::{Config, OptLevel};

/// Maximum value of `component.NAME.memory`, in bytes.
pub const MAX_MEMORY: usize = 1 << 30;

/// Number of bytes of a table that stay mapped and are reset when the instance ends. The pool unmaps the remaining
/// pages.
pub(in crate::component) const TABLE_KEPT_READY: usize = 64 << 10;

/// Returns the number of bytes of a memory that stay mapped and are reset when the instance ends. The pool unmaps the
/// remaining pages. With a page scan, the pool resets only written pages. Without a scan, the pool resets all kept
/// bytes, so the number is smaller.
pub(super) fn kept_ready(scan: bool) -> usize {
    if scan { 2 << 20 } else { 256 << 10 }
}

/// Returns the settings that all engines share. Engines that differ only in the number of their instances can use the
/// same compiled code.
pub(super) fn config() -> Config {
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .epoch_interruption(true)
        // Wasmtime's unwinder does not need this information. Other unwinders read it from a list of the process, to
        // which each component would add entries.
        .native_unwind_info(false)
        .cranelift_opt_level(OptLevel::Speed);
    config
}
