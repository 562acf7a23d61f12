//! Threads for requests that use much processor time. Their priority is lower, so that the threads of other requests
//! run first.

use std::sync::OnceLock;

use rustix::{process::setpriority_process, thread::gettid};
use tokio::runtime::{Builder, Handle, Runtime};

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
