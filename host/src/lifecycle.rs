//! The lifecycle of a request: runs the hooks and the controller, decides the verdict (commit or rollback), and ends
//! the transaction accordingly. Hooks are sorted by priority. Hooks with the transaction's priority or a higher
//! priority run inside the transaction. All other hooks run outside the transaction.
//!
//! ```text
//! on-route | start | route | before (outside) | before (inside) | controller, encoding
//!                                             | on-error, after (inside) | verdict | actions | clear
//!                          | on-error, after (outside) | reply
//! ```
//!
//! If the rows of a read-only request are streamed, its transaction ends after the last row: [`Handled::Streaming`].

mod answer;
mod handled;
mod interrupt;
mod rates;
mod response;
mod retry;

use std::{collections::BTreeMap, future::Future, pin::pin, sync::Arc};

use http::Method;

pub(crate) use self::handled::Cut;
pub use self::handled::{Ended, Handled, Served, Streaming};
use self::{answer::Answer, handled::End, interrupt::Abandonment};
use crate::{
    component::{Component, Export, Guests, RequestState, answer::Decision},
    config::{Access, MAIN, StatusSet},
    database::TransactionOptions,
    delivery,
    error::Failure,
    generation::{Chain, Generation, Handler},
    message::{Limits, Request},
    routes::Found,
    token,
    transaction::{self, Bound, Facts, Outcome, Reason, Started, Verdict, plan},
};

/// Serves a request from its first hook to its reply. `found` is its route. If `abandoned` resolves before the commit has
/// begun, the request is rolled back. If its guests still run 50 ms later, they are cancelled.
pub async fn handle(
    generation: &Generation,
    request: Arc<Request>,
    found: Found,
    abandoned: impl Future<Output = ()>,
) -> Handled {
    serve(generation, generation.state_of(request), found, abandoned, false).await
}

/// Runs a request without a client, to try out a generation: its writes are rolled back, and its actions do not run.
pub(crate) async fn rehearse(generation: &Generation, request: Arc<Request>) -> Ended {
    // Boxed: unboxed, the futures of a start and of a reload would exceed the compiler's limit for nested types.
    let found = generation.routes.find(&request.method, request.uri.path());
    let state = RequestState::without_calls(request, "a smoke request");
    Box::pin(serve(generation, state, found, std::future::pending(), true)).await.end()
}

async fn serve(
    generation: &Generation,
    state: RequestState,
    found: Found,
    abandoned: impl Future<Output = ()>,
    is_rehearsal: bool,
) -> Handled {
    let mut lifecycle = Lifecycle {
        generation,
        is_rehearsal,
        state,
        found,
        guests: Guests::default(),
        answer: Answer::Pending,
        chain: &generation.global,
        handler: None,
        entry_context: None,
        reruns: retry::Reruns::default(),
    };
    let abandonment = Abandonment::default();
    let mut interruption = pin!(abandonment.interruption(generation.config.server.request_timeout, abandoned));
    let mut rerun = None;
    let end = loop {
        let attempt = {
            let work = pin!(lifecycle.attempt(rerun));
            abandonment.run_until(work, interruption.as_mut()).await
        };
        let settled = match attempt {
            Ok(Some(cause)) => Err(cause),
            Ok(None) => lifecycle.settle(None).await,
            Err(failure) => lifecycle.settle(Some(failure)).await,
        };
        match settled {
            Ok(end) => break end,
            Err(cause) => rerun = Some(cause),
        }
    };
    lifecycle.outside().await;
    lifecycle.end(end)
}

struct Lifecycle<'a> {
    generation: &'a Generation,
    is_rehearsal: bool,
    /// State of the request. Each call of a guest borrows it.
    state: RequestState,
    /// The route of the request, until it is used.
    found: Found,
    guests: Guests,
    answer: Answer,
    chain: &'a Chain,
    handler: Option<&'a Handler>,
    /// Copy of the request's context, made after the `before` hooks outside the transaction have run. Each rerun starts
    /// with this copy. `None` if the request was answered or failed before anything inside the transaction could run.
    entry_context: Option<BTreeMap<String, String>>,
    reruns: retry::Reruns,
}

impl<'a> Lifecycle<'a> {
    /// Runs all phases that may be cancelled: the phases before the transaction, unless this is a rerun, and the phases
    /// inside. If the phases inside must run again, rolls back the transaction and returns the cause.
    async fn attempt(&mut self, rerun: Option<retry::Cause>) -> Option<retry::Cause> {
        match rerun {
            None => self.enter().await,
            Some(cause) => self.start_over(cause).await,
        }
        if self.entry_context.is_some() {
            self.inside().await;
        }
        let mut cause = self.cause_to_rerun().await;
        if cause.is_none() {
            // `on-error` and `after` hooks do not run if the attempt is repeated anyway. Statements of these hooks may
            // also cause a rerun, so check again.
            self.on_error(self.chain.inside(), true).await;
            self.after(self.chain.inside(), true).await;
            cause = self.cause_to_rerun().await;
        }
        if let Some(cause) = cause {
            // Boxed: few requests run again, but the future of every request would contain this one.
            Box::pin(self.roll_back(cause)).await;
        }
        cause
    }

