//! The data of a store, and the loan of a request's state to it for the length of a call.
//!
//! Each guest has a store of its own, so guests cannot see each other's memory. The lifecycle owns the [`RequestState`];
//! only one guest runs at a time, and a [`Visit`] moves the state into the store of that guest and back.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::{
    identity::Identity,
    instances::{Instance, InstancePool},
    loaded::Component,
    wasi,
};
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
    logged: Option<Arc<ArcSwap<Request>>>,
}

/// The instances that one request has entered, at most one of each component.
#[derive(Default)]
pub(crate) struct Guests(Vec<Instance>);

/// The state of a request inside the store of one guest. Dropping the visit moves the state back, also in the middle of
/// a cancelled call. The instance is dropped unless its call completed, because wasmtime admits no further call into a
/// store after a trap.
pub(super) struct Visit<'a> {
    guests: &'a mut Guests,
    /// Index of the visited instance in `guests`.
    index: usize,
    state: &'a mut RequestState,
    reply: Option<&'a mut Reply>,
    is_complete: bool,
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

impl Guests {
    /// Lends the state of the request, and the reply if the guest may see it, to the instance of this pool.
    pub(super) fn enter<'a>(
        &'a mut self,
        pool: &Arc<InstancePool>,
        state: &'a mut RequestState,
        reply: Option<&'a mut Reply>,
    ) -> Visit<'a> {
        let index = self.0.iter().position(|instance| instance.is_of(pool)).unwrap_or_else(|| {
            self.0.push(pool.take());
            self.0.len() - 1
        });
        let mut visit = Visit { guests: self, index, state, reply, is_complete: false };
        visit.instance().store.set_epoch_deadline(1);
        visit.swap();
        visit.data().begin_call(pool.timeout());
        visit
    }

    /// Returns the instances to their pools, which keep some of them for other requests.
    pub(crate) fn give_back(self) {
        self.0.into_iter().for_each(Instance::give_back);
    }

    /// Drops a component's instance, so that the next call enters another one.
    pub(crate) fn forget(&mut self, component: &Component) {
        self.0.retain(|instance| !instance.is_of(&component.instances));
    }
}

impl Visit<'_> {
    pub(super) fn instance(&mut self) -> &mut Instance {
        &mut self.guests.0[self.index]
    }

    /// Returns the data of the visited store, with the state of the request.
    pub(super) fn data(&mut self) -> &mut StoreData {
        self.instance().store.data_mut()
    }

    /// Ends the visit. After `is_complete` the instance may be entered again.
    pub(super) fn end(mut self, is_complete: bool) {
        self.is_complete = is_complete;
    }

    /// Swaps the state of the request with that in the store.
    fn swap(&mut self) {
        let data = self.guests.0[self.index].store.data_mut();
        mem::swap(self.state, &mut data.lent);
        if let Some(reply) = self.reply.as_deref_mut() {
            match data.reply.take() {
                Some(lent) => *reply = lent,
                None => data.reply = Some(mem::take(reply)),
            }
        }
        if let Some(logged) = &data.logged {
            logged.store(data.lent.request.clone());
        }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.data().end_call();
        self.swap();
        if !self.is_complete {
            self.guests.0.swap_remove(self.index);
        }
    }
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

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::component::instances::tests::pool;

    fn request() -> (RequestState, Reply) {
        let mut state = RequestState::new(Arc::default());
        state.context.insert("user".to_owned(), "7".to_owned());
        (state, Reply { status: StatusCode::CREATED, ..Reply::default() })
    }

    /// Changes the state and the reply inside a store.
    fn change(visit: &mut Visit<'_>) {
        let data = visit.data();
        assert_eq!(data.lent.context.remove("user").as_deref(), Some("7"), "the state is in the store");
        data.lent.context.insert("role".to_owned(), "admin".to_owned());
        if let Some(reply) = &mut data.reply {
            assert_eq!(reply.status, StatusCode::CREATED, "the reply is in the store");
            reply.status = StatusCode::ACCEPTED;
        }
    }

    #[test]
    fn a_completed_visit_returns_the_state_and_keeps_the_instance() -> wasmtime::Result<()> {
        let (pool, mut guests, (mut state, mut reply)) = (pool(1, 1)?, Guests::default(), request());
        let mut visit = guests.enter(&pool, &mut state, Some(&mut reply));
        change(&mut visit);
        visit.end(true);
        assert_eq!((state.context.len(), &*state.context["role"], reply.status), (1, "admin", StatusCode::ACCEPTED));
        let data = guests.0[0].store.data();
        assert!(data.lent.context.is_empty() && data.reply.is_none(), "the store keeps nothing of the request");
        assert!(!Arc::ptr_eq(&data.lent.request, &state.request));
        Ok(())
    }

    #[tokio::test]
    async fn a_cancelled_visit_returns_the_state_and_drops_the_instance() -> wasmtime::Result<()> {
        let (pool, mut guests, (mut state, mut reply)) = (pool(1, 1)?, Guests::default(), request());
        guests.enter(&pool, &mut state, None).end(true);
        {
            let mut cancelled = Box::pin(async {
                let mut visit = guests.enter(&pool, &mut state, Some(&mut reply));
                change(&mut visit);
                std::future::pending::<()>().await;
                visit.end(true);
            });
            assert!(futures_util::poll!(&mut cancelled).is_pending());
        }
        assert_eq!((&*state.context["role"], reply.status), ("admin", StatusCode::ACCEPTED));
        assert!(guests.0.is_empty(), "no further call enters the store");
        Ok(())
    }

    #[test]
    fn handles_of_an_earlier_call_are_dead() -> wasmtime::Result<()> {
        let (pool, mut guests, (mut state, _)) = (pool(1, 1)?, Guests::default(), request());
        let mut calls = Vec::new();
        for _ in 0..2 {
            let mut visit = guests.enter(&pool, &mut state, None);
            calls.push(visit.data().call);
            visit.end(true);
            calls.push(guests.0[0].store.data().call);
        }
        assert!(calls.is_sorted_by(|earlier, later| earlier < later), "{calls:?}");
        Ok(())
    }
}
