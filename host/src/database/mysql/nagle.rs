//! Turns off Nagle's algorithm on connections to MySQL and MariaDB.
//!
//! The driver keeps 100 prepared statements. For each further one it closes another, by a message that the server does
//! not answer. With Nagle's algorithm the next message waits for the acknowledgement of this one, which the server delays
//! by 40 ms. The driver neither sets `TCP_NODELAY` nor lends its socket, so this module sets the option on the
//! descriptors of the process.
//!
//! This module uses `unsafe` for a system call on descriptors that it does not own.

#![allow(unsafe_code)]

use std::{ffi::c_int, fs, io, os::fd::RawFd};

/// Sets `TCP_NODELAY` on all TCP sockets of this process. All of its other sockets have the option already. Blocks for
/// about a microsecond per open file.
pub(super) fn disable() -> io::Result<()> {
    let on: c_int = 1;
    for entry in fs::read_dir("/proc/self/fd")? {
        let Some(file) = entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()) else { continue };
        // SAFETY: the kernel reads `size_of::<c_int>()` bytes at `on`, which outlives the call. It returns an error if
        // `file` is no TCP socket. If another thread closes or reuses `file` meanwhile, the call fails, or sets an
        // option that all TCP sockets of the process have.
        unsafe {
            libc::setsockopt(
                file,
                libc::IPPROTO_TCP,
                libc::TCP_NODELAY,
                (&raw const on).cast(),
                size_of::<c_int>() as libc::socklen_t,
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn sockets_of_the_process_send_at_once() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let stream = TcpStream::connect(listener.local_addr()?)?;
        assert!(!stream.nodelay()?);
        disable()?;
        assert!(stream.nodelay()?);
        Ok(())
    }
}
