//! Settings that all engines have in common.

use wasmtime::{Config, OptLevel};

/// Maximum value of `component.NAME.memory`, in bytes.
pub const MAX_MEMORY: usize = 1 << 30;

/// Number of bytes of a table that stay mapped and are reset when the instance ends. The pool unmaps the remaining
/// pages.
pub(in crate::component) const TABLE_KEPT_READY: usize = 64 << 10;

/// Sizes of memories with and without a page scan, in bytes. Without a scan, the pool resets all pages that stay mapped,
/// written or not.
const SMALL_WITH_SCAN: usize = 2 << 20;
const SMALL_WITHOUT_SCAN: usize = 256 << 10;

/// How the pool resets the memory of an instance after its end.
#[derive(Debug, Clone, Copy)]
pub(in crate::component) struct Reset {
    /// Whether the kernel lists the pages that the instance has written. The pool then resets only these pages.
    pub(in crate::component) scan: bool,
    /// Number of bytes that stay mapped and are reset: of the written pages with a scan, of the first pages without one.
    /// The pool unmaps the remaining pages, and the kernel maps fresh ones when the next instance accesses them.
    pub(in crate::component) kept: usize,
}

impl Reset {
    pub(super) fn new(scan: bool, keep_resident: usize) -> Self {
        Self { scan, kept: if scan { keep_resident } else { keep_resident.min(SMALL_WITHOUT_SCAN) } }
    }

    /// Returns the maximum memory of instances that are made ahead of their requests, in bytes. Larger ones are those of
    /// interpreters: while they wait, their pages take memory, and their requests become hardly faster.
    pub(in crate::component) fn max_ahead(self) -> usize {
        if self.scan { SMALL_WITH_SCAN } else { SMALL_WITHOUT_SCAN }
    }
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
