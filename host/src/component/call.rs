//! Calling guests: one function for each thing a host asks of them. Every call has a deadline, lends handles that die
//! with it, and leaves nothing behind that cannot be entered again.

use std::{sync::Arc, time::Duration};

use wasmtime::component::Resource;

use super::{
    imports::database::{Reader, Writer},
    registry::Component,
    store::{Guests, OutOfTime, RequestState, StoreData, Visit},
    wit::{
        carya::host::{
            database::Handle,
            types::{Failure, Response},
        },
        exports::carya::host::{actions, on_route::Decision},
    },
};
use crate::{
    config::Access,
    message::{Limits, Reply},
    transaction::{Action, Event, trace::Open},
};

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The guest answered with an error of its own.
    #[error("component `{component}` failed: {message}")]
    Refused {
        /// Who.
        component: Arc<str>,
        /// Its words.
        message: String,
    },
    /// The guest trapped: panic, stack overflow, exit, nonsense in the canonical ABI.
    #[error("component `{component}` trapped: {message}")]
    Trapped {
        /// Who.
        component: Arc<str>,
        /// wasmtime's words.
        message: String,
    },
    /// The guest used up its time.
    #[error("component `{component}` did not answer within {limit:?} (component.{component}.timeout)")]
    TimedOut {
        /// Who.
        component: Arc<str>,
        /// How long it had.
        limit: Duration,
    },
    /// The guest wanted more memory than its limit.
    #[error("component `{component}`: {message} (component.{component}.memory)")]
    OutOfMemory {
        /// Who.
        component: Arc<str>,
        /// How much.
        message: String,
    },
    /// The host has no room for another instance just now.
    #[error("component `{component}`: no room for another instance: {message}")]
    Busy {
        /// Who.
        component: Arc<str>,
        /// Which limit was met.
        message: String,
    },
    /// The component does not export what it was called for.
    #[error("component `{component}` does not export {interface}")]
    NotExported {
        /// Who.
        component: Arc<str>,
        /// The interface.
        interface: &'static str,
    },
}

/// Calls one export in the request's instance of a component. A macro, because the bindings of each export are a type of
/// their own; `$call` says what to call and with which arguments.
macro_rules! call {
    (
        $guests:ident, $state:ident, $reply:expr, $component:ident, $export:ident, $interface:literal, $event:expr,
        |$bindings:ident, $store:ident| $call:expr
    ) => {{
        let indices = $component
            .exports
            .$export
            .as_ref()
            .ok_or_else(|| CallError::NotExported { component: $component.name().clone(), interface: $interface })?;
        let open = $state.trace.open($event, Some($component.name().clone()));
        let mut visit = $guests.enter($component, $state, $reply);
        let calling = async {
            let visited = visit.instance();
            let instance = visited.made(&$component.instances).await?;
            let $store = &mut visited.store;
            let $bindings = indices.load(&mut *$store, &instance)?;
            $call
        };
        let result = tokio::time::timeout($component.timeout, calling).await;
        finish(visit, $component, open, result)
    }};
}

impl Guests {
    /// Asks the controller for its answer, by the function that the request's access mode calls for.
    pub async fn controller(&mut self, state: &mut RequestState, component: &Component) -> Result<Response, CallError> {
        match state.bound.access() {
            Access::ReadOnly => {
                call!(self, state, None, component, read, "read-controller", Event::Controller, |guest, store| {
                    let reader = store.data_mut().lend_reader()?;
                    guest.call_read(store, reader).await
                })
            }
            Access::ReadWrite => {
                call!(self, state, None, component, write, "write-controller", Event::Controller, |guest, store| {
                    let writer = store.data_mut().lend_writer()?;
                    guest.call_write(store, writer).await
                })
            }
            Access::None => {
                call!(self, state, None, component, plain, "plain-controller", Event::Controller, |guest, store| {
                    guest.call_plain(store).await
                })
            }
        }
    }

    /// Runs an on-route hook.
    pub async fn on_route(&mut self, state: &mut RequestState, hook: &Component) -> Result<Decision, CallError> {
        call!(self, state, None, hook, on_route, "on-route", Event::OnRoute, |hook, store| {
            hook.call_on_route(store).await
        })
    }

