//! `carya serve`: the start of a server from a configuration. Its order is: signals, configuration, listeners,
//! components, databases, the first request.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Instant};

use anyhow::Context;
use tokio::{signal::unix::Signal, sync::Mutex, task::JoinHandle};

use super::signals::Signals;
use crate::{
    admin::Admin,
    app,
    component::Engine,
    config::{self, Config, Deploy},
    deploy::{self, Store},
    fleet::{
        self, Fleet,
        tables::{Head, Tables},
    },
    generation::Generation,
    oci,
    reload::{self, Reloader, Tell},
    server::{Live, Server, connections::Connections},
    task,
    telemetry::{self, Format},
    watch,
};

/// Callbacks that report the served generations. With them, the files are watched.
pub(super) struct Audience {
    /// Called once the first generation is served, with the address.
    pub(super) begun: fn(SocketAddr, &Generation),
    /// Called after each attempt to change the generation.
    pub(super) changed: Tell,
}

/// Settings and state of the deployment of generations.
pub(super) struct Deployment {
    settings: Deploy,
    store: Arc<Store>,
    shared: Option<Tables>,
    /// The activation in the fleet that a host without a generation of its own starts with.
    joined: Option<Head>,
}

/// Serves until a signal requests the end.
pub(super) async fn serve(path: &Path, format: Format, watch: bool) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let file = path.to_owned();
    // A separate task, because hashing the deployed files takes a while and would block the handling of signals.
    let reading = async { tokio::spawn(async move { read(&file, format).await }).await? };
    let Some((config, deployment)) = signals.unless_ended(reading).await? else { return Ok(()) };
    let audience = watch.then_some(Audience { begun: |_, _| (), changed: reload::tell });
    run(path, config, deployment, audience, signals).await
}

/// Reads the configuration to serve, and starts the log.
async fn read(path: &Path, format: Format) -> anyhow::Result<(Config, Option<Deployment>)> {
    // Read the sections of the host first: the application in the file counts only if no generation is active. On
    // problems, report those of the whole file.
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
    Ok((config, deployment))
}

/// Serves a configuration that was read from `path`. With an `audience`, watches the files.
pub(super) async fn run(
    path: &Path,
    config: Config,
    deployment: Option<Deployment>,
    audience: Option<Audience>,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let started = Instant::now();
    // Detect an address in use before migrations change a database.
    let connections = Connections::new(&config.server);
    let server = listen(&config, connections.clone()).await?;
    let admin = deployment.as_ref().map(|deployment| Admin::bind(&deployment.settings, connections));
    let admin = admin.transpose()?.flatten();
    let Some((engine, assembled)) = signals.unless_ended(assemble(config.clone())).await? else { return Ok(()) };
    let preparing = async { app::prepare(assembled, None, &mut Vec::new()).await };
    let Some(generation) = signals.unless_ended_after(preparing).await? else { return Ok(()) };
    let live = Live::new(generation);
    let store = deployment.as_ref().map(|deployment| deployment.store.clone());
    let reloader = Arc::new(Reloader::new(path, engine, live.clone(), store));
    let mut tasks = Vec::new();
    if let Some(Deployment { settings, store, shared, joined }) = deployment {
        // The generation works on this host, so it may become active in `store`.
        if let Some(Head { history, .. }) = joined {
            store.record(&history)?;
        }
        let fleet = match (shared, &settings.shared) {
            (Some(shared), Some(settings)) => {
                Some(Fleet::begin(shared, settings, store.clone(), reloader.clone()).await)
            }
            _ => None,
        };
        tasks.extend(fleet.clone().map(|fleet| tokio::spawn(task::persist("fleet", move || fleet.clone().follow()))));
        if let Some(admin) = admin {
            tracing::info!(address = admin.address()?, "deployment");
            let (admin, reloader) = (Arc::new(admin), reloader.clone());
            let serve = move || admin.clone().serve(store.clone(), reloader.clone(), fleet.clone());
            tasks.push(tokio::spawn(task::persist("deployment", serve)));
        }
    }
    let generation = live.generation();
    let (address, routes) = (server.address()?, generation.handlers.len());
    let ms = started.elapsed().as_millis();
    tracing::info!(%address, routes, generation = generation.id, debug = config.debug, ms, "serving");
    drop(generation);
    let hangup = Arc::new(Mutex::new(signals.hangup));
    spawn("hangup", &reloader, move |reloader| reload_when_hung_up(hangup.clone(), reloader));
    let tell = audience.as_ref().map_or(reload::tell as Tell, |audience| audience.changed);
    spawn("retry", &reloader, move |reloader| watch::retry(reloader, tell));
    spawn("tags", &reloader, move |reloader| watch::follow(reloader, tell));
    spawn("collect", &reloader, watch::collect);
    if let Some(Audience { begun, changed }) = audience {
        begun(address, &reloader.live().generation());
        spawn("watch", &reloader, move |reloader| async move {
            let Err(error) = watch::run(reloader, changed).await;
            tracing::error!(%error, "the files cannot be watched any more; send SIGHUP to reload");
        });
    }
    let asked = async || {
        signals.end.asked().await;
        // Once the shutdown has begun, the fleet and the admin API must not start another change.
        tasks.iter().for_each(JoinHandle::abort);
    };
    server.serve(live, asked).await;
    Ok(())
}

/// Binds the addresses of the application and of the metrics.
async fn listen(config: &Config, connections: Arc<Connections>) -> anyhow::Result<Server> {
    let (bound, listen) = (Server::bind(config, connections).await, config.server.listen);
    let mut server =
        bound.with_context(|| format!("cannot listen on {listen}; set server.listen to a free address"))?;
    if let Some(address) = config.server.metrics {
        let bound = server.bind_metrics(address).await;
        let address =
            bound.with_context(|| format!("cannot listen on {address}; set server.metrics to a free address"))?;
        tracing::info!(%address, "metrics");
    }
    Ok(server)
}

/// Makes the engine and the first generation, without its databases.
async fn assemble(config: Config) -> anyhow::Result<(Engine, Generation)> {
    let engine = app::engine(&config)?;
    let assembled = app::assemble(config, engine.clone(), None).await?;
    Ok((engine, assembled))
}

/// Adds a remedy to the error of a deployed generation. Until the host runs, no other generation can be deployed.
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

/// Starts a task that uses the reloader for as long as the process runs. After a panic it starts again.
fn spawn<F: Future<Output: Send> + Send + 'static>(
    name: &'static str,
    reloader: &Arc<Reloader>,
    work: impl Fn(Arc<Reloader>) -> F + Send + 'static,
) {
    let reloader = reloader.clone();
    tokio::spawn(task::persist(name, move || work(reloader.clone())));
}

/// Reloads on every SIGHUP.
async fn reload_when_hung_up(hangup: Arc<Mutex<Signal>>, reloader: Arc<Reloader>) {
    let mut hangup = hangup.lock().await;
    while hangup.recv().await.is_some() {
        let served = reloader.live().generation();
        reload::tell(&reloader.reload().await, &served);
    }
}
