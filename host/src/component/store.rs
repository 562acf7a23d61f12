//! The store of one request: the state that its guests' imports work on, and the instances made so far.
//!
//! All guests of a request share one store. They cannot see each other: each has its own memory, and only one runs at
//! a time. A trap closes the whole store to further calls (wasmtime marks it), so then the state moves on to a
//! fresh one, and with it the binding. An instance that outlives the request has another store, which the state visits.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, LazyLock},
    time::Instant,
};

use arc_swap::ArcSwap;

use wasmtime::{
    Store, UpdateDeadline,
    component::{Instance, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::{
    engine::Engine,
    imports::wasi,
    registry::{Component, Identity},
    reuse::Reused,
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
    /// Whether `current` is an after hook, which may change the answer.
    pub(super) may_change_reply: bool,
    pub(super) deadline: Option<Instant>,
    pub(super) kept: Kept,
}

/// What belongs to a store and the instances in it, whatever request is there.
#[derive(Default)]
pub(super) struct Kept {
    /// The number of the call under way; handles carry it, so that they die with their call.
    pub(super) call: u64,
    pub(super) table: ResourceTable,
    /// The memory of each component's instances, in bytes.
    memory: Vec<(usize, usize)>,
    wasi: Vec<(usize, Box<WasiCtx>)>,
    /// The request that guests write about, where that changes.
    about: Option<Arc<ArcSwap<Request>>>,
}

/// The store of one request and the instances in it.
pub struct Sandbox {
    engine: wasmtime::Engine,
    /// Where the state is.
    pub(super) store: Store<Guest>,
    instances: Vec<(usize, Instance)>,
    reused: Vec<Reused>,
    /// The one whose store the state is in. The request's own store waits in its place.
    visited: Option<usize>,
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
        Self { engine, store, instances: Vec::new(), reused: Vec::new(), visited: None }
    }

    /// The state.
    pub fn guest(&mut self) -> &mut Guest {
        self.store.data_mut()
    }

    /// The state, for good.
    pub fn into_guest(self) -> Guest {
        self.store.into_data()
    }

    /// Lets instances that may be reused go on to other requests.
    pub fn give_back(&mut self) {
        self.reused.drain(..).for_each(Reused::give_back);
    }

    /// Goes to the store where the component's instance is or will be.
    pub(super) fn enter(&mut self, component: &Component) {
        if let Some(idle) = &component.idle {
            let known = self.reused.iter().position(|reused| reused.component == component.index);
            let place = known.unwrap_or_else(|| {
                self.reused.push(idle.take(component.index, || fresh(&self.engine, Guest::nobodys())));
                self.reused.len() - 1
            });
            let reused = &mut self.reused[place];
            reused.store.set_epoch_deadline(1);
            move_state(&mut self.store, &mut reused.store);
            mem::swap(&mut self.store, &mut reused.store);
            self.visited = Some(place);
        }
        self.guest().enter(component);
    }

    /// Ends a call. The store of one that ended badly is not entered again.
    pub(super) fn leave(&mut self, well: bool) {
        self.guest().leave();
        match self.visited.take() {
            Some(place) => {
                let reused = &mut self.reused[place];
                mem::swap(&mut self.store, &mut reused.store);
                move_state(&mut reused.store, &mut self.store);
                if !well {
                    self.reused.swap_remove(place);
                }
            }
            None if !well => self.renew(),
            None => {}
        }
    }

    /// Ends a call that was cut off in the middle.
    pub fn cut_off(&mut self) {
        self.leave(false);
    }

    /// Moves on to a fresh store.
    fn renew(&mut self) {
        let mut guest = mem::replace(self.store.data_mut(), Guest::nobodys());
        self.instances.clear();
        guest.kept = Kept { call: guest.kept.call, ..Kept::default() };
        self.store = fresh(&self.engine, guest);
    }

    /// Forgets a component's instance, so that the next call finds another one.
    pub fn forget(&mut self, component: &Component) {
        self.instances.retain(|(index, _)| *index != component.index);
        self.reused.retain(|reused| reused.component != component.index);
        let kept = &mut self.guest().kept;
        kept.memory.retain(|(index, _)| *index != component.index);
        kept.wasi.retain(|(index, _)| *index != component.index);
    }

    /// The component's instance in this request, made if this is its first call.
    pub(super) async fn instance(&mut self, component: &Component) -> wasmtime::Result<Instance> {
        let known = match self.visited {
            Some(place) => self.reused[place].instance,
            None => self.instances.iter().find(|(index, _)| *index == component.index).map(|(_, instance)| *instance),
        };
        if let Some(instance) = known {
            return Ok(instance);
        }
        let instance = component.pre.instantiate_async(&mut self.store).await?;
        match self.visited {
            Some(place) => self.reused[place].instance = Some(instance),
            None => self.instances.push((component.index, instance)),
        }
        Ok(instance)
    }
}

/// Moves a request's state from a store to another one, which belongs to nobody.
fn move_state(from: &mut Store<Guest>, to: &mut Store<Guest>) {
    let (from, to) = (from.data_mut(), to.data_mut());
    mem::swap(from, to);
    mem::swap(&mut from.kept, &mut to.kept);
    for guest in [from, to] {
        if let Some(about) = &guest.kept.about {
            about.store(guest.request.clone());
        }
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
            may_change_reply: false,
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
    pub(super) fn enter(&mut self, component: &Component) {
        self.current = component.identity.clone();
        self.kept.call += 1;
        self.deadline = Some(Instant::now() + component.timeout);
    }

    /// The call is over: its handles are dead.
    pub(super) fn leave(&mut self) {
        self.kept.call += 1;
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
        let memory = &mut self.kept.memory;
        let position = memory.iter().position(|(of, _)| *of == index).unwrap_or_else(|| {
            memory.push((index, 0));
            memory.len() - 1
        });
        let used = &mut memory[position].1;
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
        let Kept { wasi: contexts, table, about, .. } = &mut self.kept;
        let position = contexts.iter().position(|(of, _)| *of == index).unwrap_or_else(|| {
            let about = about.get_or_insert_with(|| Arc::new(ArcSwap::new(self.request.clone())));
            contexts.push((index, Box::new(wasi::context(&self.current, about))));
            contexts.len() - 1
        });
        WasiCtxView { ctx: &mut contexts[position].1, table }
    }
}
