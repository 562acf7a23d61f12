//! The instances of a component. Each instance has a store of its own, which contains the state of a request for the
//! length of a call. An instance serves one request, or several if the component is configured with `reuse`. If a call
//! does not complete, its instance serves no further request.
//!
//! Instances that serve a single request are made in advance and dropped after the request, both in batches. Batches
//! are faster: from the second instance of a batch on, the code and data for making or dropping an instance are in the
//! processor's caches.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{
    Store, UpdateDeadline,
    component::{self, ComponentNamedList, InstancePre, Lift},
    error::Context,
};

use super::{
    properties::Properties,
    store::{OutOfTime, StoreData},
    wit::exports::carya::host::reseed,
};
use crate::task;

/// Maximum number of instances that are made or dropped at a time.
const BATCH: usize = 16;

/// Time after which the task that makes a batch yields to other tasks.
const YIELD_INTERVAL: Duration = Duration::from_millis(1);

/// Time after which an idle instance is dropped.
const MAX_IDLE_TIME: Duration = Duration::from_secs(10);

/// An instance in a store of its own.
pub(super) struct Instance {
    pub(super) store: Store<StoreData>,
    /// The instance in the store. `None` until it is instantiated.
    inner: Option<component::Instance>,
    /// Pool of the component. The pool is dropped with its generation, possibly before this instance.
    pool: Weak<InstancePool>,
    /// Number of requests served.
    requests: u32,
}

/// Pool of the idle instances of one component. Makes new instances.
pub(super) struct InstancePool {
    pre: InstancePre<StoreData>,
    properties: Arc<Properties>,
    settings: PoolSettings,
    idle: Mutex<Idle>,
}

/// Settings for the instances of a component.
#[derive(Clone)]
pub(super) struct PoolSettings {
    /// Maximum time of a call, and of making an instance.
    pub(super) timeout: Duration,
    /// Maximum number of requests that an instance serves.
    pub(super) max_requests: u32,
    /// Maximum memory of instances that are made ahead of their requests, in bytes.
    pub(super) max_ahead: usize,
    /// Permits for idle instances of all components.
    pub(super) shares: Arc<Semaphore>,
    /// Whether an instance is kept after a rehearsal, instead of dropped.
    pub(super) keeps_rehearsed: bool,
    /// Function that seeds the generators of random numbers of each new instance.
    pub(super) reseed: Option<reseed::GuestIndices>,
}

#[derive(Default)]
struct Idle {
    /// Instances that can serve a request, the oldest first. [`InstancePool::take`] takes the newest, because its
    /// memory is likely to be in the processor's caches. Instances that are not needed therefore reach
    /// [`MAX_IDLE_TIME`].
    ready: Vec<IdleInstance>,
    /// Instances that have served their last request and are to be dropped.
    spent: Vec<IdleInstance>,
    /// Whether a task is running [`InstancePool::renew`].
    is_renewing: bool,
}

struct IdleInstance {
    instance: Instance,
    since: Instant,
    /// Permit out of [`PoolSettings::shares`].
    _share: OwnedSemaphorePermit,
}

impl InstancePool {
    pub(super) fn new(pre: InstancePre<StoreData>, properties: Arc<Properties>, settings: PoolSettings) -> Arc<Self> {
        Arc::new(Self { pre, properties, settings, idle: Mutex::default() })
    }

    /// Returns a pool for the same component, without instances.
    pub(super) fn emptied(&self) -> Arc<Self> {
        self.with(|_| {})
    }

    /// Returns a pool for the same component, without instances and with other settings.
    pub(super) fn with(&self, change: impl FnOnce(&mut PoolSettings)) -> Arc<Self> {
        let mut settings = self.settings.clone();
        change(&mut settings);
        Self::new(self.pre.clone(), self.properties.clone(), settings)
    }

    /// Returns the maximum time of a call.
    pub(super) fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    pub(super) fn max_requests(&self) -> u32 {
        self.settings.max_requests
    }

    /// Takes a ready instance. If there is none, creates a store for a new instance.
    pub(super) fn take(self: &Arc<Self>) -> Instance {
        let ready = self.idle().ready.pop();
        ready.map_or_else(|| self.store(), |idle| idle.instance)
    }

