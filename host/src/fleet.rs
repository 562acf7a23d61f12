//! A fleet: several hosts that serve the same generation. Activating a generation on one host records it in the shared
//! database; the other hosts detect this, pull the files into their own folders and activate it too.
//!
//! This module decides when to query the database and how to react. `tables` contains the SQL. `deploy` manages the
//! files on disk.

pub(crate) mod tables;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::time::timeout;

use self::tables::{Error, Head, Member, Tables};
use crate::{
    app::format_error,
    config,
    deploy::{Id, SPARE, Step, Store},
    reload::{self, Change, Reloader},
    sql::error::{DbError, Kind},
};

/// Timeout of a query at the start and of a query for the list of hosts. Also the maximum pause between queries while
/// the database is unreachable.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a host checks whether a reload has changed its database settings.
const SETTINGS_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum pause before the next attempt to serve a generation that failed on this host.
const MAX_PAUSE: Duration = Duration::from_secs(5 * 60);

/// Returns the fleet's shared tables, or `None` if `[deploy] shared` or the database is not configured.
pub(crate) fn shared(config: &config::Config) -> Option<Tables> {
    let deploy = config.deploy.as_ref()?.shared.as_ref()?;
    Some(Tables::new(config.database.as_ref()?, &deploy.host))
}

/// One host of a fleet: it activates generations for all hosts, and follows the activations of other hosts.
#[derive(Debug)]
pub(crate) struct Fleet {
    host: String,
    shared: Mutex<Arc<Tables>>,
    store: Arc<Store>,
    reloader: Arc<Reloader>,
    poll: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Id of the served generation, and when this host began to serve it.
    served: (String, Instant),
    refusal: Option<Refusal>,
    /// Whether the last query of the database failed.
    is_away: bool,
}

/// A failed attempt to serve the generation of an activation.
#[derive(Debug)]
struct Refusal {
    number: i64,
    why: String,
    times: u32,
    again: Instant,
}

/// Pulls the active generation of the fleet into `store`, for a host without a usable generation of its own, and
/// returns its activation. Does not make the generation active in `store`, because this host has not tried to serve the
/// generation yet.
///
/// # Errors
///
/// Fails if the database cannot be queried or the generation cannot be pulled.
pub(crate) async fn join(shared: &Tables, store: &Store) -> anyhow::Result<Option<Head>> {
    // If files of the active generation are missing or damaged, join as if this host had no generation.
    if let Some(id) = store.active()?
        && store.unpack(&id).is_ok()
    {
        return Ok(None);
    }
    let head = timeout(QUERY_TIMEOUT, shared.head()).await.unwrap_or_else(|_| Err(no_answer()));
    let head =
        head.context("this host has no generation of its own to serve, and cannot query the fleet for the active one")?;
    if let Some(head) = &head {
        let cannot = || format!("generation {}, which is active in the fleet, cannot be copied to this host", head.id);
        pull(shared, store, &head.id).await.with_context(cannot)?;
    }
    Ok(head)
}

fn no_answer() -> Error {
    DbError::new(Kind::Lost, "timed out").into()
}

/// Pulls from the database the files of a generation that are not in `store`, and adds the generation to `store`.
async fn pull(shared: &Tables, store: &Store, id: &Id) -> Result<(), Error> {
    let manifest = match store.manifest(id) {
        Ok(manifest) => manifest,
        Err(_) => shared.manifest(id).await?,
    };
    for digest in manifest.blobs() {
        if !store.has(*digest) {
            shared.pull(digest, store.receive(*digest).await?).await?;
        }
    }
    store.put(&manifest)?;
    Ok(())
}

impl Fleet {
    /// Joins the fleet, and serves its active generation if the database and the files can be reached now.
    pub(crate) async fn join(
        shared: Tables,
        settings: &config::Shared,
        store: Arc<Store>,
        reloader: Arc<Reloader>,
    ) -> Arc<Self> {
        let served = (reloader.live().generation().id.clone(), Instant::now());
        let (host, shared) = (settings.host.clone(), Mutex::new(Arc::new(shared)));
        let state = Mutex::new(State { served, refusal: None, is_away: false });
        let fleet = Arc::new(Self { host, shared, store, reloader, poll: settings.poll, state });
        let head = timeout(QUERY_TIMEOUT, fleet.shared().head()).await.unwrap_or_else(|_| Err(no_answer()));
        match head {
            Ok(_) => fleet.synchronize().await,
            Err(error) => fleet.set_reachable(Err(error)),
        }
        fleet
    }

