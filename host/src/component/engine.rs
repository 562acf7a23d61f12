//! The one wasmtime engine of the process: pooled memory, compiled-code cache, and the clock that interrupts guests. How
//! large the pool can be is found out in `engine/pool.rs`.

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
pub(super) use self::settings::TABLE_KEPT_READY;
use self::{pool::Pool, settings::kept_ready, swap::Swap};
use super::{code::CodeCache, store::StoreData, wit::Everything};
use crate::config::{self, PageScan};

/// How often running guests are asked to let others run, and their time is checked.
const TICK: Duration = Duration::from_millis(10);

/// How often a host that scans pages looks whether swap was turned on.
const SWAP_CHECK: Duration = Duration::from_secs(5);

/// The engine and what all components share.
#[derive(Clone)]
pub struct Engine {
    pub(super) wasmtime: wasmtime::Engine,
    pub(super) linker: Arc<Linker<StoreData>>,
    pub(super) code: CodeCache,
    /// How many requests the pool has room for.
    requests: u32,
    /// The most memory that the pool can give to an instance, in bytes.
    pub(super) slot: usize,
    /// How much of a memory is put back into its first state when its instance ends, in bytes; the rest is mapped afresh,
    /// page by page, when the next one touches it.
    pub(super) kept_ready: usize,
    /// What instances that wait for another request may hold of the pools.
    pub(super) shares: Arc<Semaphore>,
    /// Turns for trying components out.
    pub(super) trials: Arc<Semaphore>,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[error("the WebAssembly engine could not be made: {0}")]
pub struct EngineError(String);

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("code", &self.code).finish_non_exhaustive()
    }
}

impl Engine {
    /// Makes an engine whose pool holds `requests` requests at a time, each with several guests of at most `memory` bytes.
    /// Where the system does not give the address space, the pool is smaller; see [`requests`](Self::requests). Fails if it
    /// would not hold a single request.
    pub fn new(requests: u32, memory: usize, server: &config::Server) -> Result<Self, EngineError> {
        let scan = Scan::of(server.page_scan);
        scan.report();
        let is_on = scan == Scan::On;
        Self::build(Pool::new(requests, memory, is_on).map_err(EngineError)?, is_on, server)
    }

    /// Makes an engine that tries components out, of at most `memory` bytes each, and serves no request.
    pub fn for_trials(memory: usize, server: &config::Server) -> Result<Self, EngineError> {
        let is_on = Scan::of(server.page_scan) == Scan::On;
        Self::build(Pool::for_trials(memory, is_on).map_err(EngineError)?, is_on, server)
    }

    fn build(
        Pool { wasmtime, requests, slot }: Pool,
        scan: bool,
        server: &config::Server,
    ) -> Result<Self, EngineError> {
        let mut linker = Linker::new(&wasmtime);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(told)?;
        Everything::add_to_linker::<_, wasmtime::component::HasSelf<_>>(&mut linker, |data: &mut StoreData| data)
            .map_err(told)?;
        let ticking = wasmtime.weak();
        let clock = thread::Builder::new().name("carya-epoch".into()).spawn(move || {
            let (mut must_not_swap, mut checked) = (scan, Instant::now());
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
        clock.map_err(|error| told(error.into()))?;
        let code = CodeCache::new(server.cache.clone(), &wasmtime);
        let shares = Arc::new(Semaphore::new(requests as usize));
        let trials = Arc::new(Semaphore::new(pool::TRIALS));
        let kept_ready = kept_ready(scan);
        Ok(Self { wasmtime, linker: Arc::new(linker), code, requests, slot, kept_ready, shares, trials })
    }

    /// How many requests can run at a time, of `wanted`.
    pub fn requests(&self, wanted: usize) -> usize {
        wanted.min(self.requests as usize)
    }

    /// How many components are loaded at a time.
    pub fn loads(&self) -> usize {
        if self.is_cramped() { 1 } else { thread::available_parallelism().map_or(1, NonZero::get) }
    }

    /// Runs work that takes long, on a thread for such work. Where address space is scarce it runs on this thread: each
    /// thread takes 64 MiB for its allocations, and nothing is served there.
    ///
    /// # Errors
    ///
    /// If the work panicked.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
        if self.is_cramped() { Ok(work()) } else { tokio::task::spawn_blocking(work).await }
    }

    /// Whether there is no address space for a pool.
    fn is_cramped(&self) -> bool {
        self.requests == 0
    }

    /// For how many requests a request counts that meets so many guests.
    pub fn weight(guests: usize) -> usize {
        guests.div_ceil(pool::GUESTS).max(1)
    }
}

fn told(error: wasmtime::Error) -> EngineError {
    EngineError(format!("{error:#}"))
}

/// Whether memory may be swapped out by now, which is logged: the pool cannot be told to make no scan any more.
fn is_swap_reported() -> bool {
    let Swap::Possible(reason) = swap::of_this_process() else { return false };
    tracing::error!(
        "restart this host: it scans pages, and since its start {reason}; instances may read what others left"
    );
    true
}

/// Whether the kernel is asked which pages an instance has written (`PAGEMAP_SCAN`, Linux 6.7), so that only these are put
/// back. The scan does not see written pages that are swapped out, and the next instance in the place would read them.
#[derive(Debug, PartialEq, Eq)]
enum Scan {
    On,
    /// The kernel has none.
    Unavailable,
    /// The configuration forbids it.
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

    /// Logs why there is none, where one is available.
    fn report(&self) {
        match self {
            Self::On | Self::Unavailable => {}
            Self::Forbidden => tracing::info!("no page scan: server.page_scan is \"off\""),
            Self::Unsafe(reason) => tracing::warn!(
                "no page scan, which makes instances slower: {reason}; to have it, forbid swap for this process (systemd: \
                 MemorySwapMax=0, cgroup v2: memory.swap.max = 0)"
            ),
        }
    }
}
