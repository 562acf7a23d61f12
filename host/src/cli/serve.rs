//! `carya serve`: starts a server from a configuration. The order of the start is: signals, configuration, listeners,
//! components, databases, the first request.

use std::{fmt::Display, io, path::Path, sync::Arc, time::Instant};

use anyhow::anyhow;
use tokio::{signal::unix::Signal, sync::Mutex, task::JoinHandle};

use super::{certificates::AllCertificates, signals::Signals};
use crate::{
    admin::{Admin, BindError},
    app::{self, Application, Sources},
    config::{self, Config, Deploy, Listen, Sockets},
    deploy::{self, Store},
    fleet::{
        self, Fleet,
        tables::{Head, Tables},
    },
    generation::Generation,
    reload::{Reloader, Report, log_change},
    server::{Live, Server, connections::Connections},
    supervisor, task,
    telemetry::{self, Format},
    watch,
};

/// Functions that report the served generations. If they are given, the host watches the files of the application.
pub(super) struct Callbacks {
    /// Called once the first generation is served, with the addresses.
    pub(super) begun: fn(&[Listen], &Generation),
    /// Called after each attempt to change the generation.
    pub(super) changed: Report,
}

/// Settings and state of the deployment of generations.
pub(super) struct Deployment {
    settings: Deploy,
    store: Arc<Store>,
    shared: Option<Tables>,
    /// The latest activation in the fleet, if this host starts with it because it has no generation of its own.
    joined: Option<Head>,
}

/// Serves an application until a signal requests the end.
pub(super) async fn serve(path: &Path, format: Format, watch: bool) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let file = path.to_owned();
    // Read in a separate task, because hashing the deployed files takes a while and would delay the handling of
    // signals.
    let reading = async { tokio::spawn(async move { read_sources(&file, format).await }).await? };
    let Some((sources, deployment)) = signals.unless_ended(reading).await? else { return Ok(()) };
    let callbacks = watch.then_some(Callbacks { begun: |_, _| (), changed: log_change });
    start(path, sources, deployment, callbacks, signals).await
}

/// Reads the application to serve, and starts the log.
async fn read_sources(path: &Path, format: Format) -> anyhow::Result<(Sources, Option<Deployment>)> {
    // Read the sections of the host first: the application in the file is used only if no generation is active. If
    // these sections have problems, report the problems of the whole file.
    let host = config::load_host(path).or_else(|problems| config::load(path).and(Err(problems)))?;
    let store = host.deploy.as_ref().map(Store::open).transpose().map_err(|error| with_remedy(error.into()))?;
    let store = store.map(Arc::new);
    let shared = fleet::shared(&host);
    let joined = match (&shared, &store) {
        (Some(shared), Some(store)) => fleet::join(shared, store).await?,
        _ => None,
    };
    let application = match (&joined, &store) {
        (Some(head), Some(store)) => Application::deployed(path, store, &head.id),
        _ => Application::read(path, store.as_deref()),
    };
    let application = application.map_err(with_remedy)?;
    telemetry::start(format, &application.config.log_filter, application.config.log);
    let sources = application.pull().await?;
    let deployment = host.deploy.zip(store).map(|(settings, store)| Deployment { settings, store, shared, joined });
    Ok((sources, deployment))
}

