//! Compiled functions of earlier compilations, for wasmtime's compiler. If only the script of a component has changed,
//! the functions of its interpreter are the same, and the compiler takes their code from here.
//!
//! # Why the code is the right one
//!
//! The key of a function is a SHA-256 digest that cranelift computes of everything that its code generator reads: the
//! function after wasmtime has translated it, the target, and the compiler's flags. Most settings of wasmtime (interruption
//! by epochs, bounds checks, memory reservations) are not part of the key themselves: they determine instructions of the
//! translated function, which are. Names of called functions and positions in the file are not part of it either:
//! cranelift applies those of the new function to the code that it finds. The digest lacks the version of
//! cranelift, and a setting could affect a step after the code generator. A compilation therefore only reads packs that
//! were written with the same hash of all settings and of wasmtime's version; see `CodeCache`.
//!
//! A component of one author may use functions that a component of another author has added. Each is stored under the
//! key of its own translation, which the compiler computes. The digested text is unambiguous: it has the length of each
//! list and the case of each choice, and leaves out only data that does not affect the code. So a component cannot add code
//! under the key of a different function, unless it finds a collision of SHA-256.
//!
//! # Why some unchanged functions are compiled again
//!
//! The key of an unchanged function can differ between two compilations. The likely reason, by reading the source of
//! cranelift 0.135: `DataFlowGraph::clear` leaves the exception tables of the previous function, and those of a
//! trampoline become part of the keys of the functions that the same thread compiles after it. A function with another
//! key is compiled and added again. In the example guests this concerns 8 to 13 % of the code at the first change of a
//! script, and less at each further change.

#![forbid(unsafe_code)]

use std::{
    borrow::Cow,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use wasmtime::CacheStore;

use super::packs::Packs;

/// Pause between two log lines about the progress of a compilation.
const INTERVAL: Duration = Duration::from_secs(5);

/// The functions that a compilation reads and adds.
#[derive(Debug)]
pub(super) struct Functions {
    /// `None` if the component is small, or if there is no folder.
    packs: Option<Packs>,
    progress: Progress,
    reused: AtomicU64,
}

/// Numbers of a compilation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// Number of functions, with the trampolines that the compiler adds.
    pub(super) functions: u64,
    /// Number of functions that an earlier compilation had added.
    pub(super) reused: u64,
}

/// Progress of a compilation, for the log.
#[derive(Debug)]
struct Progress {
    digest: String,
    started: Instant,
    /// Approximate number of functions in the component, with trampolines.
    total: u64,
    /// Number of functions that the compiler has begun, with trampolines.
    begun: AtomicU64,
    /// Number of intervals that have passed at the last log line.
    intervals: AtomicU64,
}

impl Functions {
    /// Describes the compilation of a component with `total` functions. `digest` is for the log.
    pub(super) fn new(packs: Option<Packs>, digest: &str, total: u64) -> Self {
        let progress = Progress {
            digest: digest.to_owned(),
            started: Instant::now(),
            total,
            begun: AtomicU64::new(0),
            intervals: AtomicU64::new(0),
        };
        Self { packs, progress, reused: AtomicU64::new(0) }
    }

    /// Keeps the new functions after a successful compilation.
    pub(super) fn keep(&self) -> Counts {
        if let Some(packs) = &self.packs {
            packs.keep();
        }
        Counts { functions: self.progress.begun.load(Relaxed), reused: self.reused.load(Relaxed) }
    }
}

impl CacheStore for Functions {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.progress.step();
        let code = self.packs.as_ref()?.get(key.try_into().ok()?)?;
        self.reused.fetch_add(1, Relaxed);
        Some(Cow::Owned(code))
    }

    fn insert(&self, key: &[u8], code: Vec<u8>) -> bool {
        let (Some(packs), Ok(key)) = (&self.packs, key.try_into()) else { return false };
        packs.insert(key, &code)
    }
}

impl Progress {
    /// Counts a function. Logs the progress if a further interval has passed.
    fn step(&self) {
        let begun = self.begun.fetch_add(1, Relaxed) + 1;
        if self.is_due(self.started.elapsed()) {
            let (digest, total) = (&self.digest, self.total);
            tracing::info!(digest, "compiling: {} of {total} functions", begun.min(total));
        }
    }

    /// Returns whether a log line is due after this time. Returns true to only one of the compiling threads.
    fn is_due(&self, elapsed: Duration) -> bool {
        let intervals = elapsed.as_secs() / INTERVAL.as_secs();
        self.intervals.fetch_max(intervals, Relaxed) < intervals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Folder;

    #[test]
    fn progress_is_due_once_in_each_interval() {
        let progress = Functions::new(None, "", 0).progress;
        let times = [0, 4, 5, 5, 9, 17, 14, 19, 20];
        let expected = [false, false, true, false, false, true, false, false, true];
        assert_eq!(times.map(|seconds| progress.is_due(Duration::from_secs(seconds))), expected);
    }

    #[test]
    fn only_a_successful_compilation_adds_functions() -> Result<(), Box<dyn std::error::Error>> {
        let root = tempfile::tempdir()?;
        let begin = || Functions::new(Some(Packs::open(Folder::private(root.path().to_owned()), "1")), "", 1);
        let key = [1; 32];

        let failed = begin();
        assert_eq!(failed.get(&key), None);
        assert!(failed.insert(&key, b"code".to_vec()));
        drop(failed);

        let first = begin();
        assert_eq!(first.get(&key), None);
        assert!(first.insert(&key, b"code".to_vec()));
        assert_eq!(first.keep(), Counts { functions: 1, reused: 0 });
        assert!(!first.insert(&[2; 32], b"code".to_vec()), "after the end");

        let second = begin();
        assert_eq!(second.get(&key).as_deref(), Some(&b"code"[..]));
        assert_eq!(second.get(&[2; 32]), None);
        assert_eq!(second.keep(), Counts { functions: 2, reused: 1 });
        Ok(())
    }
}