    /// Runs a before hook; one that stands inside the transaction gets a handle.
    pub async fn before(
        &mut self,
        state: &mut RequestState,
        hook: &Component,
        inside: bool,
    ) -> Result<Option<Response>, CallError> {
        call!(self, state, None, hook, before, "before", Event::Before, |hook, store| {
            let handle = store.data_mut().lend(inside)?;
            hook.call_before(store, handle).await
        })
    }

    /// Runs an after hook, which sees the answer and may change it within these limits.
    pub async fn after(
        &mut self,
        state: &mut RequestState,
        reply: Option<&mut Reply>,
        limits: Limits,
        hook: &Component,
        inside: bool,
    ) -> Result<(), CallError> {
        call!(self, state, reply, hook, after, "after", Event::After, |hook, store| {
            let data = store.data_mut();
            data.change_limits = Some(limits);
            let handle = data.lend(inside)?;
            hook.call_after(store, handle).await
        })
    }

    /// Runs an on-error hook.
    pub async fn on_error(
        &mut self,
        state: &mut RequestState,
        reply: Option<&mut Reply>,
        failure: &Failure,
        hook: &Component,
        inside: bool,
    ) -> Result<Option<Response>, CallError> {
        call!(self, state, reply, hook, on_error, "on-error", Event::OnError, |hook, store| {
            let handle = store.data_mut().lend(inside)?;
            hook.call_on_error(store, handle, failure).await
        })
    }

    /// Initializes the model.
    pub async fn init(&mut self, state: &mut RequestState, model: &Component) -> Result<(), CallError> {
        call!(self, state, None, model, model, "model", Event::Controller, |model, store| {
            let writer = store.data_mut().lend_writer()?;
            model.call_init(store, writer).await
        })
    }

    /// Runs an action; `attempt` counts from 1.
    pub async fn run_action(
        &mut self,
        state: &mut RequestState,
        component: &Component,
        action: &Action,
        attempt: u32,
    ) -> Result<(), CallError> {
        let event = action.event();
        let outcome = if action.on_commit { actions::Outcome::Commit } else { actions::Outcome::Rollback };
        let (id, name, payload) = (action.id.clone(), action.name.to_string(), action.payload.clone());
        let action = actions::Action { id, name, payload, outcome, attempt };
        call!(self, state, None, component, actions, "actions", event, |actions, store| {
            actions.call_run(store, &action).await
        })
    }
}

/// Ends a call: handles die, an instance that cannot be entered again is let go of, and errors get their names.
fn finish<T>(
    mut visit: Visit<'_>,
    component: &Component,
    open: Open,
    result: Result<wasmtime::Result<Result<T, String>>, tokio::time::error::Elapsed>,
) -> Result<T, CallError> {
    let data = visit.data();
    data.lent.trace.close(open);
    let refused = data.refused_memory();
    visit.end(matches!(result, Ok(Ok(_))));
    let name = component.name().clone();
    Err(match result {
        Ok(Ok(Ok(answer))) => return Ok(answer),
        Ok(Ok(Err(message))) => CallError::Refused {
            message: match refused {
                Some(refused) => format!("{message} ({refused}: component.{name}.memory)"),
                None => message,
            },
            component: name,
        },
        Ok(Err(error)) if error.is::<OutOfTime>() => CallError::TimedOut { component: name, limit: component.timeout },
        Err(_) => CallError::TimedOut { component: name, limit: component.timeout },
        Ok(Err(error)) if error.is::<wasmtime::PoolConcurrencyLimitError>() => {
            CallError::Busy { component: name, message: error.to_string() }
        }
        Ok(Err(error)) => match refused {
            Some(refused) => CallError::OutOfMemory { component: name, message: refused.to_string() },
            None => CallError::Trapped { component: name, message: format!("{error:#}") },
        },
    })
}

impl StoreData {
    fn lend_reader(&mut self) -> wasmtime::Result<Resource<Reader>> {
        Ok(self.table.push(Reader { call: self.call })?)
    }

    fn lend_writer(&mut self) -> wasmtime::Result<Resource<Writer>> {
        Ok(self.table.push(Writer { call: self.call })?)
    }

    fn lend(&mut self, inside: bool) -> wasmtime::Result<Handle> {
        Ok(match self.lent.bound.access() {
            Access::ReadOnly if inside => Handle::Reader(self.lend_reader()?),
            Access::ReadWrite if inside => Handle::Writer(self.lend_writer()?),
            _ => Handle::None,
        })
    }
}