/// Serves an application that was read from `path`. With `callbacks`, watches the files.
pub(super) async fn start(
    path: &Path,
    sources: Sources,
    deployment: Option<Deployment>,
    callbacks: Option<Callbacks>,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let started = Instant::now();
    tokio::spawn(task::persist("watchdog", supervisor::signs_of_life));
    // Detect an address in use, or a certificate that cannot be used, before migrations change a database.
    let settings = deployment.as_ref().map(|deployment| &deployment.settings);
    let certificates = AllCertificates::read(&sources.config, settings)?;
    let acme = certificates.acme(&sources.config)?;
    let connections = Connections::new(&sources.config.server);
    let server = listen(&sources.config, &certificates, connections.clone()).await?;
    let admin = settings.map(|settings| Admin::bind(settings, certificates.deploy.clone(), connections));
    let admin = admin.transpose().map_err(|error| match error {
        BindError::Address { address, source } => unbound(&sources.config, "deploy.listen", address, &source),
        BindError::Other(error) => error,
    });
    let admin = admin?.flatten();
    let engine = app::engine(&sources.config)?;
    let assembling = app::assemble(sources, engine.clone(), None);
    let Some(assembled) = signals.unless_ended(assembling).await? else { return Ok(()) };
    let preparing = async { app::prepare(assembled, None, &mut Vec::new()).await };
    let Some(generation) = signals.unless_ended_after(preparing).await? else { return Ok(()) };
    let live = Live::new(generation);
    let store = deployment.as_ref().map(|deployment| deployment.store.clone());
    let reloader = Arc::new(Reloader::new(path, engine, live.clone(), store));
    let tasks = match deployment {
        // Boxed, because the compiler limits the depth of nested futures.
        Some(deployment) => Box::pin(accept_deployments(deployment, admin, &reloader)).await?,
        None => Vec::new(),
    };
    server.announce(&live);
    let generation = live.generation();
    let addresses = server.addresses()?;
    let address = addresses.iter().map(Listen::to_string).collect::<Vec<_>>().join(", ");
    let routes = generation.handlers.len();
    let ms = telemetry::millis(started.elapsed());
    tracing::info!(%address, routes, generation = generation.id, debug = generation.config.debug, ms, "serving");
    supervisor::ready(&generation.id);
    drop(generation);
    certificates.watch();
    if let Some(acme) = acme.map(Arc::new) {
        tokio::spawn(task::persist("acme", move || {
            let acme = acme.clone();
            async move { acme.run().await }
        }));
    }
    reload_on_triggers(&reloader, certificates, signals.hangup, callbacks, &addresses);
    let shutdown = async || {
        signals.end.requested().await;
        supervisor::stopping();
        // Once the shutdown has begun, the fleet and the admin API must not start another change.
        tasks.iter().for_each(JoinHandle::abort);
    };
    server.serve(live, shutdown).await;
    Ok(())
}

/// Joins the fleet and serves the admin API. Returns the tasks, which must be aborted at the shutdown.
async fn accept_deployments(
    deployment: Deployment,
    admin: Option<Admin>,
    reloader: &Arc<Reloader>,
) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let Deployment { settings, store, shared, joined } = deployment;
    // The generation has passed its trial on this host, so it can become active in `store`.
    if let Some(Head { history, .. }) = joined {
        store.record(&history)?;
    }
    let fleet = match (shared, &settings.shared) {
        (Some(shared), Some(settings)) => Some(Fleet::join(shared, settings, store.clone(), reloader.clone()).await),
        _ => None,
    };
    let mut tasks = Vec::new();
    tasks.extend(fleet.clone().map(|fleet| tokio::spawn(task::persist("fleet", move || fleet.clone().follow()))));
    if let Some(admin) = admin {
        tracing::info!(address = admin.address()?, "deployment");
        let (admin, reloader) = (Arc::new(admin), reloader.clone());
        let serve = move || admin.clone().serve(store.clone(), reloader.clone(), fleet.clone());
        tasks.push(tokio::spawn(task::persist("deployment", serve)));
    }
    Ok(tasks)
}

