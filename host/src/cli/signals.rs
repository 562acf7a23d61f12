//! Signals, from the first moment of `serve` and `dev`. A process that runs as PID 1, as in a container, has no default
//! action for them: what is not handled is lost.

use std::{future::Future, io, pin::pin};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// All signals that this program handles. One that arrives before it is waited for is kept.
pub(super) struct Signals {
    pub(super) end: End,
    /// SIGHUP: reload.
    pub(super) hangup: Signal,
}

/// The signals that ask the process to end.
pub(super) struct End {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        let end = End { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? };
        Ok(Self { end, hangup: signal(SignalKind::hangup())? })
    }

    /// Does a step of the start; `None` if the process is asked to end meanwhile, which drops the step.
    pub(super) async fn unless_ended<T>(
        &mut self,
        step: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<Option<T>> {
        tokio::select! {
            biased;
            () = self.end.asked() => {
                tracing::info!("asked to end before the start was complete");
                Ok(None)
            }
            done = step => done.map(Some),
        }
    }

    /// Does a step of the start that must not be cut in two, as migrations are. Asked to end meanwhile, the process ends
    /// after it; asked twice, at once.
    pub(super) async fn unless_ended_after<T>(
        &mut self,
        step: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<Option<T>> {
        let mut step = pin!(step);
        tokio::select! {
            biased;
            () = self.end.asked() => {}
            done = &mut step => return done.map(Some),
        }
        tracing::info!("asked to end: waiting for the databases; a second signal ends the process at once");
        tokio::select! {
            biased;
            () = self.end.asked() => Ok(None),
            done = step => done.map(|_| None),
        }
    }
}

impl End {
    /// Resolves once the process is asked to end, every time anew.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
