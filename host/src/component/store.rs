//! The store of one request: the state that its guests' imports work on, and the instances made so far.
//!
//! All guests of a request share one store. They cannot see each other: each has its own memory, and only one runs at
//! a time. A trap closes the whole store to further calls (wasmtime marks it), so then the state moves on to a
//! fresh one, and with it the binding.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use wasmtime::{
    Store, UpdateDeadline,
    component::{Instance, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::{
    engine::Engine,
    imports::wasi,
    registry::{Component, Identity},
};
use crate::{
    config::Access,
    message::{Reply, Request},
    transaction::{Bound, Trace},
};

/// What the guests of one request see and share.
pub struct Guest {
    /// The request.
    pub request: Arc<Request>,
    /// Parameters of the route's pattern, percent-decoded.
    pub params: Vec<(Arc<str>, String)>,
    /// The answer, once there is one.
    pub reply: Option<Reply>,
    /// What hooks handed on.
    pub context: BTreeMap<String, String>,
    /// What the request is bound to.
    pub bound: Bound,
    /// What happened so far.
    pub trace: Trace,
    /// Whose code runs, or ran last.
    pub(super) current: Arc<Identity>,
    /// The number of the call under way; handles carry it, so that they die with their call.
    pub(super) call: u64,
    /// Whether `current` is an after hook, which may change the answer.
    pub(super) may_change_reply: bool,
    pub(super) deadline: Option<Instant>,
    /// The memory of each component's instances, in bytes.
    pub(super) memory: Vec<(usize, usize)>,
    pub(super) table: ResourceTable,
    wasi: Vec<(usize, Box<WasiCtx>)>,
}

/// The store of one request and the instances in it.
pub struct Sandbox {
    engine: wasmtime::Engine,
    pub(super) store: Store<Guest>,
    instances: Vec<(usize, Instance)>,
}

/// A guest used up its time.
#[derive(Debug, thiserror::Error)]
#[error("out of time")]
pub(super) struct OutOfTime;

/// A guest asked for more memory than its limit.
#[derive(Debug, thiserror::Error)]
#[error("out of memory: {wanted} bytes wanted, {limit} allowed")]
pub(super) struct OutOfMemory {
    wanted: usize,
    limit: usize,
}

impl Sandbox {
    /// A store for a request.
    pub fn new(engine: &Engine, guest: Guest) -> Self {
        let engine = engine.wasmtime.clone();
        let store = fresh(&engine, guest);
        Self { engine, store, instances: Vec::new() }
    }

    /// The state.
    pub fn guest(&mut self) -> &mut Guest {
        self.store.data_mut()
    }

    /// The state, for good.
    pub fn into_guest(self) -> Guest {
        self.store.into_data()
    }

    /// Ends a call that was cut off in the middle.
    pub fn cut_off(&mut self) {
        self.guest().leave();
        self.renew();
    }

    /// Moves on to a fresh store, after a trap.
    pub(super) fn renew(&mut self) {
        let request = self.guest().request.clone();
        let mut guest = std::mem::replace(self.store.data_mut(), Guest::new(request));
        self.instances.clear();
        guest.table = ResourceTable::new();
        guest.wasi.clear();
        guest.memory.clear();
        self.store = fresh(&self.engine, guest);
    }

    /// Forgets a component's instance, so that the next call finds a fresh one.
    pub fn forget(&mut self, component: &Component) {
        self.instances.retain(|(index, _)| *index != component.index);
        let guest = self.guest();
        guest.memory.retain(|(index, _)| *index != component.index);
        guest.wasi.retain(|(index, _)| *index != component.index);
    }

    /// The component's instance in this request, made if this is its first call.
    pub(super) async fn instance(&mut self, component: &Component) -> wasmtime::Result<Instance> {
        if let Some((_, instance)) = self.instances.iter().find(|(index, _)| *index == component.index) {
            return Ok(*instance);
        }
        let instance = component.pre.instantiate_async(&mut self.store).await?;
        self.instances.push((component.index, instance));
        Ok(instance)
    }
}

fn fresh(engine: &wasmtime::Engine, guest: Guest) -> Store<Guest> {
    let mut store = Store::new(engine, guest);
    store.limiter(|guest| guest);
    store.set_epoch_deadline(1);
    // At every tick a guest lets other requests run; a spinning one costs them little.
    store.epoch_deadline_callback(|context| match context.data().deadline {
        Some(deadline) if Instant::now() >= deadline => Err(OutOfTime.into()),
        _ => Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))),
    });
    store
}

impl Guest {
    /// The state of a request that was not bound to anything yet.
    pub fn new(request: Arc<Request>) -> Self {
        Self {
            request,
            params: Vec::new(),
            reply: None,
            context: BTreeMap::new(),
            bound: Bound::default(),
            trace: Trace::default(),
            current: Identity::nobody(),
            call: 0,
            may_change_reply: false,
            deadline: None,
            memory: Vec::new(),
            table: ResourceTable::new(),
            wasi: Vec::new(),
        }
    }

    /// Fixes who runs next, and until when.
    pub(super) fn enter(&mut self, component: &Component) {
        self.current = component.identity.clone();
        self.call += 1;
        self.deadline = Some(Instant::now() + component.timeout);
    }

    /// The call is over: its handles are dead.
    pub(super) fn leave(&mut self) {
        self.call += 1;
        self.may_change_reply = false;
        self.deadline = None;
    }

    /// The name of the component whose code runs, or ran last.
    pub fn speaker(&self) -> &str {
        &self.current.name
    }

    /// The access mode of this request.
    pub fn access(&self) -> Access {
        self.bound.access()
    }
}

impl wasmtime::ResourceLimiter for Guest {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        // Counted over all memories of the component's instance.
        let (index, limit) = (self.current.index, self.current.memory);
        let position = self.memory.iter().position(|(of, _)| *of == index).unwrap_or_else(|| {
            self.memory.push((index, 0));
            self.memory.len() - 1
        });
        let used = &mut self.memory[position].1;
        let wanted = *used + desired.saturating_sub(current);
        if wanted > limit {
            // A trap that says why is worth more to its author than an allocator's abort.
            return Err(OutOfMemory { wanted, limit }.into());
        }
        *used = wanted;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= 100_000)
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let index = self.current.index;
        let position = self.wasi.iter().position(|(of, _)| *of == index).unwrap_or_else(|| {
            self.wasi.push((index, Box::new(wasi::context(&self.current, &self.request))));
            self.wasi.len() - 1
        });
        WasiCtxView { ctx: &mut self.wasi[position].1, table: &mut self.table }
    }
}
