//! `carya serve`: from a configuration to a server, and what signals ask of it.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Instant};

use anyhow::Context;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};

use crate::{
    admin::Admin,
    app,
    config::{self, Config, Deploy},
    database::shared::{Head, Shared},
    deploy::{self, Store},
    fleet::{self, Fleet},
    generation::Generation,
    oci,
    reload::{self, Reloader, Tell},
    server::{Live, Server},
    telemetry::{self, Format},
    watch,
};

/// Who hears of what is served, where the files are watched.
pub(super) struct Audience {
    /// The first generation is served on an address.
    pub(super) begun: fn(SocketAddr, &Generation),
    /// Another one is, or why none.
    pub(super) changed: Tell,
}

/// Where deployed generations are kept, and who may deploy.
pub(super) struct Deployment {
    settings: Deploy,
    store: Arc<Store>,
    shared: Option<Shared>,
    /// What the host begins with that has none of its own.
    joined: Option<Head>,
}

/// Serves until a signal asks to end.
pub(super) async fn serve(path: &Path, format: Format, watch: bool) -> anyhow::Result<()> {
    // Whether anything was deployed must be known before the file is read for what it serves itself.
    let host = config::load_host(path).or_else(|problems| config::load(path).and(Err(problems)))?;
    let store = host.deploy.as_ref().map(Store::open).transpose().map_err(|error| with_a_way_out(error.into()))?;
    let store = store.map(Arc::new);
    let shared = fleet::shared(&host);
    let joined = match (&shared, &store) {
        (Some(shared), Some(store)) => fleet::join(shared, store).await?,
        _ => None,
    };
    let read = match (&joined, &store) {
        (Some(head), Some(store)) => reload::read_deployed(path, store, &head.id),
        _ => reload::read(path, store.as_deref()),
    };
    let mut config = read.map_err(with_a_way_out)?;
    telemetry::start(format, config.debug);
    oci::pull(&mut config).await?;
    let deployment = host.deploy.zip(store).map(|(settings, store)| Deployment { settings, store, shared, joined });
    let audience = watch.then_some(Audience { begun: |_, _| (), changed: reload::tell });
    run(path, config, deployment, audience).await
}

/// Serves a configuration that was read from `path`. Where there is somebody to tell of changes, the files are watched.
pub(super) async fn run(
    path: &Path,
    config: Config,
    deployment: Option<Deployment>,
    audience: Option<Audience>,
) -> anyhow::Result<()> {
    let started = Instant::now();
    let engine = app::engine(&config)?;
    let assembled = app::assemble(config.clone(), engine.clone(), None)?;
    let live = Live::new(app::prepare(assembled, None).await?);
    let store = deployment.as_ref().map(|deployment| deployment.store.clone());
    let reloader = Arc::new(Reloader::new(path, engine, live.clone(), store));
    let mut tasks = Vec::new();
    if let Some(Deployment { settings, store, shared, joined }) = deployment {
        if let Some(Head { history, .. }) = joined {
            store.record(&history)?;
        }
        let fleet = match (shared, &settings.shared) {
            (Some(shared), Some(settings)) => {
                Some(Fleet::begin(shared, settings, store.clone(), reloader.clone()).await)
            }
            _ => None,
        };
        tasks.extend(fleet.clone().map(|fleet| tokio::spawn(fleet.follow())));
        if let Some(admin) = Admin::bind(&settings, store, reloader.clone(), fleet)? {
            tracing::info!(address = admin.address()?, "deployment");
            tasks.push(tokio::spawn(admin.serve()));
        }
    }
    let mut server = Server::bind(config.server.clone(), live.clone())
        .await
        .with_context(|| format!("cannot listen on {}; set server.listen to a free address", config.server.listen))?;
    if let Some(address) = config.server.metrics {
        let bound = server.bind_metrics(address).await;
        let address =
            bound.with_context(|| format!("cannot listen on {address}; set server.metrics to a free address"))?;
        tracing::info!(%address, "metrics");
    }
    // Before anybody is told that there is somebody to send signals to.
    let (mut signals, hangup) = (Signals::new()?, signal(SignalKind::hangup())?);
    let generation = live.generation();
    let (address, routes) = (server.address()?, generation.handlers.len());
    let ms = started.elapsed().as_millis();
    tracing::info!(%address, routes, generation = generation.id, debug = config.debug, ms, "serving");
    drop(generation);
    tokio::spawn(reload_when_hung_up(hangup, reloader.clone()));
    let tell = audience.as_ref().map_or(reload::tell as Tell, |audience| audience.changed);
    tokio::spawn(watch::retry(reloader.clone(), tell));
    tokio::spawn(watch::follow(reloader.clone(), tell));
    tokio::spawn(watch::collect(reloader.clone()));
    if let Some(Audience { begun, changed }) = audience {
        begun(address, &reloader.live().generation());
        tokio::spawn(async move {
            let Err(error) = watch::run(reloader, changed).await;
            tracing::error!(%error, "the files cannot be watched any more; send SIGHUP to reload");
        });
    }
    let asked = async || {
        signals.next().await;
        // What has begun to end is not given anything new.
        tasks.iter().for_each(JoinHandle::abort);
    };
    server.serve(asked).await;
    Ok(())
}

/// Without the host nothing can be deployed, so that a damaged generation must be helped by hand.
fn with_a_way_out(error: anyhow::Error) -> anyhow::Error {
    use deploy::Error;
    match error.downcast_ref() {
        Some(Error::Damaged { .. } | Error::Missing { .. } | Error::Unknown(_)) => error.context(
            "the generation that was activated last cannot be served; put its files back, or take the last line out of \
             the file `active` in deploy.folder to serve the one before",
        ),
        _ => error,
    }
}

/// Reloads whenever the process is told to by SIGHUP.
async fn reload_when_hung_up(mut hangup: Signal, reloader: Arc<Reloader>) {
    while hangup.recv().await.is_some() {
        let served = reloader.live().generation();
        reload::tell(&reloader.reload().await, &served);
    }
}

/// The signals by which a process is asked to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
