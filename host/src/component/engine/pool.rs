//! The pool of instances, and its size. The pool reserves address space for all its instances at once. If a process has
//! little address space (`ulimit -v`, 39-bit addresses on arm64), the pool has room for fewer requests.
//!
//! A slot is the address space that the pool reserves for one memory. Slots take nearly all of the pool's address
//! space. With slots of 4 GiB, guests need no bounds checks for their memory. If fewer than [`MIN_UNCHECKED_REQUESTS`]
//! of the requests have room with such slots, the slots are as large as the largest configured memory, so that more
//! requests have room.

use std::{fs, hint::black_box};

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::settings::{self, MAX_MEMORY, Reset, TABLE_KEPT_READY};

/// Number of instances for each request: a controller, a few hooks, and an idle instance for a later request.
const INSTANCES: u32 = 5;
/// Number of guests that a request can have without taking the room of another request.
pub(super) const GUESTS: usize = INSTANCES as usize - 1;
/// Number of instances for work outside of requests: models, outboxes, trials of components.
const SPARE: u32 = 4;
/// Maximum number of concurrent trials of components. Trials use the instances of [`SPARE`].
pub(super) const TRIALS: usize = 2;
/// Minimum number of requests for which the pool uses slots of 4 GiB. If fewer requests have room with such slots, the
/// pool uses smaller slots with bounds checks, so that more requests have room.
const MIN_UNCHECKED_REQUESTS: u32 = 16;
/// Maximum number of core modules in a component. A component with an interpreter has many core modules.
const MAX_MODULES: u32 = 60;
/// Maximum number of memories in a component. One core module may have all of them.
const MAX_MEMORIES: u32 = 4;
/// Maximum number of tables in a component. One core module may have all of them.
const MAX_TABLES: u32 = 8;
/// For engines that make no instances.
const NO_RESET: Reset = Reset { scan: false, kept: 0 };
/// Size of a page of WebAssembly, in bytes.
const PAGE: usize = 64 << 10;
/// Address space to leave for the rest of the process, in bytes, in order of preference. Compiling a large component
/// needs most of it, and a failed allocation aborts the process. The smaller values allow a host to start that could
/// not start with a larger value.
const HEADROOMS: [usize; 3] = [1 << 30, 256 << 20, 64 << 20];

/// A wasmtime engine with its pool.
pub(super) struct Pool {
    pub(super) wasmtime: Engine,
    /// The settings of the engine without those of the pool, for engines that only compile.
    pub(super) compiler: Config,
    /// Maximum number of concurrent requests for which the pool has room.
    pub(super) requests: u32,
    /// Maximum memory of an instance, in bytes.
    pub(super) slot: usize,
}

/// Size of the slots for memories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slots {
    /// 4 GiB, the range of 32-bit addresses. Compiled guests do not check bounds.
    Whole,
    /// This number of bytes. Compiled guests check bounds.
    Tight(usize),
}

impl Pool {
    /// Makes a pool for `wanted` requests, or for as many as the address space has room for. `memory` is the largest
    /// memory of a guest, in bytes.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no address space for a single request.
    pub(super) fn new(wanted: u32, memory: usize, reset: Reset) -> Result<Self, String> {
        let limit = address_space();
        // If the address space of the process has no limit and the pool fits, the rest of the process fits too.
        if limit.is_none()
            && let Ok((wasmtime, compiler)) = engine(Slots::Whole, wanted, reset)
        {
            return Ok(Self { wasmtime, compiler, requests: wanted, slot: MAX_MEMORY });
        }
        let memory = memory.next_multiple_of(PAGE);
        let tight = Slots::Tight(memory);
        let found = HEADROOMS.iter().find_map(|headroom| best(wanted, tight, *headroom));
        let cause = match limit {
            Some(limit) => format!("the address space is limited to {} MiB (`ulimit -v`, LimitAS)", limit >> 20),
            None => "the system provides too little address space".to_owned(),
        };
        let Some((slots, requests)) = found else {
            let memory = memory >> 20;
            return Err(format!(
                "{cause}, which has no room for a single request whose guests have {memory} MiB each \
                 (component.NAME.memory); raise the limit"
            ));
        };
        if requests < wanted {
            tracing::warn!(
                requests,
                wanted,
                "{cause}, which has room for {requests} of the {wanted} requests of server.max_concurrent_requests at a \
                 time; further requests queue"
            );
        }
        if slots == tight {
            tracing::warn!("{cause}: guests check the bounds of their memories and are slower");
        }
        let (wasmtime, compiler) = engine(slots, requests, reset).map_err(|error| format!("{error:#}"))?;
        Ok(Self { wasmtime, compiler, requests, slot: if slots == tight { memory } else { MAX_MEMORY } })
    }
}

