//! `wasi:http` for guests: the types, and `outgoing-handler`, which sends requests by the rules of `outbound`. All
//! components may import it, because some tools import it into every component. The host decides at each call.

use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi_http::{
    RequestOptions, WasiHttp, WasiHttpCtxView, WasiHttpView,
    p2::{
        bindings::{
            LinkOptions,
            http::{
                outgoing_handler,
                types::{self, ErrorCode},
            },
        },
        types::{HostFutureIncomingResponse, HostOutgoingRequest},
    },
};

use crate::{
    component::{
        http::{Begun, Call, Http, Sender},
        store::{MAX_RESOURCES, StoreData},
    },
    transaction::Event,
};

/// Interface of the requests that guests send. The linker also serves other versions 0.2 of it.
const OUTGOING_HANDLER: &str = "wasi:http/outgoing-handler@0.2.12";

/// Maximum number of requests of one call that are in the trace.
const MAX_TRACED: usize = 32;

/// Adds `wasi:http` to a linker.
pub(in crate::component) fn add_to_linker(linker: &mut Linker<StoreData>) -> wasmtime::Result<()> {
    types::add_to_linker::<_, WasiHttp>(linker, &LinkOptions::default().into(), StoreData::http)?;
    linker.instance(OUTGOING_HANDLER)?.func_wrap("handle", handle)
}

type Outgoing = (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>);
type Sent = (Result<Resource<HostFutureIncomingResponse>, ErrorCode>,);

fn handle(mut store: StoreContextMut<'_, StoreData>, (request, options): Outgoing) -> wasmtime::Result<Sent> {
    let data = store.data_mut();
    let (request_of_client, redirect) = (data.lent.request.clone(), data.lent.calls.redirect.clone());
    let call = Call { request: request_of_client, redirect, refusal: data.refusal(), begun: None };
    let view = &mut data.http_with(|sender| sender.call = Some(call));
    let sent = match outgoing_handler::Host::handle(view, request, options) {
        Ok(response) => Ok(response),
        Err(error) => Err(error.downcast()?),
    };
    data.note_request();
    Ok((sent,))
}

impl StoreData {
    /// Returns the reason why the guest must not send a request now.
    fn refusal(&mut self) -> Option<String> {
        if let Some(caller) = self.lent.calls.forbidden_to {
            return Some(format!("{caller} must not send HTTP requests"));
        }
        let has_begun = self.lent.bound.session().is_some_and(|session| session.has_begun());
        (has_begun && !self.properties.outbound.permits_in_transaction()).then(|| {
            "the transaction has begun, and would stay open during the request; send the request before the first \
             statement, or from an `at-least-once` action, or set `in_transaction` in [outbound]"
                .to_owned()
        })
    }

    /// Returns a view of `wasi:http` after a change of its sender.
    fn http_with(&mut self, change: impl FnOnce(&mut Sender)) -> WasiHttpCtxView<'_> {
        let Self { http, table, properties, .. } = self;
        let http = http.get_or_insert_with(|| {
            table.set_max_capacity(MAX_RESOURCES);
            Box::new(Http::new(properties.clone()))
        });
        change(&mut http.sender);
        WasiHttpCtxView { ctx: &mut http.ctx, table, hooks: &mut http.sender }
    }

    /// Adds the request of the last call of `handle` to the trace.
    fn note_request(&mut self) {
        let Some(Http { sender, .. }) = self.http.as_deref_mut() else { return };
        let Some(Begun { target, sent, end }) = sender.call.take().and_then(|call| call.begun) else { return };
        if let Some(method) = sent {
            self.lent.calls.sent(&method);
        }
        if sender.traced.len() < MAX_TRACED {
            sender.traced.push((self.lent.trace.open(Event::Outbound, Some(target)), end));
        }
    }
}

impl WasiHttpView for StoreData {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.http_with(|_| ())
    }
}
