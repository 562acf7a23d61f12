//! The state of one request, which its guests' imports work on, and the guests that it has met.
//!
//! Each guest has a store of its own, and so cannot see another's memory. The state is in the store of the one that runs:
//! only one does at a time. A trap closes its store to further calls (wasmtime marks it), and no other.

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
    imports::wasi,
    instances::Instance,
    registry::{Component, Identity},
};
use crate::{
    config::Access,
    message::{Limits, Reply, Request},
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
    /// Limits within which `current` may change the answer. `None` unless it is an after hook.
    pub(super) change_limits: Option<Limits>,
    pub(super) deadline: Option<Instant>,
    pub(super) kept: Kept,
}

/// What belongs to a store and the instance in it, whatever request is there.
#[derive(Default)]
pub(super) struct Kept {
    /// The number of the call under way; handles carry it, so that they die with their call.
    pub(super) call: u64,
    pub(super) table: ResourceTable,
    /// All memories of the instance, in bytes.
    memory: usize,
    /// The memory that the instance was refused in this call, which may be why the call fails.
    refused: Option<OutOfMemory>,
    wasi: Option<Box<WasiCtx>>,
    /// The request that the guest writes about, where that changes.
    about: Option<Arc<ArcSwap<Request>>>,
}

/// The guests of one request: its state, and an instance of each component that it has met.
pub struct Sandbox {
    /// The state, unless it is on a visit.
    guest: Guest,
    instances: Vec<Instance>,
    /// The one whose store the state is in.
    visited: Option<usize>,
}

/// A guest used up its time.
#[derive(Debug, thiserror::Error)]
#[error("out of time")]
pub(super) struct OutOfTime;

/// A guest was refused memory beyond its limit.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("out of memory: {wanted} bytes wanted, {limit} allowed")]
pub(super) struct OutOfMemory {
    pub(super) wanted: usize,
    pub(super) limit: usize,
}

impl Sandbox {
    /// No guest yet, and the state that they will work on.
    pub fn new(guest: Guest) -> Self {
        Self { guest, instances: Vec::new(), visited: None }
    }

    /// The state.
    pub fn guest(&mut self) -> &mut Guest {
        match self.visited {
            Some(place) => self.instances[place].store.data_mut(),
            None => &mut self.guest,
        }
    }

    /// The state, for good.
    pub fn into_guest(self) -> Guest {
        self.guest
    }

    /// Lets go of the instances, of which some may go on to other requests.
    pub fn give_back(&mut self) {
        self.instances.drain(..).for_each(Instance::give_back);
    }

    /// Goes to the component's instance in this request.
    pub(super) fn enter(&mut self, component: &Component) -> &mut Instance {
        let instances = &component.instances;
        let place = self.instances.iter().position(|instance| instance.is_of(instances)).unwrap_or_else(|| {
            self.instances.push(instances.take());
            self.instances.len() - 1
        });
        self.visited = Some(place);
        let visited = &mut self.instances[place];
        visited.store.set_epoch_deadline(1);
        move_state(&mut self.guest, visited.store.data_mut());
        visited.store.data_mut().enter(&component.identity, component.timeout);
        visited
    }

    /// Ends a call. The store of one that ended badly is not entered again.
    pub(super) fn leave(&mut self, well: bool) {
        self.guest().leave();
        if let Some(place) = self.visited.take() {
            move_state(self.instances[place].store.data_mut(), &mut self.guest);
            if !well {
                self.instances.swap_remove(place);
            }
        }
    }

    /// Ends a call that was cut off in the middle.
    pub fn cut_off(&mut self) {
        self.leave(false);
    }

    /// Forgets a component's instance, so that the next call finds another one.
    pub fn forget(&mut self, component: &Component) {
        self.instances.retain(|instance| !instance.is_of(&component.instances));
    }
}

/// Moves a request's state to where nobody's is.
fn move_state(from: &mut Guest, to: &mut Guest) {
    mem::swap(from, to);
    mem::swap(&mut from.kept, &mut to.kept);
    for guest in [from, to] {
        if let Some(about) = &guest.kept.about {
            about.store(guest.request.clone());
        }
    }
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
            change_limits: None,
            deadline: None,
            kept: Kept::default(),
        }
    }

    /// The state of a store that waits for a request.
    pub(super) fn nobodys() -> Self {
        static NOTHING: LazyLock<Arc<Request>> = LazyLock::new(Arc::default);
        Self::new(NOTHING.clone())
    }

    /// Fixes who runs next, and until when.
    pub(super) fn enter(&mut self, who: &Arc<Identity>, timeout: Duration) {
        self.current = who.clone();
        self.kept.call += 1;
        self.kept.refused = None;
        self.deadline = Some(Instant::now() + timeout);
    }

    /// The call is over: its handles are dead.
    pub(super) fn leave(&mut self) {
        self.kept.call += 1;
        self.change_limits = None;
        self.deadline = None;
    }

    /// The memory that the instance in this store was refused in the call that runs, or ran last.
    pub(super) fn refused_memory(&self) -> Option<OutOfMemory> {
        self.kept.refused
    }

    /// How much memory the instance in this store has, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.kept.memory
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
        let limit = self.current.memory;
        let wanted = self.kept.memory + desired.saturating_sub(current);
        if wanted > limit {
            // `memory.grow` returns -1, as the guest's allocator expects; an instance that needs as much is not made.
            self.kept.refused = Some(OutOfMemory { wanted, limit });
            return Ok(false);
        }
        self.kept.memory = wanted;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= 100_000)
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Kept { wasi, table, about, .. } = &mut self.kept;
        let ctx = wasi.get_or_insert_with(|| {
            let about = about.get_or_insert_with(|| Arc::new(ArcSwap::new(self.request.clone())));
            Box::new(wasi::context(&self.current, about))
        });
        WasiCtxView { ctx, table }
    }
}
