//! The data of a store: the state of the request during a call, and the memory limit, handles and WASI context of the
//! instance.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::{
    http::Http,
    properties::Properties,
    wasi::{self, Output},
};
use crate::{
    message::{ClientIdentity, FormError, FormField, Limits, Reply, Request},
    outbound::Calls,
    quota::{Quota, Share},
    transaction::{Bound, Trace},
};

/// Maximum number of resources in the table of a guest that uses `wasi:http` or `current`. Each may be a header of 128 KiB
/// in the memory of the host.
pub(super) const MAX_RESOURCES: usize = 1000;

/// State of one request. All guests of the request share it.
#[derive(Debug)]
pub(crate) struct RequestState {
    /// The request.
    pub(crate) request: Arc<Request>,
    /// Pattern of the route. `None` before routing, and if no route matches.
    pub(crate) route: Option<Arc<str>>,
    /// Name and percent-decoded value of each parameter of the route's pattern.
    pub(crate) params: Vec<(Arc<str>, String)>,
    /// Identity of the client, if a hook has set it.
    pub(crate) client: Option<Box<ClientIdentity>>,
    /// Fields of the form in the request's body, once a guest has read them.
    pub(super) form: Option<Box<Result<Vec<FormField>, FormError>>>,
    /// Values that hooks pass to the controller.
    pub(crate) context: BTreeMap<String, String>,
    /// Binding of the request to its database.
    pub(crate) bound: Bound,
    /// Outbound HTTP requests of the guests.
    pub(crate) calls: Calls,
    /// Events of the request so far.
    pub(crate) trace: Trace,
    /// Description of the call that was cancelled, if the request was interrupted during a call.
    pub(crate) cancelled: Option<String>,
}

impl RequestState {
    /// Returns the state of a request that is not bound to a database yet.
    pub(crate) fn new(request: Arc<Request>) -> Self {
        Self {
            request,
            route: None,
            params: Vec::new(),
            client: None,
            form: None,
            context: BTreeMap::new(),
            bound: Bound::default(),
            calls: Calls::default(),
            trace: Trace::new(),
            cancelled: None,
        }
    }

    /// Returns the state of a request. Its guests must not send HTTP requests. `caller` describes the request.
    pub(crate) fn without_calls(request: Arc<Request>, caller: &'static str) -> Self {
        Self { calls: Calls::forbidden_to(caller), ..Self::new(request) }
    }

    /// Returns the state that a store has between two calls. Allocates nothing.
    fn placeholder() -> Self {
        static EMPTY: LazyLock<Arc<Request>> = LazyLock::new(Arc::default);
        Self { trace: Trace::default(), ..Self::without_calls(EMPTY.clone(), "a start function") }
    }
}

/// Data of a wasmtime store. The fields `lent`, `reply`, `change_limits`, `may_identify`, `deadline` and `refused` belong
/// to one call. The other fields belong to the instance in the store and remain for its next request.
pub(super) struct StoreData {
    /// The component of the instance.
    pub(super) properties: Arc<Properties>,
    /// State of the request during a call, and a placeholder between calls.
    pub(super) lent: RequestState,
    /// The reply before the host sends it, during a call of an `on-error` or `after` hook.
    pub(super) reply: Option<Reply>,
    /// Limits within which the guest may change `reply`. `None` unless the guest is an `after` hook.
    pub(super) change_limits: Option<Limits>,
    /// Whether the guest may set the identity of the client.
    pub(super) may_identify: bool,
    /// Deadline of the running call.
    pub(super) deadline: Option<Instant>,
    /// Number of the running call. Each handle contains the number of the call that received it, and is invalid after
    /// this call.
    pub(super) call: u64,
    /// Whether the guest may request handles in the running call. False while the guest is instantiated, and in hooks
    /// outside the transaction.
    pub(super) may_have_handles: bool,
    pub(super) table: ResourceTable,
    /// Total size of the memories of the instance, in bytes.
    memory: usize,
    /// The part of it that the guest has allocated, until the instance is dropped. `None` if there is none.
    growth: Option<Share<Arc<Quota>>>,
    /// The last time in this call that the guest requested memory beyond the limit. This may be the reason why the call
    /// fails.
    refused: Option<OutOfMemory>,
    wasi: Option<Box<WasiCtx>>,
    /// State of `wasi:http`. `None` until the guest uses it.
    pub(super) http: Option<Box<Http>>,
    /// Whether an outbound request was still running at the end of a call, so that the instance must be dropped.
    pub(super) is_sending: bool,
    /// Standard output and error of the guest.
    pub(super) output: Option<Output>,
}

