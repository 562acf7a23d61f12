//! The instances of a component. Each has a store of its own, which a request's state visits for the length of a call. It
//! serves one request, or several where the configuration asks for it; what ends badly serves no more.
//!
//! Those for one request are made before it comes, and let go of after it, many at a time: the code and data that this
//! takes are in the processor's caches for all but the first.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{
    Store, UpdateDeadline,
    component::{self, InstancePre},
};

use super::{
    registry::Identity,
    store::{OutOfTime, StoreData},
};
use crate::task;

/// How many are made, or let go of, at a time.
const BATCH: usize = 16;

/// How long others wait at most while a batch is made.
const TURN: Duration = Duration::from_millis(1);

/// How long an instance waits for a request.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// An instance in a store of its own.
pub(super) struct Instance {
    pub(super) store: Store<StoreData>,
    made: Option<component::Instance>,
    /// Where it is from, for as long as its component is there.
    home: Weak<Instances>,
    requests: u32,
}

/// All instances of one component.
pub(super) struct Instances {
    pre: InstancePre<StoreData>,
    identity: Arc<Identity>,
    terms: Terms,
    idle: Mutex<Idle>,
}

/// What holds for the instances of a component.
#[derive(Clone)]
pub(super) struct Terms {
    /// How long making one may take.
    pub(super) timeout: Duration,
    /// How many requests one may serve.
    pub(super) max_requests: u32,
    /// See [`Engine::kept_ready`](super::Engine).
    pub(super) kept_ready: usize,
    /// What instances of all components may hold while they do nothing.
    pub(super) shares: Arc<Semaphore>,
}

/// Those that serve nobody just now.
#[derive(Default)]
struct Idle {
    /// The last to come is the first to go: its memory is warm, and the others get old.
    ready: Vec<Waiting>,
    /// To be let go of.
    spent: Vec<Waiting>,
    /// Somebody is at it.
    renewing: bool,
}

struct Waiting {
    instance: Instance,
    since: Instant,
    /// Its share of the engine's instances.
    _share: OwnedSemaphorePermit,
}

impl Instances {
    pub(super) fn new(pre: InstancePre<StoreData>, identity: Arc<Identity>, terms: Terms) -> Arc<Self> {
        Arc::new(Self { pre, identity, terms, idle: Mutex::default() })
    }

    /// The same component's, of which none is made yet.
    pub(super) fn anew(&self) -> Arc<Self> {
        Self::new(self.pre.clone(), self.identity.clone(), self.terms.clone())
    }

    pub(super) fn max_requests(&self) -> u32 {
        self.terms.max_requests
    }

    /// One that is ready, or a store for one.
    pub(super) fn take(self: &Arc<Self>) -> Instance {
        let ready = self.idle().ready.pop();
        ready.map_or_else(|| self.begin(), |waiting| waiting.instance)
    }

