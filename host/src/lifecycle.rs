//! The lifecycle of a request: hooks around the controller, the transaction at its place among the hooks, one verdict.
//!
//! ```text
//! on-route | start | route | before (outside) | before (inside) | controller, encoding
//!                                             | on-error, after (inside) | verdict | actions | clear
//!                          | on-error, after (outside) | reply
//! ```

mod answer;
mod gone;
mod retry;

use std::{future::Future, panic::AssertUnwindSafe, pin::pin, sync::Arc};

use futures_util::FutureExt;
use http::{HeaderValue, Method, StatusCode, header};

use self::answer::Answer;
use self::gone::Gone;
use self::retry::{Cause, Entrance};
use crate::{
    component::{
        CallError, Component, Guests, RequestState,
        wit::{carya::host::types::Response, exports::carya::host::on_route::Decision},
    },
    config::{Access, MAIN, StatusSet},
    database::Terms,
    delivery,
    error::Failure,
    generation::{Chain, Generation, Handler},
    message::{Limits, Reply, Request},
    render,
    routes::Found,
    token,
    transaction::{
        Bound, Cleared, Outcome, Reason, Started, Trace, Verdict, plan,
        verdict::{self, Facts},
    },
};

/// A finished request. The reply exists only once the transaction is cleared.
#[derive(Debug)]
pub struct Ended {
    /// Reply for the client.
    pub reply: Reply,
    /// How the transaction ended.
    pub outcome: Outcome,
    /// Events of the request, in order.
    pub trace: Trace,
    /// Failure of the request, if it failed.
    pub failure: Option<Failure>,
}

/// Serves a request from its first hook to its reply. If `abandoned` resolves before the commit has begun, the request
/// is rolled back. If its guests still run 50 ms later, they are cancelled.
pub async fn run(generation: &Generation, request: Arc<Request>, abandoned: impl Future<Output = ()>) -> Ended {
    play(generation, request, abandoned, false).await
}

/// Runs a request without a client, to try out a generation: its writes are rolled back, and its actions do not run.
pub async fn rehearse(generation: &Generation, request: Arc<Request>) -> Ended {
    play(generation, request, std::future::pending(), true).await
}

async fn play(
    generation: &Generation,
    request: Arc<Request>,
    abandoned: impl Future<Output = ()>,
    is_rehearsal: bool,
) -> Ended {
    let mut life = Life {
        generation,
        is_rehearsal,
        state: RequestState::new(request),
        guests: Guests::default(),
        answer: Answer::Pending,
        chain: &generation.global,
        handler: None,
        entrance: Entrance::Ahead,
        attempt: 0,
        renewed: false,
    };
    let mut too_slow = pin!(tokio::time::sleep(generation.config.server.request_timeout));
    let gone = Gone::default();
    let mut gone_for_long = pin!(gone.for_long(abandoned));
    let cleared = loop {
        let interrupted = tokio::select! {
            // Polled first: a request that never waits does not need the timers.
            biased;
            ended = AssertUnwindSafe(life.until_the_verdict()).catch_unwind() => match ended {
                Ok(()) => None,
                Err(_) => Some(Failure::host("the host panicked; the panic is in the log")),
            },
            () = &mut too_slow => Some(Failure::too_slow()),
            () = &mut gone_for_long => Some(Failure::abandoned()),
        };
        let interrupted = interrupted.or_else(|| gone.failure());
        let is_abandoned = interrupted.is_some();
        if let Some(failure) = interrupted {
            life.answer = Answer::failed(failure, &life.state.request);
        }
        if let Some(cleared) = life.settle(is_abandoned).await {
            break cleared;
        }
    };
    life.outside().await;
    life.end(cleared)
}

struct Life<'a> {
    generation: &'a Generation,
    is_rehearsal: bool,
    /// Lent to a guest for each call.
    state: RequestState,
    guests: Guests,
    answer: Answer,
    chain: &'a Chain,
    handler: Option<&'a Handler>,
    entrance: Entrance,
    /// Number of reruns after a conflict.
    attempt: u32,
    /// Whether the request was rerun on a new connection.
    renewed: bool,
}

