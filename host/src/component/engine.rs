//! The one wasmtime engine of the process: pooled memory, compiled-code cache, and the clock that interrupts guests.

use std::{
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::Duration,
};

use tokio::sync::Semaphore;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, component::Linker};

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
    /// What instances that wait for another request may hold of the pools.
    pub(super) shares: Arc<Semaphore>,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[error(
    "the WebAssembly engine could not be made: {0}; a lower server.max_concurrent_requests needs less address space"
)]
pub struct EngineError(String);

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("code", &self.code).finish_non_exhaustive()
    }
}

impl Engine {
    /// Makes an engine whose pools hold `concurrency` requests at a time, each with several guests, and keeps compiled
    /// code below `cache`. Fails if the system does not give the address space.
    pub fn new(concurrency: u32, cache: PathBuf) -> Result<Self, EngineError> {
        Self::build(concurrency, cache).map_err(|error| EngineError(format!("{error:#}")))
    }

    fn build(concurrency: u32, cache: PathBuf) -> wasmtime::Result<Self> {
        let wasmtime = wasmtime::Engine::new(&config(concurrency))?;
        let mut linker = Linker::new(&wasmtime);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        Everything::add_to_linker::<_, wasmtime::component::HasSelf<_>>(&mut linker, |guest: &mut Guest| guest)?;
        let ticking = wasmtime.weak();
        std::thread::Builder::new().name("carya-epoch".into()).spawn(move || {
            while let Some(engine) = ticking.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })?;
        let code = CodeCache::new(cache, &wasmtime);
        let shares = Arc::new(Semaphore::new(concurrency as usize));
        Ok(Self { wasmtime, linker: Arc::new(linker), code, shares })
    }
}

/// A request meets a controller and a few hooks; and as many instances as there are requests may wait for one.
fn instances(concurrency: u32) -> u32 {
    concurrency.saturating_mul(5)
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

/// Each request has a fresh instance of every guest it meets. The pool makes that cheap: memory is mapped once, copied
/// on write, and what a guest has touched is put back instead of unmapped.
fn config(concurrency: u32) -> Config {
    let instances = instances(concurrency);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        // Interpreters consist of many.
        .total_core_instances(instances.saturating_mul(6))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(2))
        .total_stacks(instances)
        .max_unused_warm_slots(instances)
        // Interpreted languages are large.
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .max_core_instances_per_component(60)
        .max_memories_per_component(4)
        .max_tables_per_component(8)
        .table_elements(100_000)
        .max_memory_size(MAX_MEMORY)
        .linear_memory_keep_resident(kept_ready())
        .table_keep_resident(TABLE_KEPT_READY)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .concurrency_support(false)
        .epoch_interruption(true)
        // For other unwinders than wasmtime's own: a list for the whole process, that grows with every component.
        .native_unwind_info(false)
        .cranelift_opt_level(OptLevel::Speed);
    config
}
