//! Signals, from the beginning of `serve` and `dev`. For PID 1, as in a container, the kernel has no default action: a
//! signal without a handler is lost.

use std::{future::Future, io, pin::pin};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that this program handles. A signal that arrives before the program waits for it is not lost.
pub(super) struct Signals {
    pub(super) end: End,
    /// SIGHUP: reload.
    pub(super) hangup: Signal,
}

/// SIGINT and SIGTERM: end the process.
pub(super) struct End {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        let end = End { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? };
        Ok(Self { end, hangup: signal(SignalKind::hangup())? })
    }

    /// Runs a step of the start. If a signal requests the end meanwhile, drops the step and returns `None`.
    pub(super) async fn unless_ended<T>(
        &mut self,
        step: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<Option<T>> {
        tokio::select! {
            biased;
            () = self.end.requested() => {
                tracing::info!("a signal ends the start before it is complete");
                Ok(None)
            }
            done = step => done.map(Some),
        }
    }

    /// Runs a step of the start that must not be interrupted, such as migrations. If a signal requests the end
    /// meanwhile, returns `None` after the step; at a second signal, drops the step and returns `None` at once.
    pub(super) async fn unless_ended_after<T>(
        &mut self,
        step: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<Option<T>> {
        let mut step = pin!(step);
        tokio::select! {
            biased;
            () = self.end.requested() => {}
            done = &mut step => return done.map(Some),
        }
        tracing::info!(
            "a signal requests the end: waiting for the databases; a second signal ends the process at once"
        );
        tokio::select! {
            biased;
            () = self.end.requested() => Ok(None),
            done = step => done.map(|_| None),
        }
    }
}

impl End {
    /// Resolves when the next signal requests the end.
    pub(super) async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
