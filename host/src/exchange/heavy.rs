//! Threads for requests that use much processor time. Their priority is lower, so that the threads of other requests
//! run first.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use rustix::{process::setpriority_process, thread::gettid};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::Semaphore,
};
use tokio_util::sync::PollSemaphore;

/// Nice value of the threads.
const NICE: i32 = 10;

/// Returns the runtime, which has as many threads as the machine has cores. The first call starts the threads. Returns
/// `None` if that fails.
pub(super) fn runtime() -> Option<&'static Handle> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    let start = || {
        let built = Builder::new_multi_thread()
            .thread_name("carya-heavy")
            .on_thread_start(|| {
                if let Err(error) = setpriority_process(Some(gettid()), NICE) {
                    tracing::debug!(%error, "the priority of a thread could not be lowered");
                }
            })
            .enable_all()
            .build();
        built.inspect_err(|error| tracing::error!(%error, "the threads for long calls could not be started")).ok()
    };
    RUNTIME.get_or_init(start).as_ref().map(Runtime::handle)
}

/// Work that needs a permit for each of its polls, so that the components take turns, however many calls each has. The
/// work releases the permit after each poll: between two polls it may hold row locks that other work waits for.
pub(super) struct InTurn<F> {
    work: Pin<Box<F>>,
    turns: PollSemaphore,
}

impl<F> InTurn<F> {
    pub(super) fn new(work: Pin<Box<F>>, turns: Arc<Semaphore>) -> Self {
        Self { work, turns: PollSemaphore::new(turns) }
    }
}

impl<F: Future> Future for InTurn<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // The semaphore is never closed, so there is always a permit.
        let _permit = ready!(self.turns.poll_acquire(context));
        self.work.as_mut().poll(context)
    }
}
