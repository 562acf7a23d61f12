//! The wasmtime engine of the process: the pool of instances, the linker, the cache of compiled code, and the clock
//! that interrupts guests. [`pool`] determines the size of the pool.

mod memory;
mod pool;
mod settings;
mod swap;

use std::{
    num::NonZero,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, task::JoinError};
use wasmtime::{PoolingAllocationConfig, component::Linker};

pub use self::settings::MAX_MEMORY;
pub(super) use self::settings::{Reset, TABLE_KEPT_READY};
use self::{pool::Pool, swap::Swap};
use super::{code::CodeCache, imports, store::StoreData, wit::Everything};
use crate::{
    config::{self, PageScan},
    quota::Quota,
};

/// Interval at which running guests yield to other tasks and their deadlines are checked.
const TICK: Duration = Duration::from_millis(10);

/// Interval at which the host checks again whether its memory can be swapped out, if its pool scans pages (see
/// [`Scan`]).
const SWAP_CHECK: Duration = Duration::from_secs(5);

/// The engine, and the resources that all components share.
#[derive(Clone)]
pub struct Engine {
    pub(super) wasmtime: wasmtime::Engine,
    pub(super) linker: Arc<Linker<StoreData>>,
    pub(super) code: CodeCache,
    /// Maximum number of concurrent requests for which the pool has room. 0 means that there is no pool.
    requests: u32,
    /// Maximum memory of an instance in the pool, in bytes.
    pub(super) slot: usize,
    pub(super) reset: Reset,
    /// Permits for idle instances of all components. An idle instance takes a place in the pool.
    pub(super) shares: Arc<Semaphore>,
    /// Permits for concurrent trials of components.
    pub(super) trials: Arc<Semaphore>,
    /// Memory that the guests of all components have allocated, in bytes. The initial memory of an instance does not count:
    /// until a guest writes to them, its pages are shared.
    pub(super) growth: Arc<Quota>,
}

/// Error of creating an [`Engine`].
#[derive(Debug, thiserror::Error)]
#[error("the WebAssembly engine could not be made: {0}")]
pub struct EngineError(String);

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("code", &self.code).finish_non_exhaustive()
    }
}

impl Engine {
    /// Makes an engine with a pool for `requests` concurrent requests, each with several guests of at most `memory`
    /// bytes. If address space is scarce, the pool is smaller; see [`requests`](Self::requests).
    ///
    /// # Errors
    ///
    /// Returns an error if there is no address space for a single request.
    pub fn new(requests: u32, memory: usize, server: &config::Server) -> Result<Self, EngineError> {
        let scan = Scan::of(server.page_scan);
        scan.report();
        let reset = Reset::new(scan == Scan::On, server.keep_resident);
        Self::build(Pool::new(requests, memory, reset).map_err(EngineError)?, reset, server)
    }

    /// Makes an engine for trials of components with at most `memory` bytes each. A host must not serve requests with
    /// this engine.
    pub fn for_trials(memory: usize, server: &config::Server) -> Result<Self, EngineError> {
        let reset = Reset::new(Scan::of(server.page_scan) == Scan::On, server.keep_resident);
        Self::build(Pool::for_trials(memory, reset).map_err(EngineError)?, reset, server)
    }

    fn build(
        Pool { wasmtime, compiler, requests, slot }: Pool,
        reset: Reset,
        server: &config::Server,
    ) -> Result<Self, EngineError> {
        let mut linker = Linker::new(&wasmtime);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        imports::http::add_to_linker(&mut linker)?;
        Everything::add_to_linker::<_, wasmtime::component::HasSelf<_>>(&mut linker, |data: &mut StoreData| data)?;
        let ticking = wasmtime.weak();
        let clock = thread::Builder::new().name("carya-epoch".into()).spawn(move || {
            let (mut must_not_swap, mut checked) = (reset.scan, Instant::now());
            while let Some(engine) = ticking.upgrade() {
                engine.increment_epoch();
                drop(engine);
                if must_not_swap && checked.elapsed() > SWAP_CHECK {
                    checked = Instant::now();
                    must_not_swap = !is_swap_reported();
                }
                thread::sleep(TICK);
            }
        });
        clock.map_err(wasmtime::Error::from)?;
        let code = CodeCache::new(server.cache.clone(), &wasmtime, compiler);
        let shares = Arc::new(Semaphore::new(requests as usize));
        let trials = Arc::new(Semaphore::new(pool::TRIALS));
        let growth = server.max_guest_memory.or_else(memory::half_of_the_machine).unwrap_or(usize::MAX);
        let growth = Arc::new(Quota::at_most(growth));
        Ok(Self { wasmtime, linker: Arc::new(linker), code, requests, slot, reset, shares, trials, growth })
    }