    /// A store without an instance.
    pub(super) fn begin(self: &Arc<Self>) -> Instance {
        let mut store = Store::new(self.pre.engine(), StoreData::new(self.identity.clone()));
        store.limiter(|data| data);
        store.set_epoch_deadline(1);
        // At every tick a guest lets other requests run; a spinning one costs them little.
        store.epoch_deadline_callback(|context| match context.data().deadline {
            Some(deadline) if Instant::now() >= deadline => Err(OutOfTime.into()),
            _ => Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))),
        });
        Instance { store, made: None, home: Arc::downgrade(self), requests: 0 }
    }

    /// Takes one back that has served.
    fn put(self: Arc<Self>, instance: Instance) {
        let is_spent = instance.requests >= self.terms.max_requests;
        let memory = instance.store.data().memory();
        let is_large = memory > self.terms.kept_ready;
        // The next request would soon be refused memory, for what the ones before have left.
        let is_near_its_limit = memory > self.identity.memory / 8 * 7;
        if is_spent && (is_large || self.terms.max_requests > 1) || !is_spent && is_near_its_limit {
            return;
        }
        // Without a share others need the room more.
        let Ok(share) = self.terms.shares.clone().try_acquire_owned() else { return };
        let waiting = Waiting { instance, since: Instant::now(), _share: share };
        let mut idle = self.idle();
        match is_spent {
            true => idle.spent.push(waiting),
            false => idle.ready.push(waiting),
        }
        let is_due = is_spent && (idle.ready.is_empty() || idle.spent.len() >= BATCH);
        if is_due && !mem::replace(&mut idle.renewing, true) {
            drop(idle);
            tokio::spawn(async move {
                if let Err(error) = task::caught(self.renew()).await {
                    tracing::error!(component = &*self.identity.name, %error, "instances could not be made ahead");
                }
                self.idle().renewing = false;
            });
        }
    }

    /// Lets go of those that are spent, and makes others in their place; more of them the more are asked for.
    async fn renew(self: &Arc<Self>) {
        let (spent, missing) = {
            let mut idle = self.idle();
            let spent = mem::take(&mut idle.spent);
            let wanted = (2 * spent.len()).min(BATCH);
            (spent, wanted.saturating_sub(idle.ready.len()))
        };
        drop(spent);
        let mut begun = Instant::now();
        for _ in 0..missing {
            let Ok(share) = self.terms.shares.clone().try_acquire_owned() else { break };
            // If none can be made just now, the next request will find out why.
            let Some(instance) = self.make().await else { break };
            self.idle().ready.push(Waiting { instance, since: Instant::now(), _share: share });
            if begun.elapsed() > TURN {
                tokio::task::yield_now().await;
                begun = Instant::now();
            }
        }
    }

    async fn make(self: &Arc<Self>) -> Option<Instance> {
        let mut instance = self.begin();
        instance.store.data_mut().begin_call(self.terms.timeout);
        let making = tokio::time::timeout(self.terms.timeout, instance.made(self)).await;
        instance.store.data_mut().end_call();
        matches!(making, Ok(Ok(_))).then_some(instance)
    }

    /// Lets go of those that nobody has needed for a while.
    pub(super) fn shrink(&self) {
        let mut idle = self.idle();
        let spent = mem::take(&mut idle.spent);
        let young = idle.ready.partition_point(|waiting| waiting.since.elapsed() > LONGEST_WAIT);
        let old: Vec<Waiting> = idle.ready.drain(..young).collect();
        drop(idle);
        drop((spent, old));
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Instance {
    /// Whether it is one of these.
    pub(super) fn is_of(&self, instances: &Arc<Instances>) -> bool {
        self.home.as_ptr() == Arc::as_ptr(instances)
    }

    /// The instance itself, made if it is not there yet.
    pub(super) async fn made(&mut self, instances: &Instances) -> wasmtime::Result<component::Instance> {
        if let Some(made) = self.made {
            return Ok(made);
        }
        let made = instances.pre.instantiate_async(&mut self.store).await?;
        self.made = Some(made);
        Ok(made)
    }

    /// Waits for the next request, if there may be one.
    pub(super) fn give_back(mut self) {
        self.requests += 1;
        if let Some(home) = self.home.upgrade() {
            home.put(self);
        }
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::{
        Engine,
        component::{Component, Linker},
    };

    use super::*;

    const SHARES: usize = 24;

    /// Instances of a component with a memory of so many pages.
    fn instances(pages: u32, max_requests: u32) -> wasmtime::Result<Arc<Instances>> {
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        let engine = Engine::new(&config)?;
        let text = format!("(component (core module $m (memory {pages})) (core instance (instantiate $m)))");
        let pre = Linker::new(&engine).instantiate_pre(&Component::new(&engine, wat::parse_str(text)?)?)?;
        let identity =
            Identity { name: "it".into(), settings: Default::default(), runs_actions: false, memory: 64 << 20 };
        let shares = Arc::new(Semaphore::new(SHARES));
        let terms = Terms { timeout: Duration::from_secs(5), max_requests, kept_ready: 2 << 20, shares };
        Ok(Instances::new(pre, Arc::new(identity), terms))
    }

    /// Serves so many requests at a time, and tells how many instances are ready for the next, how many are to be let go
    /// of, and how many shares are left.
    async fn serve(instances: &Arc<Instances>, requests: usize) -> wasmtime::Result<(usize, usize, usize)> {
        let mut taken: Vec<_> = (0..requests).map(|_| instances.take()).collect();
        for instance in &mut taken {
            instance.store.data_mut().begin_call(instances.terms.timeout);
            instance.made(instances).await?;
            instance.store.data_mut().end_call();
        }
        taken.into_iter().for_each(Instance::give_back);
        while instances.idle().renewing {
            tokio::task::yield_now().await;
        }
        let idle = instances.idle();
        Ok((idle.ready.len(), idle.spent.len(), instances.terms.shares.available_permits()))
    }

    #[tokio::test]
    async fn as_many_are_made_ahead_as_are_asked_for() -> wasmtime::Result<()> {
        let instances = instances(1, 1)?;
        assert_eq!(serve(&instances, 1).await?, (2, 0, SHARES - 2), "after the first request");
        assert_eq!(serve(&instances, 1).await?, (1, 1, SHARES - 2), "one is left");
        assert_eq!(serve(&instances, 1).await?, (4, 0, SHARES - 4), "two were needed");
        assert_eq!(serve(&instances, 20).await?.0, BATCH, "no more than a batch");
        let made = instances.take();
        assert!(made.made.is_some());
        Ok(())
    }

    #[tokio::test]
    async fn an_instance_near_its_memory_limit_serves_no_more() -> wasmtime::Result<()> {
        // 50 and 57 of 64 MiB.
        for (pages, ready) in [(800, 1), (912, 0)] {
            assert_eq!(serve(&instances(pages, 10)?, 1).await?.0, ready, "{pages} pages");
        }
        Ok(())
    }

    #[tokio::test]
    async fn those_that_wait_go_with_their_component() -> wasmtime::Result<()> {
        let instances = instances(1, 1)?;
        serve(&instances, 3).await?;
        let (shares, taken) = (instances.terms.shares.clone(), instances.take());
        assert!(shares.available_permits() < SHARES);
        drop(instances);
        assert_eq!(shares.available_permits(), SHARES, "who runs needs no share");
        taken.give_back();
        assert_eq!(shares.available_permits(), SHARES, "nobody waits any more");
        Ok(())
    }

    #[tokio::test]
    async fn those_that_serve_again_are_not_made_ahead() -> wasmtime::Result<()> {
        let instances = instances(1, 2)?;
        assert_eq!(serve(&instances, 2).await?, (2, 0, SHARES - 2));
        assert_eq!(serve(&instances, 1).await?, (1, 0, SHARES - 1), "it may not serve a third time");
        assert_eq!(serve(&instances, SHARES + 3).await?.2, 0, "there is no more room to wait");
        Ok(())
    }

    #[tokio::test]
    async fn a_large_one_is_let_go_of_at_once() -> wasmtime::Result<()> {
        let instances = instances(512, 1)?;
        assert_eq!(serve(&instances, 3).await?, (0, 0, SHARES));
        Ok(())
    }

    #[tokio::test]
    async fn an_instance_is_dropped_after_ten_idle_seconds() -> wasmtime::Result<()> {
        let instances = instances(1, 2)?;
        assert_eq!(serve(&instances, 2).await?, (2, 0, SHARES - 2));
        instances.shrink();
        assert_eq!(instances.idle().ready.len(), 2, "both were used just now");
        instances.idle().ready[0].since -= Duration::from_secs(11);
        instances.shrink();
        assert_eq!((instances.idle().ready.len(), instances.terms.shares.available_permits()), (1, SHARES - 1));
        Ok(())
    }
}
