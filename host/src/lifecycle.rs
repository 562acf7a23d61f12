//! The lifecycle of a request: hooks around the controller, the transaction at its place among the hooks, one verdict.
//!
//! ```text
//! on-route | start | route | before (outside) | before (inside) | controller, encoding
//!                                             | on-error, after (inside) | verdict | actions | clear
//!                          | on-error, after (outside) | reply
//! ```

mod gone;
mod retry;

use std::{future::Future, panic::AssertUnwindSafe, pin::pin, sync::Arc};

use futures_util::FutureExt;
use http::{HeaderValue, Method, StatusCode, header};

use self::gone::Gone;
use self::retry::{Cause, Entrance};
use crate::{
    component::{
        CallError, Component, Guest, Sandbox,
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
        sandbox: Sandbox::new(Guest::new(request)),
        chain: &generation.global,
        handler: None,
        entrance: Entrance::Ahead,
        attempt: 0,
        renewed: false,
        reached: None,
        answered: false,
        failure: None,
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
            life.sandbox.cut_off();
            life.answered = false;
            life.failure = None;
            life.fail(failure);
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
    sandbox: Sandbox,
    chain: &'a Chain,
    handler: Option<&'a Handler>,
    entrance: Entrance,
    /// Number of reruns after a conflict.
    attempt: u32,
    /// Whether the request was rerun on a new connection.
    renewed: bool,
    /// Status of the controller's own response. It decides the verdict, even if hooks change the reply.
    reached: Option<u16>,
    /// Whether an on-error hook has replaced the reply of the failure.
    answered: bool,
    failure: Option<Failure>,
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
                true => Entrance::Open(self.sandbox.guest().context.clone()),
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
            match self.sandbox.on_route(hook).await {
                Ok(Decision::Proceed) => {}
                Ok(Decision::Access(mode)) => access = Some(mode.into()),
                Ok(Decision::Answer(response)) => {
                    self.answer(response).await;
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
        let guest = self.sandbox.guest();
        let (method, path) = (guest.request.method.clone(), guest.request.uri.path());
        let found = generation.routes.find(&method, path);
        self.rebind(by_hook.unwrap_or_else(|| plan::by_method(&method)), None);
        match found {
            Found::Route { route, params } => {
                let handler = &generation.handlers[route];
                self.chain = &handler.chain;
                self.handler = Some(handler);
                self.sandbox.guest().params = params;
                self.rebind(plan::by_route(&method, handler.access, by_hook), Some(handler));
                true
            }
            Found::WrongMethod { allow } if method == Method::OPTIONS => {
                let allow = HeaderValue::from_str(&allow).ok();
                let headers = allow.map(|allow| (header::ALLOW, allow)).into_iter().collect();
                let status = StatusCode::NO_CONTENT;
                self.sandbox.guest().reply = Some(Reply { status, headers, ..Reply::default() });
                false
            }
            Found::WrongMethod { allow } => self.fail(Failure::method_not_allowed(allow)),
            Found::Nothing => self.fail(Failure::not_found()),
        }
    }

    fn rebind(&mut self, access: Access, handler: Option<&Handler>) {
        let name = handler.and_then(|handler| handler.database.as_deref());
        let database = self.generation.database(name);
        let guest = self.sandbox.guest();
        let reads = access == Access::ReadOnly && database.is_some_and(|database| database.has_replicas());
        let terms = Terms {
            access,
            isolation: handler.and_then(|handler| handler.isolation),
            primary: handler.is_some_and(|handler| handler.primary),
            anew: false,
            after: reads.then(|| token::wanted(&guest.request.headers, name.unwrap_or(MAIN))).flatten(),
        };
        guest.bound = std::mem::take(&mut guest.bound).rebind(database.cloned(), terms, &mut guest.trace);
    }

    /// Runs the before hooks of one side of the transaction. Returns `false` if one of them answered or failed.
    async fn before(&mut self, hooks: &'a [Arc<Component>], inside: bool) -> bool {
        for hook in hooks.iter().filter(|hook| hook.has_before()) {
            match self.sandbox.before(hook, inside).await {
                Ok(None) => {}
                Ok(Some(response)) => {
                    self.answer(response).await;
                    return false;
                }
                Err(error) => return self.fail_call(&error),
            }
        }
        true
    }

    /// Runs the before hooks inside the transaction and the controller, and renders the controller's response.
    async fn inside(&mut self) {
        let Some(handler) = self.handler else { return };
        if self.before(handler.chain.inside(), true).await {
            match self.sandbox.controller(&handler.controller).await {
                Ok(response) => {
                    let status = response.status;
                    self.reached = self.answer(response).await.then_some(status);
                }
                Err(error) => drop(self.fail_call(&error)),
            }
        }
    }

    /// Runs the on-error hooks of one side, innermost first, until one answers. Its response replaces the reply only.
    async fn on_error(&mut self, hooks: &[Arc<Component>], inside: bool) {
        if self.answered {
            return;
        }
        let Some(failure) = self.failure.as_ref().map(Failure::to_wit) else { return };
        for hook in hooks.iter().rev().filter(|hook| hook.has_on_error()) {
            match self.sandbox.on_error(hook, inside, &failure).await {
                Ok(None) => {}
                Ok(Some(response)) => {
                    self.answered = self.answer(response).await;
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
            match self.sandbox.after(hook, inside, (&self.generation.config.server).into()).await {
                Err(error) if inside => drop(self.fail_call(&error)),
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
        let bound = std::mem::take(&mut self.sandbox.guest().bound);
        let started = match bound {
            Bound::Unbound(unbound) => return Some(unbound.clear(&mut self.sandbox.guest().trace)),
            Bound::ReadOnly(binding) => return Some(binding.clear(&mut self.sandbox.guest().trace)),
            Bound::Started(started) => started,
        };
        let verdict = self.verdict(&started, abandoned);
        let may_retry = self.may_retry();
        let guest = self.sandbox.guest();
        let mut settled = started.settle(verdict, &mut guest.trace).await;
        if settled.had_conflict() && may_retry {
            guest.bound = Bound::Started(settled.retry(false, &mut guest.trace));
            return None;
        }
        if let Some(error) = settled.failure() {
            let failure = match settled.outcome() {
                Outcome::InDoubt => Failure::in_doubt(error),
                _ => Failure::statement(error, "the commit failed"),
            };
            self.answered = false;
            self.fail(failure);
        }
        let guest = self.sandbox.guest();
        let mut actions = settled.take_actions();
        if self.is_rehearsal {
            actions.clear();
        }
        if !actions.is_empty() {
            // Boxed: few requests have actions, but the future of every request would contain this one.
            let (request, trace) = (&guest.request, &mut guest.trace);
            Box::pin(delivery::run(self.generation, settled.database(), actions, request, trace)).await;
        }
        Some(settled.clear(&mut guest.trace))
    }

    fn verdict(&mut self, started: &Started, abandoned: bool) -> Verdict {
        static NO_STATUS: StatusSet = StatusSet::none();
        let session = started.session();
        let verdict = verdict::decide(&Facts {
            failed: self.failure.is_some(),
            reached: self.reached.is_some(),
            status: self.reached.unwrap_or_default(),
            commit_on: self.handler.map_or(&NO_STATUS, |handler| &handler.commit_on),
            rollback_on_redirect: self.handler.is_some_and(|handler| handler.rollback_on_redirect),
            doomed: session.doom().is_some(),
            marked: session.is_marked() || self.is_rehearsal,
            abandoned,
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

    fn end(mut self, cleared: Cleared) -> Ended {
        if !self.is_rehearsal {
            self.sandbox.give_back();
        }
        let guest = self.sandbox.into_guest();
        let mut reply = guest.reply.unwrap_or_else(|| Failure::host("no answer was made").reply(&guest.request));
        if let Some(position) = &cleared.position {
            let name = self.handler.and_then(|handler| handler.database.as_deref());
            token::hand_out(&mut reply.headers, name.unwrap_or(MAIN), position);
        }
        Ended { reply, outcome: cleared.outcome, trace: guest.trace, failure: self.failure }
    }

    /// Renders a guest's response as the reply. Returns `false` if the response cannot be sent.
    async fn answer(&mut self, response: Response) -> bool {
        let generation = self.generation;
        let limits = Limits::from(&generation.config.server);
        match render::render(response, &generation.templates, &mut self.sandbox, &limits).await {
            Ok(reply) => {
                self.sandbox.guest().reply = Some(reply);
                true
            }
            Err(mut failure) => {
                failure.detail = format!("component `{}`: {}", self.sandbox.guest().speaker(), failure.detail);
                self.fail(failure)
            }
        }
    }

    fn fail_call(&mut self, error: &CallError) -> bool {
        let doom = self.sandbox.guest().bound.session().and_then(|session| session.doom().cloned());
        self.fail(Failure::call(error, doom.as_ref()))
    }

    /// Records a failure. The first one sets the reply, later ones are only logged. Always returns `false`.
    fn fail(&mut self, failure: Failure) -> bool {
        if self.failure.is_some() {
            tracing::error!(request = self.id(), failure = failure.detail, "a further failure");
            return false;
        }
        let guest = self.sandbox.guest();
        guest.reply = Some(failure.reply(&guest.request));
        self.failure = Some(failure);
        false
    }

    fn id(&mut self) -> &str {
        &self.sandbox.guest().request.id
    }
}
