//! The one wasmtime engine of the process: pooled memory, compiled-code cache, and the clock that interrupts guests. How
//! large the pool can be is found out in `engine/pool.rs`.

mod pool;

use std::{
    num::NonZero,
    path::PathBuf,
    sync::{Arc, LazyLock},
    thread,
    time::Duration,
};

use tokio::{sync::Semaphore, task::JoinError};
use wasmtime::{Config, OptLevel, PoolingAllocationConfig, component::Linker};

use self::pool::Pool;
use super::{code::CodeCache, store::Guest, wit::Everything};

/// How often running guests are asked to let others run, and their time is checked.
const TICK: Duration = Duration::from_millis(10);

/// The most memory that any guest can be given, in bytes.
pub const MAX_MEMORY: usize = 1 << 30;

/// How much of a table is put back, in bytes.
pub(super) const TABLE_KEPT_READY: usize = 64 << 10;

/// The engine and what all components share.
#[derive(Clone)]
pub struct Engine {
    pub(super) wasmtime: wasmtime::Engine,
    pub(super) linker: Arc<Linker<Guest>>,
    pub(super) code: CodeCache,
    /// How many requests the pool has room for.
    requests: u32,
    /// The most memory that the pool can give to an instance, in bytes.
    pub(super) slot: usize,
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
    /// Makes an engine whose pool holds `requests` requests at a time, each with several guests of at most `memory` bytes,
    /// and keeps compiled code below `cache`. Where the system does not give the address space, the pool is smaller;
    /// see [`requests`](Self::requests). Fails if it would not hold a single request.
    pub fn new(requests: u32, memory: usize, cache: PathBuf) -> Result<Self, EngineError> {
        Self::build(Pool::new(requests, memory).map_err(EngineError)?, cache)
    }

    /// Makes an engine that tries components out, of at most `memory` bytes each, and serves no request.
    pub fn for_trials(memory: usize, cache: PathBuf) -> Result<Self, EngineError> {
        Self::build(Pool::for_trials(memory).map_err(EngineError)?, cache)
    }

    fn build(Pool { wasmtime, requests, slot }: Pool, cache: PathBuf) -> Result<Self, EngineError> {
        let mut linker = Linker::new(&wasmtime);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(told)?;
        Everything::add_to_linker::<_, wasmtime::component::HasSelf<_>>(&mut linker, |guest: &mut Guest| guest)
            .map_err(told)?;
        let ticking = wasmtime.weak();
        let clock = thread::Builder::new().name("carya-epoch".into()).spawn(move || {
            while let Some(engine) = ticking.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TICK);
            }
        });
        clock.map_err(|error| told(error.into()))?;
        let code = CodeCache::new(cache, &wasmtime);
        let shares = Arc::new(Semaphore::new(requests as usize));
        let trials = Arc::new(Semaphore::new(pool::TRIALS));
        Ok(Self { wasmtime, linker: Arc::new(linker), code, requests, slot, shares, trials })
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

/// How much of a memory is put back into its first state when its instance ends, in bytes; the rest is mapped afresh, page
/// by page, when the next one touches it.
pub(super) fn kept_ready() -> usize {
    // Where the kernel tells which pages were touched (Linux 6.7), only these are put back. Where it does not, all that
    // is kept is, so keep less. Every instance that ends is measured by it, and the kernel need be asked once.
    static KEPT: LazyLock<usize> =
        LazyLock::new(|| if PoolingAllocationConfig::is_pagemap_scan_available() { 2 << 20 } else { 256 << 10 });
    *KEPT
}

/// What holds for all engines, so that the code that one has compiled is another's too.
fn config() -> Config {
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .epoch_interruption(true)
        // For other unwinders than wasmtime's own: a list for the whole process, that grows with every component.
        .native_unwind_info(false)
        .cranelift_opt_level(OptLevel::Speed);
    config
}
