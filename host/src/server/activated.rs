//! The sockets that systemd passes to the process (socket activation).

#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use rustix::fs::{FileType, fstat};

/// Whether the descriptors have an owner.
static ARE_TAKEN: AtomicBool = AtomicBool::new(false);

/// Returns the sockets that systemd has passed to this process. Only the first call returns them.
///
/// # Errors
///
/// Fails if the variables `LISTEN_PID` or `LISTEN_FDS` are malformed, or if a descriptor is not an open socket.
pub(super) fn take() -> io::Result<Vec<OwnedFd>> {
    if ARE_TAKEN.swap(true, Relaxed) {
        return Ok(Vec::new());
    }
    // `sd_notify` checks that the variables are for this process, and sets the flag FD_CLOEXEC of each descriptor, which
    // fails for one that is not open.
    let descriptors: Vec<RawFd> = sd_notify::listen_fds()?.collect();
    // If the variables are wrong, a descriptor may be a file of this process, such as that of its event loop. Closing it
    // would be fatal, so check all of them before any has an owner.
    for descriptor in &descriptors {
        // SAFETY: the descriptor is open, and the reference ends before any code can close it.
        let borrowed = unsafe { BorrowedFd::borrow_raw(*descriptor) };
        if !FileType::from_raw_mode(fstat(borrowed)?.st_mode).is_socket() {
            let message = format!("descriptor {descriptor} of LISTEN_FDS is not a socket");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
    }
    // SAFETY: systemd opens these sockets for this process, and no other code of the process uses them: `ARE_TAKEN` lets
    // one caller own them.
    Ok(descriptors.into_iter().map(|descriptor| unsafe { OwnedFd::from_raw_fd(descriptor) }).collect())
}