    /// Creates a store without an instance.
    pub(super) fn store(self: &Arc<Self>) -> Instance {
        let mut store = Store::new(self.pre.engine(), StoreData::new(self.properties.clone()));
        store.limiter(|data| data);
        store.set_epoch_deadline(1);
        // At every tick the guest yields to other tasks, so an endless loop in a guest hardly delays them.
        store.epoch_deadline_callback(|context| match context.data().deadline {
            Some(deadline) if Instant::now() >= deadline => Err(OutOfTime.into()),
            _ => Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))),
        });
        Instance { store, inner: None, pool: Arc::downgrade(self), requests: 0 }
    }

    /// Puts an instance that has served a request back into the pool, or drops it.
    fn put_back(self: Arc<Self>, mut instance: Instance) {
        let is_spent = instance.requests >= self.settings.max_requests;
        let memory = instance.store.data().memory();
        let is_large = memory > self.settings.max_ahead;
        // The memory of an instance never shrinks. If the memory is near its limit, the next request would soon exceed
        // the limit.
        let is_near_its_limit = memory > self.properties.memory / 8 * 7;
        // Resources that a guest does not drop accumulate.
        let is_near_a_limit = is_near_its_limit || !is_spent && instance.store.data_mut().is_crowded();
        // Dropping the instance aborts requests that it no longer waits for.
        let is_sending = instance.store.data().is_sending;
        if is_sending || is_spent && (is_large || self.settings.max_requests > 1) || !is_spent && is_near_a_limit {
            return;
        }
        // If no share is free, drop the instance: the idle instances of all components take as much of the engine's
        // pool as they may.
        let Ok(share) = self.settings.shares.clone().try_acquire_owned() else { return };
        let returned = IdleInstance { instance, since: Instant::now(), _share: share };
        let mut idle = self.idle();
        match is_spent {
            true => idle.spent.push(returned),
            false => idle.ready.push(returned),
        }
        let is_due = is_spent && (idle.ready.is_empty() || idle.spent.len() >= BATCH);
        if is_due && !mem::replace(&mut idle.is_renewing, true) {
            drop(idle);
            tokio::spawn(async move {
                if let Err(error) = task::caught(self.renew()).await {
                    tracing::error!(component = &*self.properties.name, %error, "instances could not be made ahead");
                }
                self.idle().is_renewing = false;
            });
        }
    }

    /// Drops the spent instances, and makes new instances until the number of ready instances is twice the number of
    /// dropped instances, but at most [`BATCH`].
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
            let Ok(share) = self.settings.shares.clone().try_acquire_owned() else { break };
            // On an error, stop. The next request instantiates the component itself and reports the error.
            let Some(instance) = self.make().await else { break };
            self.idle().ready.push(IdleInstance { instance, since: Instant::now(), _share: share });
            if begun.elapsed() > YIELD_INTERVAL {
                tokio::task::yield_now().await;
                begun = Instant::now();
            }
        }
    }

    async fn make(self: &Arc<Self>) -> Option<Instance> {
        let mut instance = self.store();
        instance.store.data_mut().begin_call(self.settings.timeout);
        let making = tokio::time::timeout(self.settings.timeout, instance.instantiate(self)).await;
        instance.store.data_mut().end_call();
        matches!(making, Ok(Ok(_))).then_some(instance)
    }

    /// Drops the spent instances, and the ready instances that have waited for [`MAX_IDLE_TIME`].
    pub(super) fn shrink(&self) {
        let mut idle = self.idle();
        let spent = mem::take(&mut idle.spent);
        let young = idle.ready.partition_point(|ready| ready.since.elapsed() > MAX_IDLE_TIME);
        let old: Vec<IdleInstance> = idle.ready.drain(..young).collect();
        // Dropping instances takes time, so release the lock first.
        drop(idle);
        drop((spent, old));
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Instance {
    /// Returns whether this is an instance of the component of `pool`.
    pub(super) fn is_of(&self, pool: &Arc<InstancePool>) -> bool {
        self.pool.as_ptr() == Arc::as_ptr(pool)
    }

    /// Returns the instance in the store. The first call instantiates the component.
    pub(super) async fn instantiate(&mut self, pool: &InstancePool) -> wasmtime::Result<component::Instance> {
        if let Some(inner) = self.inner {
            return Ok(inner);
        }
        let inner = pool.pre.instantiate_async(&mut self.store).await?;
        self.inner = Some(inner);
        if let Some(reseed) = &pool.settings.reseed {
            self.reseed(reseed).await?;
        }
        Ok(inner)
    }

    /// Returns whether there is an instance in the store.
    pub(super) fn is_instantiated(&self) -> bool {
        self.inner.is_some()
    }

    /// Seeds the generators of random numbers in the memory of the instance.
    pub(super) async fn reseed(&mut self, reseed: &reseed::GuestIndices) -> wasmtime::Result<()> {
        let inner = self.inner.context("there is no instance")?;
        let [a, b, c, d] = rand::random();
        reseed.load(&mut self.store, &inner)?.call_reseed(&mut self.store, a, b, c, d).await
    }

    /// Calls a function without parameters that is not one of the contract.
    pub(super) async fn call<R>(&mut self, interface: &str, function: &str) -> wasmtime::Result<R>
    where
        (R,): ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let inner = self.inner.context("there is no instance")?;
        let missing = || format!("there is no `{interface}`.`{function}`");
        let (_, index) = inner.get_export(&mut self.store, None, interface).with_context(missing)?;
        let (_, index) = inner.get_export(&mut self.store, Some(&index), function).with_context(missing)?;
        let called = inner.get_typed_func::<(), (R,)>(&mut self.store, index)?;
        Ok(called.call_async(&mut self.store, ()).await?.0)
    }

    /// Returns the instance to its pool after a request. The pool keeps the instance for another request or drops it.
    pub(super) fn give_back(mut self) {
        self.requests += 1;
        if let Some(pool) = self.pool.upgrade() {
            pool.put_back(self);
        }
    }

    /// Like [`give_back`](Self::give_back), after a rehearsal. Only a pool for an image keeps the instance.
    pub(super) fn give_back_rehearsed(self) {
        if self.pool.upgrade().is_some_and(|pool| pool.settings.keeps_rehearsed) {
            self.give_back();
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use wasmtime::{
        Engine,
        component::{Component, Linker},
    };

    use super::*;

    const SHARES: usize = 24;

    /// Returns the pool of a component with `pages` pages of memory.
    pub(in crate::component) fn pool(pages: u32, max_requests: u32) -> wasmtime::Result<Arc<InstancePool>> {
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        let engine = Engine::new(&config)?;
        let text = format!("(component (core module $m (memory {pages})) (core instance (instantiate $m)))");
        let pre = Linker::new(&engine).instantiate_pre(&Component::new(&engine, wat::parse_str(text)?)?)?;
        let shares = Arc::new(Semaphore::new(SHARES));
        let settings = PoolSettings {
            timeout: Duration::from_secs(5),
            max_requests,
            max_ahead: 2 << 20,
            shares,
            keeps_rehearsed: false,
            reseed: None,
        };
        Ok(InstancePool::new(pre, Arc::new(Properties::with_memory(64 << 20)), settings))
    }

    /// Serves this number of concurrent requests. Returns the number of ready instances, of spent instances, and of
    /// free shares.
    async fn serve(pool: &Arc<InstancePool>, requests: usize) -> wasmtime::Result<(usize, usize, usize)> {
        let mut taken: Vec<_> = (0..requests).map(|_| pool.take()).collect();
        for instance in &mut taken {
            instance.store.data_mut().begin_call(pool.settings.timeout);
            instance.instantiate(pool).await?;
            instance.store.data_mut().end_call();
        }
        taken.into_iter().for_each(Instance::give_back);
        while pool.idle().is_renewing {
            tokio::task::yield_now().await;
        }
        let idle = pool.idle();
        Ok((idle.ready.len(), idle.spent.len(), pool.settings.shares.available_permits()))
    }

    #[tokio::test]
    async fn instances_made_ahead_follow_the_demand() -> wasmtime::Result<()> {
        let pool = pool(1, 1)?;
        assert_eq!(serve(&pool, 1).await?, (2, 0, SHARES - 2), "after the first request");
        assert_eq!(serve(&pool, 1).await?, (1, 1, SHARES - 2), "one is left");
        assert_eq!(serve(&pool, 1).await?, (4, 0, SHARES - 4), "two were needed");
        assert_eq!(serve(&pool, 20).await?.0, BATCH, "no more than a batch");
        let taken = pool.take();
        assert!(taken.inner.is_some());
        Ok(())
    }

    #[tokio::test]
    async fn an_instance_near_its_memory_limit_serves_no_further_request() -> wasmtime::Result<()> {
        // 50 and 57 of 64 MiB.
        for (pages, ready) in [(800, 1), (912, 0)] {
            assert_eq!(serve(&pool(pages, 10)?, 1).await?.0, ready, "{pages} pages");
        }
        Ok(())
    }

    #[tokio::test]
    async fn idle_instances_are_dropped_with_their_component() -> wasmtime::Result<()> {
        let pool = pool(1, 1)?;
        serve(&pool, 3).await?;
        let (shares, taken) = (pool.settings.shares.clone(), pool.take());
        assert!(shares.available_permits() < SHARES);
        drop(pool);
        assert_eq!(shares.available_permits(), SHARES, "a running instance needs no share");
        taken.give_back();
        assert_eq!(shares.available_permits(), SHARES, "the pool is gone, so the instance is dropped");
        Ok(())
    }

    #[tokio::test]
    async fn reused_instances_are_not_made_ahead() -> wasmtime::Result<()> {
        let pool = pool(1, 2)?;
        assert_eq!(serve(&pool, 2).await?, (2, 0, SHARES - 2));
        assert_eq!(serve(&pool, 1).await?, (1, 0, SHARES - 1), "an instance serves two requests");
        assert_eq!(serve(&pool, SHARES + 3).await?.2, 0, "no share is free");
        Ok(())
    }

    #[tokio::test]
    async fn a_large_instance_is_dropped_at_once() -> wasmtime::Result<()> {
        let pool = pool(512, 1)?;
        assert_eq!(serve(&pool, 3).await?, (0, 0, SHARES));
        Ok(())
    }

    #[tokio::test]
    async fn an_instance_is_dropped_after_ten_idle_seconds() -> wasmtime::Result<()> {
        let pool = pool(1, 2)?;
        assert_eq!(serve(&pool, 2).await?, (2, 0, SHARES - 2));
        pool.shrink();
        assert_eq!(pool.idle().ready.len(), 2, "both were used just now");
        pool.idle().ready[0].since -= Duration::from_secs(11);
        pool.shrink();
        assert_eq!((pool.idle().ready.len(), pool.settings.shares.available_permits()), (1, SHARES - 1));
        Ok(())
    }
}
