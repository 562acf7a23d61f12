//! The size of the pool that instances are made in. It reserves address space for every instance at once; where a process
//! has little of it (`ulimit -v`, 39-bit addresses on arm64), the pool holds fewer requests.
//!
//! The slots of memories take nearly all of it. A slot of 4 GiB spares guests the bounds checks of their memory; where
//! not even [`ENOUGH`] requests would have such slots, they are as large as the largest configured memory.

use std::{fs, hint::black_box};

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::settings::{self, MAX_MEMORY, TABLE_KEPT_READY, kept_ready};

/// Instances for each request: a controller, a few hooks, and one that waits for a later request.
const INSTANCES: u32 = 5;
/// Guests of one request that have a place in the pool.
pub(super) const GUESTS: usize = INSTANCES as usize - 1;
/// Instances beside requests: model, outboxes, trials of new components.
const SPARE: u32 = 4;
/// Components that are tried out at the same time, within [`SPARE`].
pub(super) const TRIALS: usize = 2;
/// So many requests, and guests without bounds checks are worth more than further requests.
const ENOUGH: u32 = 16;
/// The most core modules in a component; interpreters consist of many.
const MAX_MODULES: u32 = 60;
/// A page of WebAssembly.
const PAGE: usize = 64 << 10;
/// What is left of a scarce address space for everything else, in bytes, of which compiling a large component needs most:
/// without room for an allocation, a process is aborted. The smaller values are for what would otherwise not start.
const RESTS: [usize; 3] = [1 << 30, 256 << 20, 64 << 20];

/// A wasmtime engine with a pool, and what the pool holds.
pub(super) struct Pool {
    pub(super) wasmtime: Engine,
    /// How many requests have room.
    pub(super) requests: u32,
    /// The most memory that an instance can have, in bytes.
    pub(super) slot: usize,
}

/// How much address space a memory has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slots {
    /// As much as 32-bit addresses reach.
    Whole,
    /// So many bytes. Guests check the bounds.
    Tight(usize),
}

impl Pool {
    /// Makes a pool for as many of the `wanted` requests as have room. `memory` is the largest memory that a guest may
    /// have, in bytes.
    pub(super) fn new(wanted: u32, memory: usize, scan: bool) -> Result<Self, String> {
        let limit = address_space();
        // Without a limit of its own, a process has room for other things wherever it has room for this.
        if limit.is_none()
            && let Ok(wasmtime) = engine(Slots::Whole, wanted, scan)
        {
            return Ok(Self { wasmtime, requests: wanted, slot: MAX_MEMORY });
        }
        let memory = memory.next_multiple_of(PAGE);
        let tight = Slots::Tight(memory);
        let found = RESTS.iter().find_map(|rest| best(wanted, tight, *rest));
        let cause = match limit {
            Some(limit) => format!("the address space is limited to {} MiB (`ulimit -v`, LimitAS)", limit >> 20),
            None => "the system gives a process too little address space".to_owned(),
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
                 time; the others wait"
            );
        }
        if slots == tight {
            tracing::warn!("{cause}: guests check the bounds of their memories, which makes them slower");
        }
        let wasmtime = engine(slots, requests, scan).map_err(|error| format!("{error:#}"))?;
        Ok(Self { wasmtime, requests, slot: if slots == tight { memory } else { MAX_MEMORY } })
    }
}

impl Pool {
    /// Makes a pool for trials, which is the same for guests as one for requests. Where address space is scarce there is no
    /// pool: compiling needs the room. Each memory is then mapped for its instance, as large as it is, and moves when it
    /// grows.
    pub(super) fn for_trials(memory: usize, scan: bool) -> Result<Self, String> {
        if fits(Slots::Whole, 1, RESTS[0])
            && let Ok(wasmtime) = engine(Slots::Whole, 1, scan)
        {
            return Ok(Self { wasmtime, requests: 1, slot: MAX_MEMORY });
        }
        let mut config = settings::config();
        reserve(&mut config, 0);
        config.memory_reservation_for_growth(PAGE as u64);
        let wasmtime = Engine::new(&config).map_err(|error| format!("{error:#}"))?;
        Ok(Self { wasmtime, requests: 0, slot: memory })
    }
}

/// The slots, and how many of the `wanted` requests have room beside a rest; none if not a single one has.
fn best(wanted: u32, tight: Slots, rest: usize) -> Option<(Slots, u32)> {
    let fitting = |slots| most(wanted, |requests| fits(slots, requests, rest));
    let whole = fitting(Slots::Whole);
    if whole >= wanted.min(ENOUGH) {
        return Some((Slots::Whole, whole));
    }
    match fitting(tight) {
        0 => None,
        many => Some((tight, many)),
    }
}

/// Whether there is address space for so many requests and for a rest.
fn fits(slots: Slots, requests: u32, rest: usize) -> bool {
    // Reserved and not touched, until it is known whether the pool has room beside it.
    let mut reserved = Vec::<u8>::new();
    let fits = reserved.try_reserve_exact(rest).is_ok() && engine(slots, requests, false).is_ok();
    // An allocation without a use would be optimized away.
    black_box(reserved);
    fits
}

/// The largest number up to `wanted` that fits, where each number fits if a larger one does.
fn most(wanted: u32, fits: impl Fn(u32) -> bool) -> u32 {
    let (mut fitting, mut too_many) = (0, wanted.saturating_add(1));
    // What is wanted is tried first: mostly it fits.
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

/// The limit of the address space of this process in bytes, if it has one.
fn address_space() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Each request has a fresh instance of every guest it meets. The pool makes that cheap: memory is mapped once, copied
/// on write, and what a guest has touched is put back instead of unmapped.
fn engine(slots: Slots, requests: u32, scan: bool) -> wasmtime::Result<Engine> {
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
        // A number and no memory: components may have as many modules as they like.
        .total_core_instances(instances.saturating_mul(MAX_MODULES))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(2))
        .total_stacks(instances)
        .max_unused_warm_slots(instances)
        // Interpreted languages are large.
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .max_core_instances_per_component(MAX_MODULES)
        .max_memories_per_component(4)
        .max_tables_per_component(8)
        .table_elements(100_000)
        .max_memory_size(max_memory)
        .linear_memory_keep_resident(kept_ready(scan))
        .table_keep_resident(TABLE_KEPT_READY)
        .pagemap_scan(if scan { Enabled::Yes } else { Enabled::No });
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
}

/// Gives each memory no more address space than it can use.
fn reserve(config: &mut Config, memory: usize) {
    config.memory_reservation(memory as u64).memory_guard_size(PAGE as u64).guard_before_linear_memory(false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_that_fits_is_found() {
        for wanted in [1, 2, 3, 10, 256, u32::MAX] {
            for limit in [0, 1, 2, 3, 9, 10, 200, 1 << 20] {
                assert_eq!(most(wanted, |number| number <= limit), wanted.min(limit), "{limit} of {wanted}");
            }
        }
    }
}
