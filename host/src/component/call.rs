//! Calls the exports of guests. Every call has a deadline. During the call, the guest's store contains the state of the
//! request and handles to the request's database. The handles become invalid when the call ends. If a call does not
//! complete, its instance is dropped, because wasmtime does not allow a further call into it.

use wasmtime::component::Resource;

use super::{
    answer::{Decision, FailureReport, Response},
    convert,
    export::Export,
    failure::{self, CallError, Cause, MAX_MESSAGE},
    handles::{Reader, Writer},
    incoming::{self, ResponseFault},
    loaded::Component,
    store::{MAX_RESOURCES, OutOfTime, RequestState, StoreData},
    visit::{Guests, Visit},
    wit::carya::host::database::Handle,
};
use crate::{
    config::{self, Access},
    message::{Limits, Reply},
    telemetry::excerpt,
    transaction::{Action, Event, Open},
};

/// Calls an export of `$component` in the instance of this request. `$call` is the expression that calls the guest and
/// evaluates to its result. It can use `$bindings`, the generated bindings of the export, and `$store`, the guest's
/// store. This is a macro, because the bindings of each export have a different type.
macro_rules! call {
    (
        $guests:ident, $state:ident, $reply:expr, $component:ident, $export:ident, $event:expr,
        |$bindings:ident, $store:ident| $call:expr
    ) => {{
        let indices = $component
            .indices
            .$export()
            .map_err(|export| Cause::NotExported { component: $component.name().clone(), export })?;
        let open = $state.trace.open($event, Some($component.name().clone()));
        let mut visit = $guests.enter(&$component.instances, $state, $reply);
        let calling = async {
            let visited = visit.instance();
            let instance = visited.instantiate(&$component.instances).await?;
            let $store = &mut visited.store;
            let $bindings = indices.load(&mut *$store, &instance)?;
            $call
        };
        let result = tokio::time::timeout($component.timeout, calling).await;
        finish(visit, $component, open, result)
    }};
}

impl Guests {
    /// Calls the controller. The access mode of the request determines the called export, such as `read-controller`. A
    /// component without this export is called by `wasi:http/incoming-handler`, and its response must be within the limits
    /// of `server`.
    pub(crate) async fn controller(
        &mut self,
        state: &mut RequestState,
        component: &Component,
        server: &config::Server,
    ) -> Result<Response, CallError> {
        let access = state.bound.access();
        if component.controller(access) == Some(Export::IncomingHandler) {
            return call!(self, state, None, component, incoming_handler, Event::Controller, |handler, store| {
                // Boxed, so that the future of other controllers does not grow.
                Box::pin(incoming::handle(store, &handler, server.into())).await
            });
        }
        let response = match access {
            Access::ReadOnly => {
                call!(self, state, None, component, read_controller, Event::Controller, |guest, store| {
                    let reader = store.data_mut().lend_reader()?;
                    guest.call_read(store, reader).await
                })
            }
            Access::ReadWrite => {
                call!(self, state, None, component, write_controller, Event::Controller, |guest, store| {
                    let writer = store.data_mut().lend_writer()?;
                    guest.call_write(store, writer).await
                })
            }
            Access::None => {
                call!(self, state, None, component, plain_controller, Event::Controller, |guest, store| {
                    guest.call_plain(store).await
                })
            }
        };
        response.map(Response::from)
    }

    /// Calls an `on-route` hook.
    pub(crate) async fn on_route(&mut self, state: &mut RequestState, hook: &Component) -> Result<Decision, CallError> {
        let decision = call!(self, state, None, hook, on_route, Event::OnRoute, |hook, store| {
            store.data_mut().may_identify = true;
            hook.call_on_route(store).await
        });
        decision.map(Decision::from)
    }

    /// Calls a `before` hook. If `inside` is true, the hook runs inside the transaction and receives a handle to the
    /// database, unless the access mode of the request is [`Access::None`].
    pub(crate) async fn before(
        &mut self,
        state: &mut RequestState,
        hook: &Component,
        inside: bool,
    ) -> Result<Option<Response>, CallError> {
        let response = call!(self, state, None, hook, before, Event::Before, |hook, store| {
            let data = store.data_mut();
            data.may_identify = !inside;
            let handle = data.lend(inside)?;
            hook.call_before(store, handle).await
        });
        response.map(|response| response.map(Response::from))
    }

    /// Calls an `after` hook, which may change `reply` within `limits`. The hook receives a handle under the same
    /// conditions as a [`before` hook](Self::before).
    pub(crate) async fn after(
        &mut self,
        state: &mut RequestState,
        reply: Option<&mut Reply>,
        limits: Limits,
        hook: &Component,
        inside: bool,
    ) -> Result<(), CallError> {
        call!(self, state, reply, hook, after, Event::After, |hook, store| {
            let data = store.data_mut();
            data.change_limits = Some(limits);
            let handle = data.lend(inside)?;
            hook.call_after(store, handle).await
        })
    }