impl<'a> Life<'a> {
    /// Runs all phases that may be cancelled. Those inside the transaction may run again, also after a failed commit.
    async fn until_the_verdict(&mut self) {
        if let Entrance::Ahead = self.entrance {
            let entered = match self.on_route().await {
                Some(access) => self.start_and_route(access) && self.before(self.chain.outside(), false).await,
                None => false,
            };
            self.entrance = match entered {
                true => Entrance::Open(self.state.context.clone()),
                false => Entrance::Closed,
            };
        } else {
            self.start_over(Cause::Conflict).await;
        }
        let chain = self.chain;
        loop {
            if let Entrance::Open(_) = self.entrance {
                self.inside().await;
            }
            let mut again = self.must_run_again().await;
            if again.is_none() {
                // Inside hooks see only the last attempt. Their own statements may fail too, so check again.
                self.on_error(chain.inside(), true).await;
                self.after(chain.inside(), true).await;
                again = self.must_run_again().await;
            }
            let Some(cause) = again else { return };
            self.run_again(cause).await;
        }
    }

    /// Runs the on-route hooks. Returns the access mode that a hook chose, or `None` if a hook answered or failed.
    async fn on_route(&mut self) -> Option<Option<Access>> {
        let mut access = None;
        for hook in self.chain.all().iter().filter(|hook| hook.has_on_route()) {
            match self.guests.on_route(&mut self.state, hook).await {
                Ok(Decision::Proceed) => {}
                Ok(Decision::Access(mode)) => access = Some(mode.into()),
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

    /// Binds the request by its method, and again by its route. Returns `false` if no route serves it.
    fn start_and_route(&mut self, by_hook: Option<Access>) -> bool {
        let generation = self.generation;
        let request = &self.state.request;
        let (method, path) = (request.method.clone(), request.uri.path());
        let found = generation.routes.find(&method, path);
        self.rebind(by_hook.unwrap_or_else(|| plan::by_method(&method)), None);
        match found {
            Found::Route { route, params } => {
                let handler = &generation.handlers[route];
                self.chain = &handler.chain;
                self.handler = Some(handler);
                self.state.params = params;
                self.rebind(plan::by_route(&method, handler.access, by_hook), Some(handler));
                true
            }
            Found::WrongMethod { allow } if method == Method::OPTIONS => {
                let allow = HeaderValue::from_str(&allow).ok();
                let headers = allow.map(|allow| (header::ALLOW, allow)).into_iter().collect();
                let status = StatusCode::NO_CONTENT;
                self.answer = Answer::Early(Reply { status, headers, ..Reply::default() });
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
        let terms = Terms {
            access,
            isolation: handler.and_then(|handler| handler.isolation),
            primary: handler.is_some_and(|handler| handler.primary),
            anew: false,
            after: reads.then(|| token::wanted(&request.headers, name.unwrap_or(MAIN))).flatten(),
        };
        *bound = std::mem::take(bound).rebind(database.cloned(), terms, trace);
    }

    /// Runs the before hooks of one side of the transaction. Returns `false` if one of them answered or failed.
    async fn before(&mut self, hooks: &'a [Arc<Component>], inside: bool) -> bool {
        for hook in hooks.iter().filter(|hook| hook.has_before()) {
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

    /// Runs the before hooks inside the transaction and the controller, and renders the controller's response.
    async fn inside(&mut self) {
        let Some(handler) = self.handler else { return };
        if self.before(handler.chain.inside(), true).await {
            match self.guests.controller(&mut self.state, &handler.controller).await {
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

    /// Runs the on-error hooks of one side, innermost first, until one answers. Its response replaces the reply only.
    async fn on_error(&mut self, hooks: &[Arc<Component>], inside: bool) {
        let Answer::Failed { failure, .. } = &self.answer else { return };
        let failure = failure.to_wit();
        for hook in hooks.iter().rev().filter(|hook| hook.has_on_error()) {
            match self.guests.on_error(&mut self.state, self.answer.reply(), &failure, hook, inside).await {
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

    /// Runs the after hooks of one side, innermost first. A failure inside rolls back. Outside, the transaction is
    /// settled already, so a failure is only logged.
    async fn after(&mut self, hooks: &[Arc<Component>], inside: bool) {
        for hook in hooks.iter().rev().filter(|hook| hook.has_after()) {
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

    /// Decides the verdict, ends the transaction, and runs the actions registered for its outcome. Returns `None` if a
    /// conflict prevented the commit and everything inside is to run again.
    async fn settle(&mut self, abandoned: bool) -> Option<Cleared> {
        let started = match std::mem::take(&mut self.state.bound) {
            Bound::Unbound(unbound) => return Some(unbound.clear(&mut self.state.trace)),
            Bound::ReadOnly(binding) => return Some(binding.clear(&mut self.state.trace)),
            Bound::Started(started) => started,
        };
        let verdict = self.verdict(&started, abandoned);
        let mut settled = started.settle(verdict, &mut self.state.trace).await;
        if settled.had_conflict() && self.may_retry() {
            self.state.bound = Bound::Started(settled.retry(false, &mut self.state.trace));
            return None;
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
            Box::pin(delivery::run(self.generation, settled.database(), actions, request, trace)).await;
        }
        Some(settled.clear(&mut self.state.trace))
    }

    fn verdict(&mut self, started: &Started, interrupted: bool) -> Verdict {
        static NO_STATUS: StatusSet = StatusSet::none();
        let session = started.session();
        let verdict = verdict::decide(&Facts {
            origin: self.answer.origin(),
            commit_on: self.handler.map_or(&NO_STATUS, |handler| &handler.commit_on),
            rollback_on_redirect: self.handler.is_some_and(|handler| handler.rollback_on_redirect),
            doomed: session.doom().is_some(),
            marked: session.is_marked() || self.is_rehearsal,
            interrupted,
        });
        // The guest responded as if no statement had failed; the client must not get that response.
        if let (Verdict::Rollback(Reason::Doomed), Some(doom)) = (&verdict, session.doom()) {
            self.fail(Failure::statement(doom, "a failed statement was left standing"));
        }
        verdict
    }

    /// Runs the hooks outside the transaction, which see its outcome.
    async fn outside(&mut self) {
        let chain = self.chain;
        self.on_error(chain.outside(), false).await;
        self.after(chain.outside(), false).await;
    }

    fn end(self, cleared: Cleared) -> Ended {
        if !self.is_rehearsal {
            self.guests.give_back();
        }
        let RequestState { request, trace, .. } = self.state;
        let (mut reply, failure) = self.answer.into_parts(&request);
        if let Some(position) = &cleared.position {
            let name = self.handler.and_then(|handler| handler.database.as_deref());
            token::hand_out(&mut reply.headers, name.unwrap_or(MAIN), position);
        }
        Ended { reply, outcome: cleared.outcome, trace, failure }
    }

    async fn answer_early(&mut self, hook: &Component, response: Response) {
        match self.render(hook, response).await {
            Ok(reply) => self.answer = Answer::Early(reply),
            Err(failure) => self.fail(failure),
        }
    }

    /// Renders a guest's response as a reply.
    async fn render(&mut self, component: &Component, response: Response) -> Result<Reply, Failure> {
        let generation = self.generation;
        let limits = Limits::from(&generation.config.server);
        render::render(response, component, &generation.templates, &mut self.state, &limits).await.map_err(|failure| {
            Failure { detail: format!("component `{}`: {}", component.name(), failure.detail), ..failure }
        })
    }

    fn fail_call(&mut self, error: &CallError) {
        let doom = self.state.bound.session().and_then(|session| session.doom().cloned());
        self.fail(Failure::call(error, doom.as_ref()));
    }

    fn fail(&mut self, failure: Failure) {
        self.answer.fail(failure, &self.state.request);
    }

    fn id(&self) -> &str {
        &self.state.request.id
    }
}