/// Starts the tasks that reload: after SIGHUP, after a temporary failure, after the tag of an image has moved, and with
/// `callbacks` after a change to a file. Also starts the task that removes unused images.
fn reload_on_triggers(
    reloader: &Arc<Reloader>,
    certificates: AllCertificates,
    hangup: Signal,
    callbacks: Option<Callbacks>,
    addresses: &[Listen],
) {
    let hangup = Arc::new(Mutex::new(hangup));
    spawn("hangup", reloader, move |reloader| reload_when_hung_up(hangup.clone(), certificates.clone(), reloader));
    let report = callbacks.as_ref().map_or(log_change as Report, |callbacks| callbacks.changed);
    spawn("retry", reloader, move |reloader| watch::retry(reloader, report));
    spawn("tags", reloader, move |reloader| watch::follow_tags(reloader, report));
    spawn("collect", reloader, watch::collect_images);
    if let Some(Callbacks { begun, changed }) = callbacks {
        begun(addresses, &reloader.live().generation());
        spawn("watch", reloader, move |reloader| async move {
            let Err(error) = watch::watch_files(reloader, changed).await;
            tracing::error!(%error, "the files cannot be watched any more; send SIGHUP to reload");
        });
    }
}

/// Binds the addresses of the application, of its redirects, and of the metrics.
async fn listen(
    config: &Config,
    certificates: &AllCertificates,
    connections: Arc<Connections>,
) -> anyhow::Result<Server> {
    let tls = certificates.server.clone().map(|all| all.acceptor(config.server.http2)).transpose()?;
    let bound = Server::bind(config, tls, connections).await;
    let mut server = bound.map_err(|error| unbound(config, "server.listen", &config.server.listen, &error))?;
    if let Some(redirect) = &config.server.redirect {
        let bound = server.bind_redirect(redirect).await;
        let address = bound.map_err(|error| unbound(config, "server.redirect", redirect.listen, &error))?;
        tracing::info!(%address, "redirect");
    }
    if let Some(address) = config.server.metrics {
        let bound = server.bind_metrics(address).await;
        let address = bound.map_err(|error| unbound(config, "server.metrics", address, &error))?;
        tracing::info!(%address, "metrics");
    }
    Ok(server)
}

/// Returns the error of an address that cannot be bound, with the place of its key.
fn unbound(config: &Config, key: &str, address: impl Display, error: &io::Error) -> anyhow::Error {
    let is_of_server = key == "server.listen";
    let remedy = match error.kind() {
        _ if is_of_server && config.server.listen == Sockets::Systemd => {
            "start the .socket unit, which starts this service, or set an address"
        }
        io::ErrorKind::AddrInUse => "end the process that uses it, or set another address",
        _ if is_of_server && config.server.listen.port().is_none() => {
            "set a path in a folder that exists and that this user may write to"
        }
        io::ErrorKind::PermissionDenied => "set a port from 1024 on, or give the process CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrNotAvailable => {
            "set an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them"
        }
        _ => "set another address",
    };
    anyhow!("{}", config.place(key).problem(format!("cannot listen on {address}: {error}; {remedy}")))
}

/// Adds a remedy to the error of a deployed generation. Another generation cannot be deployed instead, because the host
/// does not run.
fn with_remedy(error: anyhow::Error) -> anyhow::Error {
    use deploy::Error;
    match error.downcast_ref() {
        Some(Error::Damaged { .. } | Error::Missing { .. } | Error::Unknown(_)) => error.context(
            "the generation that was activated last cannot be served; put its files back, or take the last line out of \
             the file `active` in deploy.folder to serve the one before",
        ),
        _ => error,
    }
}

/// Starts a task that uses the reloader for as long as the process runs. Starts it again after a panic.
fn spawn<F: Future<Output: Send> + Send + 'static>(
    name: &'static str,
    reloader: &Arc<Reloader>,
    work: impl Fn(Arc<Reloader>) -> F + Send + 'static,
) {
    let reloader = reloader.clone();
    tokio::spawn(task::persist(name, move || work(reloader.clone())));
}

/// Reloads the application and the certificates on every SIGHUP.
async fn reload_when_hung_up(hangup: Arc<Mutex<Signal>>, certificates: AllCertificates, reloader: Arc<Reloader>) {
    let mut hangup = hangup.lock().await;
    while hangup.recv().await.is_some() {
        let served = reloader.live().generation();
        certificates.reload().await;
        log_change(&reloader.reload().await, &served);
    }
}