    /// Returns the number of requests that can run at a time, at most `wanted`.
    pub fn requests(&self, wanted: usize) -> usize {
        wanted.min(self.requests as usize)
    }

    /// Returns the number of components that may be loaded concurrently.
    pub fn loads(&self) -> usize {
        if self.lacks_address_space() { 1 } else { thread::available_parallelism().map_or(1, NonZero::get) }
    }

    /// Runs long work on a thread of tokio's blocking pool. If the engine has no pool of instances, runs the work on
    /// the current thread: address space is scarce then, and each further thread would reserve 64 MiB of it for
    /// allocations. Such an engine serves no requests that the work could delay.
    ///
    /// # Errors
    ///
    /// Returns an error if the work panicked.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
        if self.lacks_address_space() { Ok(work()) } else { tokio::task::spawn_blocking(work).await }
    }

    /// Returns whether there is no address space for a pool.
    fn lacks_address_space(&self) -> bool {
        self.requests == 0
    }

    /// Returns how many places for requests a request with `guests` guests takes in the pool. A request with many
    /// guests takes several places.
    pub fn weight(guests: usize) -> usize {
        guests.div_ceil(pool::GUESTS).max(1)
    }
}

impl From<wasmtime::Error> for EngineError {
    fn from(error: wasmtime::Error) -> Self {
        Self(format!("{error:#}"))
    }
}

/// Returns whether the memory of this process can be swapped out. If so, logs an error that advises a restart, because
/// a pool cannot stop its page scans.
fn is_swap_reported() -> bool {
    let Swap::Possible(reason) = swap::of_this_process() else { return false };
    tracing::error!(
        "restart this host: it scans pages, and since its start {reason}; guests may read memory of earlier guests"
    );
    true
}

/// Whether the pool scans pages. With a scan, the kernel lists the pages that an instance has written (`PAGEMAP_SCAN`,
/// Linux 6.7), and the pool resets only these pages. The kernel does not list a written page that is swapped out, so
/// the next instance could read its content.
#[derive(Debug, PartialEq, Eq)]
enum Scan {
    /// Pages are scanned.
    On,
    /// The kernel offers no scan.
    Unavailable,
    /// The configuration disables the scan.
    Forbidden,
    /// Memory may be swapped out.
    Unsafe(swap::Reason),
}

impl Scan {
    fn of(setting: PageScan) -> Self {
        if setting == PageScan::Off {
            return Self::Forbidden;
        }
        if !PoolingAllocationConfig::is_pagemap_scan_available() {
            return Self::Unavailable;
        }
        match swap::of_this_process() {
            Swap::Impossible => Self::On,
            Swap::Possible(reason) => Self::Unsafe(reason),
        }
    }

    /// Logs why the pool does not scan pages, unless the kernel offers no scan.
    fn report(&self) {
        match self {
            Self::On | Self::Unavailable => {}
            Self::Forbidden => tracing::info!("no page scan: server.page_scan is \"off\""),
            Self::Unsafe(reason) => tracing::warn!(
                "no page scan, which makes instances slower: {reason}; to enable the scan, forbid swap for this process (systemd: \
                 MemorySwapMax=0, cgroup v2: memory.swap.max = 0)"
            ),
        }
    }
}