    /// Runs the phases before the transaction.
    async fn enter(&mut self) {
        let Some(access) = self.on_route().await else { return };
        if self.start_and_route(access) && self.before(self.chain.outside(), false).await && self.is_within_rates() {
            self.begin_inside();
        }
    }

    /// Runs the `on-route` hooks. Returns the access mode that a hook chose, or `None` if a hook answered or failed.
    async fn on_route(&mut self) -> Option<Option<Access>> {
        let mut access = None;
        for hook in self.chain.all().iter().filter(|hook| hook.exports(Export::OnRoute)) {
            match self.guests.on_route(&mut self.state, hook).await {
                Ok(Decision::Proceed) => {}
                Ok(Decision::Access(mode)) => access = Some(mode),
                Ok(Decision::Answer(response)) => {
                    self.answer_early(hook, response).await;
                    return None;
                }
                Err(error) => {
                    self.fail_call(&error);
                    return None;
                }
            }
        }
        Some(access)
    }

    /// Binds the request to the default database with the access mode of its method,
    /// and then to the database of the route with the access mode of the route. An access mode `by_hook` takes
    /// precedence over both modes. Returns `false` if no route serves the request.
    fn start_and_route(&mut self, by_hook: Option<Access>) -> bool {
        let generation = self.generation;
        let method = self.state.request.method.clone();
        let found = std::mem::replace(&mut self.found, Found::Nothing);
        self.rebind(by_hook.unwrap_or_else(|| plan::by_method(&method)), None);
        match found {
            Found::Route { route, pattern, params } => {
                let handler = &generation.handlers[route];
                self.chain = &handler.chain;
                self.handler = Some(handler);
                (self.state.route, self.state.params) = (Some(pattern), params);
                self.rebind(plan::by_route(&method, handler.access, by_hook), Some(handler));
                true
            }
            Found::WrongMethod { allow } if method == Method::OPTIONS => {
                self.answer = Answer::options(&allow);
                false
            }
            Found::WrongMethod { allow } => {
                self.fail(Failure::method_not_allowed(allow));
                false
            }
            Found::Nothing => {
                self.fail(Failure::not_found());
                false
            }
        }
    }

    fn rebind(&mut self, access: Access, handler: Option<&Handler>) {
        let name = handler.and_then(|handler| handler.database.as_deref());
        let database = self.generation.database(name);
        let RequestState { request, bound, trace, .. } = &mut self.state;
        let reads = access == Access::ReadOnly && database.is_some_and(|database| database.has_replicas());
        let terms = TransactionOptions {
            access,
            isolation: handler.and_then(|handler| handler.isolation),
            primary: handler.is_some_and(|handler| handler.primary),
            fresh_connection: false,
            after: reads.then(|| token::requested_position(&request.headers, name.unwrap_or(MAIN))).flatten(),
        };
        *bound = std::mem::take(bound).rebind(database.cloned(), terms, trace);
    }

    /// Runs the `before` hooks among `hooks`. Either all `hooks` are inside the transaction, or all are outside.
    /// Returns `false` if a hook answered or failed.
    async fn before(&mut self, hooks: &'a [Arc<Component>], inside: bool) -> bool {
        for hook in hooks.iter().filter(|hook| hook.exports(Export::Before)) {
            match self.guests.before(&mut self.state, hook, inside).await {
                Ok(None) => {}
                Ok(Some(response)) => {
                    self.answer_early(hook, response).await;
                    return false;
                }
                Err(error) => {
                    self.fail_call(&error);
                    return false;
                }
            }
        }
        true
    }

    /// Runs the `before` hooks inside the transaction and the controller, and renders the controller's response.
    async fn inside(&mut self) {
        let Some(handler) = self.handler else { return };
        if self.before(handler.chain.inside(), true).await {
            match self.guests.controller(&mut self.state, &handler.controller, &self.generation.config.server).await {
                Ok(response) => {
                    let status = response.status;
                    match self.render(&handler.controller, response).await {
                        Ok(reply) => self.answer = Answer::Controller { status, reply },
                        Err(failure) => self.fail(failure),
                    }
                }
                Err(error) => self.fail_call(&error),
            }
        }
    }

    /// Runs the `on-error` hooks among `hooks`, innermost first, until a hook returns a response. Either all `hooks`
    /// are inside the transaction, or all are outside. The response of the hook replaces the reply, but the request
    /// still counts as failed.
    async fn on_error(&mut self, hooks: &[Arc<Component>], inside: bool) {
        for hook in hooks.iter().rev().filter(|hook| hook.exports(Export::OnError)) {
            let Answer::Failed { failure, reply } = &mut self.answer else { return };
            match self.guests.on_error(&mut self.state, reply, failure.report(), hook, inside).await {
                Ok(None) => {}
                Ok(Some(response)) => {
                    match self.render(hook, response).await {
                        Ok(reply) => self.answer.handle(reply),
                        Err(failure) => self.fail(failure),
                    }
                    return;
                }
                Err(error) => tracing::error!(request = self.id(), %error, "an on-error hook failed"),
            }
        }
    }