    /// Follows the activations of other hosts for as long as this future is polled. Queries the database after each
    /// notification, after `poll` has passed without a notification, and after a reload has changed the database
    /// settings.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut shared = self.shared();
        let mut listener = shared.activations();
        loop {
            tokio::select! {
                () = listener.notified() => {}
                () = tokio::time::sleep(self.pause()) => {}
                moved = self.moved(&shared) => {
                    shared = moved;
                    listener = shared.activations();
                }
            }
            self.synchronize().await;
        }
    }

    /// Returns the time until the next query of the database. It is shorter than `poll` if the database is unreachable
    /// or if another attempt is due earlier.
    fn pause(&self) -> Duration {
        let state = self.state();
        let away = if state.is_away { QUERY_TIMEOUT } else { self.poll };
        let again = state.refusal.as_ref().map_or(self.poll, |it| it.again.saturating_duration_since(Instant::now()));
        self.poll.min(away).min(again)
    }

    /// Activates a generation on this host and for the whole fleet.
    ///
    /// # Errors
    ///
    /// Fails, and the old generation stays active, if this host cannot serve the new generation, if another host
    /// activates a generation at the same time, or if the database cannot be queried. After [`Error::InDoubt`], the
    /// fleet may have activated the new generation.
    pub(crate) async fn activate(&self, step: &Step) -> anyhow::Result<Change> {
        let guard = self.reloader.begin_change().await;
        let shared = self.shared();
        let (since, history) = match shared.head().await? {
            Some(head) => (head.number, head.history),
            None => (0, self.store.history()?),
        };
        let history = self.store.after(history, step)?;
        let id = history.last().context("there is no generation to activate")?;
        pull(&shared, &self.store, id).await?;
        // Commits only if `since` is still the last activation. If two hosts activate at the same time, only one
        // succeeds.
        let agreement = async { Ok(shared.activate(&self.store, since, &history).await?) };
        let change = guard.activate(&history, agreement).await?;
        self.state().refusal = None;
        self.set_reachable(self.report().await);
        if let Err(error) = shared.collect(self.store.keep(), SPARE).await {
            tracing::warn!(%error, "old generations could not be removed from the database");
        }
        Ok(change)
    }

    /// Removes from the database the generations and files that no host needs.
    pub(crate) async fn collect(&self, spare: Duration) -> Result<(), Error> {
        self.shared().collect(self.store.keep(), spare).await
    }

    /// Returns the name of this host.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Returns the latest reports of all hosts.
    pub(crate) async fn members(&self) -> Result<Vec<Member>, Error> {
        timeout(QUERY_TIMEOUT, self.shared().members()).await.unwrap_or_else(|_| Err(no_answer()))
    }

    /// Returns the reason why this host does not serve the active generation, or `None` if it does.
    pub(crate) fn error(&self) -> Option<String> {
        self.state().refusal.as_ref().map(|refusal| refusal.why.clone())
    }

    /// Serves the active generation if possible, and reports the served one to the database.
    async fn synchronize(&self) {
        let synchronizing = async {
            while !self.follow_head().await? {}
            self.report().await
        };
        self.set_reachable(synchronizing.await);
    }

    /// Follows the last activation. Returns false if another activation has replaced it meanwhile.
    async fn follow_head(&self) -> Result<bool, Error> {
        let Some(head) = self.shared().head().await? else { return Ok(true) };
        if self.is_served(&head) && self.store.history().is_ok_and(|history| history == head.history) {
            self.state().refusal = None;
            return Ok(true);
        }
        if self.state().refusal.as_ref().is_some_and(|it| it.number == head.number && Instant::now() < it.again) {
            return Ok(true);
        }
        match self.take_over(&head).await {
            Ok(is_done) => {
                self.state().refusal = None;
                Ok(is_done)
            }
            Err(error) => match error.downcast() {
                Ok(Error::Database(error)) => Err(error.into()),
                Ok(error) => Ok(self.refuse(&head, error.to_string())),
                Err(error) => Ok(self.refuse(&head, format_error(&error))),
            },
        }
    }

    fn is_served(&self, head: &Head) -> bool {
        self.reloader.live().generation().id == head.id.to_string()
    }

    /// Pulls and serves the generation of an activation. Returns false if another activation has replaced it meanwhile.
    async fn take_over(&self, head: &Head) -> anyhow::Result<bool> {
        if !self.is_served(head) {
            pull(&self.shared(), &self.store, &head.id).await?;
        }
        // Another host may have activated a generation during the pull, so query again. While `guard` exists, this host
        // activates no other generation.
        let guard = self.reloader.begin_change().await;
        if self.shared().head().await?.is_none_or(|now| now.number != head.number) {
            return Ok(false);
        }
        if self.is_served(head) {
            self.store.record(&head.history)?;
            return Ok(true);
        }
        let served = self.reloader.live().generation();
        let result = guard.activate(&head.history, async { Ok(()) }).await;
        if result.is_ok() {
            tracing::info!(generation = %head.id, by = head.host, "another host activated a generation; this host serves it now");
            reload::log_change(&result, &served);
        }
        result?;
        Ok(true)
    }

    /// Remembers a failed attempt to serve the generation of an activation, and the time of the next attempt. Returns
    /// true, because there is nothing more to do until then.
    fn refuse(&self, head: &Head, why: String) -> bool {
        let served = self.reloader.live().generation().id.clone();
        tracing::error!(generation = served, refused = %head.id, by = head.host, "the old generation stays: {why}");
        let mut state = self.state();
        let times = state.refusal.as_ref().filter(|it| it.number == head.number).map_or(0, |it| it.times + 1);
        // Doubles with each failure, from the shorter of `poll` and `QUERY_TIMEOUT` up to `MAX_PAUSE`.
        let pause = self.poll.min(QUERY_TIMEOUT).saturating_mul(1 << times.min(16)).min(MAX_PAUSE);
        state.refusal = Some(Refusal { number: head.number, why, times, again: Instant::now() + pause });
        true
    }

    async fn report(&self) -> Result<(), Error> {
        let id = self.reloader.live().generation().id.clone();
        let (age, error) = {
            let mut state = self.state();
            if state.served.0 != id {
                state.served = (id.clone(), Instant::now());
            }
            (state.served.1.elapsed(), state.refusal.as_ref().map(|refusal| refusal.why.clone()))
        };
        self.shared().report(&id, age, error.as_deref()).await
    }

    /// Logs when the database becomes unreachable, and when it can be queried again.
    fn set_reachable(&self, result: Result<(), Error>) {
        let (was_away, generation) = (self.state().is_away, self.reloader.live().generation().id.clone());
        match &result {
            Err(error) if !was_away => {
                tracing::warn!(generation, %error, "the fleet cannot be followed for now; the served generation stays");
            }
            Ok(()) if was_away => tracing::info!(generation, "the fleet can be followed again"),
            _ => {}
        }
        self.state().is_away = result.is_err();
    }

    /// Returns the shared tables in the database of the served generation. Creates new ones if a reload has changed the
    /// database settings, such as the login.
    fn shared(&self) -> Arc<Tables> {
        let served = self.reloader.live().generation();
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = served.config.database.as_ref().filter(|database| !shared.is_in(database)) {
            *shared = Arc::new(Tables::new(database, &self.host));
        }
        shared.clone()
    }

    /// Resolves once a reload has changed the database settings, with the shared tables to use from then on.
    async fn moved(&self, before: &Arc<Tables>) -> Arc<Tables> {
        loop {
            let shared = self.shared();
            if !Arc::ptr_eq(before, &shared) {
                return shared;
            }
            tokio::time::sleep(SETTINGS_INTERVAL).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
