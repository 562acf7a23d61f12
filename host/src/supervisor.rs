//! Notifications of the service manager by the protocol of systemd (`sd_notify`). Without the variable `NOTIFY_SOCKET`
//! the functions do nothing.

use std::{fmt::Write, io, time::Duration};

use sd_notify::NotifyState::{self, MonotonicUsec, Ready, Reloading, Status, Stopping, Watchdog};

use crate::config;

/// Notifies that the process serves a generation: after the start, and after each attempt to replace the generation.
pub(crate) fn ready(generation: &str) {
    notify(&[Ready, Status(&format!("serving generation {generation}"))]);
}

/// Notifies that an attempt to replace the generation begins. systemd requires the time for units of `Type=notify-reload`.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now @ MonotonicUsec(_)) => notify(&[Reloading, now]),
        _ => notify(&[Reloading]),
    }
}

/// Notifies that the shutdown has begun.
pub(crate) fn stopping() {
    notify(&[Stopping, Status("draining requests")]);
}

/// Sends signs of life for as long as this future is polled, if the service manager has a watchdog for this process.
/// If all threads of the runtime are blocked, the future is not polled.
pub(crate) async fn signs_of_life() {
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else { return };
    // systemd recommends half of the limit.
    let mut interval = tokio::time::interval((limit / 2).max(Duration::from_millis(1)));
    loop {
        interval.tick().await;
        notify(&[Watchdog]);
    }
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = send(state) {
        tracing::warn!(%error, ?state, "the service manager was not notified; check NOTIFY_SOCKET");
    }
}

/// Sends a message to the socket of the service manager. A name that begins with `@` is that of an abstract socket, which
/// `sd_notify` would take for a path.
fn send(state: &[NotifyState<'_>]) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if let Some(name) = config::abstract_notify_socket() {
        use std::os::{
            linux::net::SocketAddrExt,
            unix::net::{SocketAddr, UnixDatagram},
        };
        let mut message = String::new();
        for line in state {
            writeln!(message, "{line}").map_err(io::Error::other)?;
        }
        let socket = UnixDatagram::unbound()?;
        return socket.send_to_addr(message.as_bytes(), &SocketAddr::from_abstract_name(name)?).map(drop);
    }
    sd_notify::notify(state)
}
