//! `carya serve`: from a configuration to a server, and what signals ask of it.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Instant};

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::load_all;
use crate::{
    app,
    config::Config,
    generation::Generation,
    reload::{self, Reloader, Tell},
    server::{Live, Server},
    telemetry::Format,
    watch,
};

/// Who hears of what is served, where the files are watched.
pub(super) struct Audience {
    /// The first generation is served on an address.
    pub(super) begun: fn(SocketAddr, &Generation),
    /// Another one is, or why none.
    pub(super) changed: Tell,
}

/// Serves until a signal asks to end.
pub(super) async fn serve(path: &Path, format: Format, watch: bool) -> anyhow::Result<()> {
    let config = load_all(path, format).await?;
    run(path, config, watch.then_some(Audience { begun: |_, _| (), changed: reload::tell })).await
}

/// Serves a configuration that was read from `path`. Where there is somebody to tell of changes, the files are watched.
pub(super) async fn run(path: &Path, config: Config, audience: Option<Audience>) -> anyhow::Result<()> {
    let started = Instant::now();
    let engine = app::engine(&config)?;
    let assembled = app::assemble(config.clone(), engine.clone(), None)?;
    let live = Live::new(app::prepare(assembled, None).await?);
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
    let reloader = Arc::new(Reloader::new(path, engine, live));
    tokio::spawn(reload_when_hung_up(hangup, reloader.clone()));
    if let Some(Audience { begun, changed }) = audience {
        begun(address, &reloader.live().generation());
        tokio::spawn(async move {
            let Err(error) = watch::run(reloader, changed).await;
            tracing::error!(%error, "the files cannot be watched any more; send SIGHUP to reload");
        });
    }
    server.serve(async || signals.next().await).await;
    Ok(())
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
