//! Moves the state of a request into the store of a guest for the length of a call.
//!
//! Each guest has a store of its own, so guests cannot access each other's memory. The module `lifecycle` owns the
//! [`RequestState`]. Only one guest runs at a time, and a [`Visit`] moves the state into the store of this guest and
//! back.

use std::{mem, sync::Arc};

use super::{
    failure,
    instances::{Instance, InstancePool},
    loaded::Component,
    store::{RequestState, StoreData},
};
use crate::message::Reply;

/// The instances that serve one request, at most one of each component.
#[derive(Default)]
pub(crate) struct Guests(Vec<Instance>);

/// Guard of a call: the state of the request is in the store of the guest until the guard is dropped, also if the call
/// is cancelled. Dropping the guard also drops the instance unless the call completed, because wasmtime does not allow
/// a further call into a store after a trap.
pub(super) struct Visit<'a> {
    guests: &'a mut Guests,
    /// Index of the visited instance in `guests`.
    index: usize,
    state: &'a mut RequestState,
    reply: Option<&'a mut Reply>,
    end: End,
}

/// How a visit ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The call was cancelled.
    Cancelled,
    /// The call failed in a way after which wasmtime does not allow a further call.
    Failed,
    /// The call completed.
    Completed,
}

impl Guests {
    /// Moves the state of the request into the store of a guest, together with the reply if the guest may read the
    /// reply. The guest is the instance of `pool` that already serves this request. If there is none yet, takes an
    /// instance from the pool.
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
        let mut visit = Visit { guests: self, index, state, reply, end: End::Cancelled };
        visit.instance().store.set_epoch_deadline(1);
        visit.swap();
        visit.data().begin_call(pool.timeout());
        visit
    }

    /// Returns the instances to their pools, which keep some of them for other requests.
    pub(crate) fn give_back(self) {
        self.0.into_iter().for_each(Instance::give_back);
    }

    /// Drops the instances of a rehearsal, except those for an image.
    pub(crate) fn give_back_rehearsed(self) {
        self.0.into_iter().for_each(Instance::give_back_rehearsed);
    }

    /// Drops the request's instance of a component, so that the next call uses another instance.
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

    /// Ends the visit. Keeps the instance for further calls only if the call completed (`is_complete`).
    pub(super) fn end(mut self, is_complete: bool) {
        self.end = if is_complete { End::Completed } else { End::Failed };
    }

    /// Swaps the state of the request with the state in the store, and moves the reply into the store or back.
    fn swap(&mut self) {
        let data = self.guests.0[self.index].store.data_mut();
        mem::swap(self.state, &mut data.lent);
        if let Some(reply) = self.reply.as_deref_mut() {
            match data.reply.take() {
                Some(lent) => *reply = lent,
                None => data.reply = Some(mem::take(reply)),
            }
        }
        if let Some(output) = &data.output {
            output.serve(data.lent.request.clone());
        }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let (end, data) = (self.end, self.data());
        if end == End::Cancelled {
            data.lent.cancelled = Some(failure::cancelled(data));
        }
        data.end_call();
        self.swap();
        if end != End::Completed {
            self.guests.0.swap_remove(self.index);
        }
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
    fn each_call_and_each_end_of_a_call_have_a_new_number() -> wasmtime::Result<()> {
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
