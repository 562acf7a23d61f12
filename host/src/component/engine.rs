//! The one wasmtime engine of the process: pooled memory, compiled-code cache, and the clock that interrupts guests. How
//! large the pool can be is found out in `engine/pool.rs`.

mod pool;

use std::{
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::Duration,
};

use tokio::sync::Semaphore;
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
    /// How many requests the pool has room for; `None` without a pool.
    requests: Option<u32>,
    /// The most memory that the pool can give to an instance, in bytes.
    pub(super) slot: usize,
    /// What instances that wait for another request may hold of the pools.
    pub(super) shares: Arc<Semaphore>,
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
        let Pool { wasmtime, requests, slot } = Pool::new(requests, memory).map_err(EngineError)?;
        Self::build(wasmtime, Some(requests), slot, cache)
    }

    /// Makes an engine that compiles components and runs none of them. It reserves no memory.
    pub fn without_pool(cache: PathBuf) -> Result<Self, EngineError> {
        let wasmtime = wasmtime::Engine::new(&config()).map_err(told)?;
        Self::build(wasmtime, None, MAX_MEMORY, cache)
    }

    fn build(
        wasmtime: wasmtime::Engine,
        requests: Option<u32>,
        slot: usize,
        cache: PathBuf,
    ) -> Result<Self, EngineError> {
        let mut linker = Linker::new(&wasmtime);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(told)?;
        Everything::add_to_linker::<_, wasmtime::component::HasSelf<_>>(&mut linker, |guest: &mut Guest| guest)
            .map_err(told)?;
        let ticking = wasmtime.weak();
        let clock = std::thread::Builder::new().name("carya-epoch".into()).spawn(move || {
            while let Some(engine) = ticking.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        });
        clock.map_err(|error| told(error.into()))?;
        let code = CodeCache::new(cache, &wasmtime);
        let shares = Arc::new(Semaphore::new(requests.unwrap_or(0) as usize));
        Ok(Self { wasmtime, linker: Arc::new(linker), code, requests, slot, shares })
    }

    /// How many requests can run at a time, of `wanted`.
    pub fn requests(&self, wanted: usize) -> usize {
        self.requests.map_or(wanted, |requests| wanted.min(requests as usize))
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