/// Error of a call that has reached its deadline.
#[derive(Debug, thiserror::Error)]
#[error("out of time")]
pub(super) struct OutOfTime;

/// Error of a guest that requested memory beyond its limit.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("out of memory: {wanted} bytes requested, {limit} allowed{}", if *.is_total { " for all guests" } else { "" })]
pub(super) struct OutOfMemory {
    pub(super) wanted: usize,
    pub(super) limit: usize,
    /// Whether the memory of all guests together would exceed the limit.
    pub(super) is_total: bool,
}

impl OutOfMemory {
    /// Returns the configuration key of the limit.
    pub(super) fn key(&self, component: &str) -> String {
        if self.is_total { "server.max_guest_memory".to_owned() } else { format!("component.{component}.memory") }
    }
}

impl StoreData {
    pub(super) fn new(properties: Arc<Properties>) -> Self {
        Self {
            properties,
            lent: RequestState::placeholder(),
            reply: None,
            change_limits: None,
            may_identify: false,
            deadline: None,
            call: 0,
            may_have_handles: false,
            table: ResourceTable::new(),
            memory: 0,
            growth: None,
            refused: None,
            wasi: None,
            http: None,
            is_sending: false,
            output: None,
        }
    }

    /// Begins a call with a deadline `timeout` from now.
    pub(super) fn begin_call(&mut self, timeout: Duration) {
        self.call += 1;
        self.may_have_handles = false;
        self.refused = None;
        self.deadline = Some(Instant::now() + timeout);
        if let Some(output) = &self.output {
            output.clear_errors();
        }
    }

    /// Ends a call, and invalidates the handles that the guest received in the call.
    pub(super) fn end_call(&mut self) {
        self.call += 1;
        self.change_limits = None;
        self.may_identify = false;
        self.deadline = None;
        if let Some(http) = &mut self.http {
            self.is_sending |= http.end_call(&mut self.lent.trace);
        }
    }

    /// Returns the last time that the guest requested memory beyond the limit, in the running or most recent call.
    pub(super) fn refused_memory(&self) -> Option<OutOfMemory> {
        self.refused
    }

    /// Returns the last lines that the guest has written to its standard error in the running or most recent call.
    pub(super) fn last_errors(&self) -> Option<String> {
        self.output.as_ref()?.last_errors()
    }

    /// Returns whether the guest has left so many resources that a further request could reach [`MAX_RESOURCES`].
    pub(super) fn is_crowded(&mut self) -> bool {
        self.table.iter_mut().count() > MAX_RESOURCES / 2
    }

    /// Returns whether the guest has handles of the host.
    pub(super) fn has_handles(&mut self) -> bool {
        self.table.iter_mut().next().is_some()
    }

    /// Returns the size of the memory of the instance, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }
}

impl wasmtime::ResourceLimiter for StoreData {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let limit = self.properties.memory;
        let wanted = self.memory + desired.saturating_sub(current);
        if wanted > limit {
            // `memory.grow` then returns -1 to the guest's allocator. If the initial memory exceeds the limit, the
            // instantiation fails.
            self.refused = Some(OutOfMemory { wanted, limit, is_total: false });
            return Ok(false);
        }
        // At the instantiation of a module, `current` is 0.
        if current > 0 {
            let growth = self.growth.get_or_insert_with(|| Share::of(self.properties.growth.clone()));
            if let Err(wanted) = growth.add(desired - current) {
                self.refused = Some(OutOfMemory { wanted, limit: self.properties.growth.max(), is_total: true });
                return Ok(false);
            }
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
            let new = || Output::new(self.properties.name.clone(), self.lent.request.clone());
            Box::new(wasi::context(self.output.get_or_insert_with(new)))
        });
        WasiCtxView { ctx, table: &mut self.table }
    }
}