    /// Runs the `after` hooks among `hooks`, innermost first. Either all `hooks` are inside the transaction, or all are
    /// outside. If a hook inside the transaction fails, the request fails and the transaction is rolled back. If a hook
    /// outside fails, the failure is only logged, because the transaction has ended.
    async fn after(&mut self, hooks: &[Arc<Component>], inside: bool) {
        for hook in hooks.iter().rev().filter(|hook| hook.exports(Export::After)) {
            let limits = Limits::from(&self.generation.config.server);
            match self.guests.after(&mut self.state, self.answer.reply(), limits, hook, inside).await {
                Err(error) if inside => self.fail_call(&error),
                Err(error) => {
                    tracing::error!(request = self.id(), %error, "an after hook outside the transaction failed")
                }
                Ok(()) => {}
            }
        }
    }

    /// Decides the verdict, ends the transaction, and runs the actions registered for its outcome. `interruption` is
    /// the failure of an interrupted request, and replaces the answer.
    ///
    /// # Errors
    ///
    /// Returns [`retry::Cause::Conflict`] if a conflict prevented the commit and everything inside the transaction must
    /// run again.
    async fn settle(&mut self, interruption: Option<Failure>) -> Result<End, retry::Cause> {
        let is_interrupted = interruption.is_some();
        if let Some(failure) = interruption {
            let RequestState { cancelled, bound, .. } = &mut self.state;
            let work = cancelled.take().or_else(|| bound.session()?.report());
            self.answer = Answer::failed(failure.during(work), &self.state.request);
        } else {
            self.answer.log_server_error(&mut self.state);
        }
        let started = match std::mem::take(&mut self.state.bound) {
            Bound::Unbound(unbound) => return Ok(End::Cleared(unbound.clear(&mut self.state.trace))),
            Bound::ReadOnly(binding) => return Ok(End::read(binding, self.answer.take_rows(), &mut self.state.trace)),
            Bound::Started(started) => started,
        };
        let verdict = self.verdict(&started, is_interrupted);
        // Boxed: the future of every request would contain this one, but requests that only read do not reach it.
        let mut settled = Box::pin(started.settle(verdict, &mut self.state.trace)).await;
        if settled.had_conflict() && self.may_retry() {
            self.state.bound = Bound::Started(settled.retry(false, &mut self.state.trace));
            return Err(retry::Cause::Conflict);
        }
        if let Some(error) = settled.failure() {
            self.fail(match settled.outcome() {
                Outcome::InDoubt => Failure::in_doubt(error),
                _ => Failure::statement(error, "the commit failed"),
            });
        }
        let mut actions = settled.take_actions();
        if self.is_rehearsal {
            actions.clear();
        }
        if !actions.is_empty() {
            // Boxed: few requests have actions, but the future of every request would contain this one.
            let RequestState { request, trace, .. } = &mut self.state;
            Box::pin(delivery::run_actions(self.generation, settled.database(), actions, request, trace)).await;
        }
        Ok(End::Cleared(settled.clear(&mut self.state.trace)))
    }

    fn verdict(&mut self, started: &Started, is_interrupted: bool) -> Verdict {
        static NO_STATUS: StatusSet = StatusSet::none();
        let session = started.session();
        let verdict = transaction::decide(&Facts {
            origin: self.answer.origin(),
            commit_on: self.handler.map_or(&NO_STATUS, |handler| &handler.commit_on),
            rollback_on_redirect: self.handler.is_some_and(|handler| handler.rollback_on_redirect),
            doomed: session.doom().is_some(),
            marked: session.is_marked() || self.is_rehearsal,
            interrupted: is_interrupted,
        });
        // The guest responded as if no statement had failed; the client must not get that response.
        if let (Verdict::Rollback(Reason::Doomed), Some(doom)) = (&verdict, session.doom()) {
            self.fail(Failure::statement(doom, "a failed statement was not undone by a savepoint"));
        }
        verdict
    }

    /// Runs the `on-error` and `after` hooks outside the transaction, after the transaction has ended.
    async fn outside(&mut self) {
        self.on_error(self.chain.outside(), false).await;
        self.after(self.chain.outside(), false).await;
    }

    fn end(self, end: End) -> Handled {
        match self.is_rehearsal {
            true => self.guests.give_back_rehearsed(),
            false => self.guests.give_back(),
        }
        let RequestState { request, trace, route, .. } = self.state;
        let served = Served { route, component: self.handler.map(|handler| handler.controller.name().clone()) };
        let (mut reply, failure) = self.answer.into_parts(&request);
        let cleared = match end {
            End::Cleared(cleared) => cleared,
            End::Streams(rows) => return Streaming::begin(reply, rows, trace, failure, served),
        };
        if let Some(position) = cleared.position() {
            let name = self.handler.and_then(|handler| handler.database.as_deref());
            token::add_position(&mut reply.headers, name.unwrap_or(MAIN), position);
        }
        Handled::Ended(Ended { reply, cleared, trace, failure, served })
    }

    fn id(&self) -> &str {
        &self.state.request.id
    }
}