    /// Calls an `on-error` hook, which may read `reply` and may return a response that replaces `reply`. The hook
    /// receives a handle under the same conditions as a [`before` hook](Self::before).
    pub(crate) async fn on_error(
        &mut self,
        state: &mut RequestState,
        reply: &mut Reply,
        failure: FailureReport<'_>,
        hook: &Component,
        inside: bool,
    ) -> Result<Option<Response>, CallError> {
        let failure = failure.into();
        let response = call!(self, state, Some(reply), hook, on_error, Event::OnError, |hook, store| {
            let handle = store.data_mut().lend(inside)?;
            hook.call_on_error(store, handle, &failure).await
        });
        response.map(|response| response.map(Response::from))
    }

    /// Calls the function `init` that a model exports.
    pub(crate) async fn init(&mut self, state: &mut RequestState, model: &Component) -> Result<(), CallError> {
        call!(self, state, None, model, model, Event::Controller, |model, store| {
            let writer = store.data_mut().lend_writer()?;
            model.call_init(store, writer).await
        })
    }

    /// Runs an action, with a handle that writes. `attempt` counts from 1.
    pub(crate) async fn run_action(
        &mut self,
        state: &mut RequestState,
        component: &Component,
        action: &Action,
        attempt: u32,
    ) -> Result<(), CallError> {
        let event = action.event();
        let action = convert::action(action, attempt);
        call!(self, state, None, component, actions, event, |actions, store| {
            let writer = store.data_mut().lend_writer()?;
            actions.call_run(store, &action, writer).await
        })
    }
}

/// Ends a call, and converts its error to a [`CallError`] that contains the name of the component.
fn finish<T>(
    mut visit: Visit<'_>,
    component: &Component,
    open: Open,
    result: Result<wasmtime::Result<Result<T, String>>, tokio::time::error::Elapsed>,
) -> Result<T, CallError> {
    let data = visit.data();
    data.lent.trace.close(open);
    let (name, refused) = (component.name().clone(), data.refused_memory());
    let is_complete = matches!(result, Ok(Ok(_)));
    let cause = match result {
        Ok(Ok(Ok(answer))) => {
            visit.end(true);
            return Ok(answer);
        }
        Ok(Ok(Err(message))) => {
            let message = excerpt(&message, MAX_MESSAGE);
            let message = match refused {
                Some(refused) => format!("{message} ({refused}: {})", refused.key(&name)),
                None => message,
            };
            Cause::Refused { component: name, message }
        }
        Ok(Err(error)) if error.is::<OutOfTime>() => Cause::TimedOut { component: name, limit: component.timeout },
        Err(_) => Cause::TimedOut { component: name, limit: component.timeout },
        Ok(Err(error)) if error.is::<wasmtime::PoolConcurrencyLimitError>() => {
            Cause::Busy { component: name, message: error.to_string() }
        }
        Ok(Err(error)) if error.is::<ResponseFault>() => {
            Cause::Refused { component: name, message: excerpt(&error.to_string(), MAX_MESSAGE) }
        }
        Ok(Err(error)) => match refused {
            Some(refused) => {
                Cause::OutOfMemory { message: refused.to_string(), key: refused.key(&name), component: name }
            }
            None => Cause::Trapped { component: name, message: failure::trap(&error) },
        },
    };
    let error = CallError::new(cause, data);
    visit.end(is_complete);
    Err(error)
}

impl StoreData {
    fn lend_reader(&mut self) -> wasmtime::Result<Resource<Reader>> {
        self.may_have_handles = true;
        Ok(self.table.push(Reader { call: self.call })?)
    }

    fn lend_writer(&mut self) -> wasmtime::Result<Resource<Writer>> {
        self.may_have_handles = true;
        Ok(self.table.push(Writer { call: self.call })?)
    }

    /// Returns a further handle for the running call.
    pub(super) fn lend_again(&mut self) -> wasmtime::Result<Handle> {
        // A guest that drops no handle must not fill the memory of the host.
        self.table.set_max_capacity(MAX_RESOURCES);
        self.lend(self.may_have_handles)
    }

    fn lend(&mut self, inside: bool) -> wasmtime::Result<Handle> {
        Ok(match self.lent.bound.access() {
            Access::ReadOnly if inside => Handle::Reader(self.lend_reader()?),
            Access::ReadWrite if inside => Handle::Writer(self.lend_writer()?),
            _ => Handle::None,
        })
    }
}
