//! Notifications of the service manager by the protocol of systemd (`sd_notify`). Without the variable `NOTIFY_SOCKET`
//! the functions do nothing.

use std::time::Duration;

use sd_notify::NotifyState::{self, MonotonicUsec, Ready, Reloading, Status, Stopping, Watchdog};

/// Notifies that the process serves a generation: after the start, and after each reload by SIGHUP.
pub(super) fn ready(generation: &str) {
    notify(&[Ready, Status(&format!("serving generation {generation}"))]);
}

/// Notifies that a reload begins. systemd requires the time for units of `Type=notify-reload`.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now @ MonotonicUsec(_)) => notify(&[Reloading, now]),
        _ => notify(&[Reloading]),
    }
}

/// Notifies that the shutdown has begun.
pub(super) fn stopping() {
    notify(&[Stopping, Status("draining requests")]);
}

/// Sends signs of life for as long as this future is polled, if the service manager has a watchdog for this process.
/// If all threads of the runtime are blocked, the future is not polled.
pub(super) async fn signs_of_life() {
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else { return };
    // systemd recommends half of the limit.
    let mut interval = tokio::time::interval((limit / 2).max(Duration::from_millis(1)));
    loop {
        interval.tick().await;
        notify(&[Watchdog]);
    }
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, ?state, "the service manager was not notified; check NOTIFY_SOCKET");
    }
}
