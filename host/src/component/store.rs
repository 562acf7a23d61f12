//! The data of a store: the state of the request that the guest serves, and the memory, handles and WASI of the instance.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::{identity::Identity, wasi};
use crate::{
    message::{Limits, Reply, Request},
    transaction::{Bound, Trace},
};

/// State of one request that its guests share.
#[derive(Debug)]
pub(crate) struct RequestState {
    /// The request.
    pub(crate) request: Arc<Request>,
    /// Name and percent-decoded value of each parameter of the route's pattern.
    pub(crate) params: Vec<(Arc<str>, String)>,
    /// Values that hooks pass to the controller.
    pub(crate) context: BTreeMap<String, String>,
    /// Binding of the request to its database.
    pub(crate) bound: Bound,
    /// Events of the request so far.
    pub(crate) trace: Trace,
}

impl RequestState {
    /// Returns the state of a request that is not bound to a database yet.
    pub(crate) fn new(request: Arc<Request>) -> Self {
        Self { request, params: Vec::new(), context: BTreeMap::new(), bound: Bound::default(), trace: Trace::new() }
    }

    /// Returns the state that a store has between two calls. Allocates nothing.
    fn placeholder() -> Self {
        static EMPTY: LazyLock<Arc<Request>> = LazyLock::new(Arc::default);
        Self { trace: Trace::default(), ..Self::new(EMPTY.clone()) }
    }
}

/// Data of a wasmtime store. Everything but `lent` and `reply` belongs to the instance in the store, whichever request
/// it serves.
pub(super) struct StoreData {
    /// The component of the instance.
    pub(super) identity: Arc<Identity>,
    /// State of the request during a call, and a placeholder between calls.
    pub(super) lent: RequestState,
    /// Reply so far, during a call of an on-error or after hook.
    pub(super) reply: Option<Reply>,
    /// Limits within which the guest may change `reply`. `None` unless it is an after hook.
    pub(super) change_limits: Option<Limits>,
    /// End of the time for the running call.
    pub(super) deadline: Option<Instant>,
    /// Number of the running call. Each handle carries the number of its call, and is dead after it.
    pub(super) call: u64,
    pub(super) table: ResourceTable,
    /// All memories of the instance, in bytes.
    memory: usize,
    /// Memory that the instance was refused in this call. It may be the reason why the call fails.
    refused: Option<OutOfMemory>,
    wasi: Option<Box<WasiCtx>>,
    /// The request in log lines of the guest's standard output, which WASI's streams share with the store.
    pub(super) logged: Option<Arc<ArcSwap<Request>>>,
}

/// Error of a guest that used up its time.
#[derive(Debug, thiserror::Error)]
#[error("out of time")]
pub(super) struct OutOfTime;

/// Error of a guest that requested memory beyond its limit.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("out of memory: {wanted} bytes requested, {limit} allowed")]
pub(super) struct OutOfMemory {
    pub(super) wanted: usize,
    pub(super) limit: usize,
}

impl StoreData {
    pub(super) fn new(identity: Arc<Identity>) -> Self {
        Self {
            identity,
            lent: RequestState::placeholder(),
            reply: None,
            change_limits: None,
            deadline: None,
            call: 0,
            table: ResourceTable::new(),
            memory: 0,
            refused: None,
            wasi: None,
            logged: None,
        }
    }

    /// Begins a call, which may take `timeout`.
    pub(super) fn begin_call(&mut self, timeout: Duration) {
        self.call += 1;
        self.refused = None;
        self.deadline = Some(Instant::now() + timeout);
    }

    /// Ends a call. Its handles are dead from now on.
    pub(super) fn end_call(&mut self) {
        self.call += 1;
        self.change_limits = None;
        self.deadline = None;
    }

    /// Returns the memory that the instance was refused in the running call, or the last one.
    pub(super) fn refused_memory(&self) -> Option<OutOfMemory> {
        self.refused
    }

    /// Returns how much memory the instance has, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }
}

impl wasmtime::ResourceLimiter for StoreData {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let limit = self.identity.memory;
        let wanted = self.memory + desired.saturating_sub(current);
        if wanted > limit {
            // `memory.grow` returns -1, which the guest's allocator expects. An initial memory fails the instantiation.
            self.refused = Some(OutOfMemory { wanted, limit });
            return Ok(false);
        }
        self.memory = wanted;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= 100_000)
    }
}

impl WasiView for StoreData {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self.wasi.get_or_insert_with(|| {
            let logged = self.logged.get_or_insert_with(|| Arc::new(ArcSwap::new(self.lent.request.clone())));
            Box::new(wasi::context(&self.identity, logged))
        });
        WasiCtxView { ctx, table: &mut self.table }
    }
}