impl Pool {
    /// Makes a pool for trials, with the same limits as a pool for requests. If address space is scarce, makes an
    /// engine without a pool, because compiling needs the address space. This engine maps each memory separately, and
    /// moves a memory that grows.
    pub(super) fn for_trials(memory: usize, reset: Reset) -> Result<Self, String> {
        if fits(Slots::Whole, 1, HEADROOMS[0])
            && let Ok((wasmtime, compiler)) = engine(Slots::Whole, 1, reset)
        {
            return Ok(Self { wasmtime, compiler, requests: 1, slot: MAX_MEMORY });
        }
        let mut compiler = settings::config();
        reserve(&mut compiler, 0);
        compiler.memory_reservation_for_growth(PAGE as u64);
        let wasmtime = Engine::new(&compiler).map_err(|error| format!("{error:#}"))?;
        Ok(Self { wasmtime, compiler, requests: 0, slot: memory })
    }
}

/// Returns the preferred size of slots, and how many of the `wanted` requests have room with such slots if `headroom`
/// bytes of address space stay free. Returns `None` if there is no room for a single request.
fn best(wanted: u32, tight: Slots, headroom: usize) -> Option<(Slots, u32)> {
    let fitting = |slots| largest_fitting(wanted, |requests| fits(slots, requests, headroom));
    let whole = fitting(Slots::Whole);
    if whole >= wanted.min(MIN_UNCHECKED_REQUESTS) {
        return Some((Slots::Whole, whole));
    }
    match fitting(tight) {
        0 => None,
        many => Some((tight, many)),
    }
}

/// Returns whether a pool for this number of requests leaves `headroom` bytes of address space.
fn fits(slots: Slots, requests: u32, headroom: usize) -> bool {
    // Reserve the headroom without writing to it while the pool is made.
    let mut reserved = Vec::<u8>::new();
    let fits = reserved.try_reserve_exact(headroom).is_ok() && engine(slots, requests, NO_RESET).is_ok();
    // Without `black_box`, the compiler could remove the unused allocation.
    black_box(reserved);
    fits
}

/// Returns the largest number up to `wanted` for which `fits` returns true, by bisection. If a number fits, all smaller
/// numbers must fit too.
fn largest_fitting(wanted: u32, fits: impl Fn(u32) -> bool) -> u32 {
    let (mut fitting, mut too_many) = (0, wanted.saturating_add(1));
    // Try `wanted` first: usually it fits.
    let mut next = wanted;
    while too_many - fitting > 1 {
        match fits(next) {
            true => fitting = next,
            false => too_many = next,
        }
        next = fitting + (too_many - fitting) / 2;
    }
    fitting
}

/// Returns the limit of the address space of this process in bytes, if it has one.
fn address_space() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Makes an engine with a pool, and returns it with its settings without the pool. The pool makes fresh instances cheap: memory is mapped once and copied on write, and
/// written pages are reset instead of unmapped.
fn engine(slots: Slots, requests: u32, reset: Reset) -> wasmtime::Result<(Engine, Config)> {
    let instances = requests.saturating_mul(INSTANCES).saturating_add(SPARE);
    let mut config = settings::config();
    let max_memory = match slots {
        Slots::Whole => MAX_MEMORY,
        Slots::Tight(memory) => {
            reserve(&mut config, memory);
            memory
        }
    };
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        // This limit costs no memory. It is so high that `total_component_instances` is always reached first.
        .total_core_instances(instances.saturating_mul(MAX_MODULES))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(2))
        .total_stacks(instances)
        .max_unused_warm_slots(instances)
        // Components with an interpreter need large instances.
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .max_core_instances_per_component(MAX_MODULES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_memories_per_module(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .max_tables_per_module(MAX_TABLES)
        .table_elements(100_000)
        .max_memory_size(max_memory)
        .linear_memory_keep_resident(reset.kept)
        .table_keep_resident(TABLE_KEPT_READY)
        .pagemap_scan(if reset.scan { Enabled::Yes } else { Enabled::No });
    let compiler = config.clone();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Ok((Engine::new(&config)?, compiler))
}

/// Limits the address space of each memory to its maximum size.
fn reserve(config: &mut Config, memory: usize) {
    config.memory_reservation(memory as u64).memory_guard_size(PAGE as u64).guard_before_linear_memory(false);
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash, Hasher};

    use super::*;

    #[test]
    fn a_compiler_without_a_pool_makes_the_code_of_the_engine() -> wasmtime::Result<()> {
        let settings = |engine: &Engine| {
            let mut hasher = DefaultHasher::new();
            engine.precompile_compatibility_hash().hash(&mut hasher);
            hasher.finish()
        };
        for slots in [Slots::Whole, Slots::Tight(64 << 20)] {
            let (engine, compiler) = engine(slots, 1, NO_RESET)?;
            assert_eq!(settings(&engine), settings(&Engine::new(&compiler)?), "{slots:?}");
        }
        Ok(())
    }

    #[test]
    fn finds_the_largest_number_that_fits() {
        for wanted in [1, 2, 3, 10, 256, u32::MAX] {
            for limit in [0, 1, 2, 3, 9, 10, 200, 1 << 20] {
                assert_eq!(largest_fitting(wanted, |number| number <= limit), wanted.min(limit), "{limit} of {wanted}");
            }
        }
    }
}
