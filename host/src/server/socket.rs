//! Binds the sockets of listeners, or takes those that systemd passes.

use std::{
    fs, io,
    net::IpAddr,
    os::{
        fd::OwnedFd,
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use socket2::{Domain, Type};
use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::{activated, connections::Accept};
use crate::config::{Listen, Sockets};

/// Maximum number of connections of a Unix socket that wait to be accepted.
const BACKLOG: u32 = 1024;

/// A bound socket.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(LocalSocket),
}

/// A bound Unix socket. If the host has made its file, the file is removed with this value.
#[derive(Debug)]
pub(crate) struct LocalSocket {
    listener: UnixListener,
    _file: Option<SocketFile>,
}

#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode number.
    id: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The next process may have replaced the file already.
        if fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Binds the socket of the application, or takes those that systemd passes. `mode` is that of the file of a Unix socket.
///
/// # Errors
///
/// Returns the error of the system, or [`io::ErrorKind::NotFound`] if systemd has passed no socket.
pub(super) async fn bind(sockets: &Sockets, mode: u32) -> io::Result<Vec<Socket>> {
    match sockets {
        Sockets::Own(Listen::Tcp(address)) => Ok(vec![Socket::Tcp(TcpListener::bind(address).await?)]),
        Sockets::Own(Listen::Unix(path)) => Ok(vec![Socket::Unix(LocalSocket::bind(path, mode)?)]),
        Sockets::Systemd => {
            let passed = activated::take()?;
            if passed.is_empty() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "systemd has passed no socket (LISTEN_FDS)"));
            }
            passed.into_iter().map(adopt).collect()
        }
    }
}

/// Takes a socket that another process has bound.
fn adopt(descriptor: OwnedFd) -> io::Result<Socket> {
    let socket = socket2::Socket::from(descriptor);
    socket.set_nonblocking(true)?;
    let domain = socket.local_addr()?.domain();
    let is_stream = socket.r#type()? == Type::STREAM;
    match domain {
        Domain::IPV4 | Domain::IPV6 if is_stream => Ok(Socket::Tcp(TcpListener::from_std(socket.into())?)),
        Domain::UNIX if is_stream => {
            Ok(Socket::Unix(LocalSocket { listener: UnixListener::from_std(socket.into())?, _file: None }))
        }
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "systemd has passed a socket that is neither TCP nor a Unix stream socket",
        )),
    }
}

impl LocalSocket {
    /// Binds a socket. Its file gets this mode. Replaces the file of a socket on which no process listens any more.
    ///
    /// # Errors
    ///
    /// Returns [`io::ErrorKind::AddrInUse`] if another process listens on the socket, and
    /// [`io::ErrorKind::AlreadyExists`] if the path is that of another kind of file.
    pub(crate) fn bind(path: &Path, mode: u32) -> io::Result<Self> {
        remove_stale(path)?;
        let socket = tokio::net::UnixSocket::new_stream()?;
        socket.bind(path)?;
        let metadata = fs::symlink_metadata(path)?;
        let file = SocketFile { path: path.to_owned(), id: (metadata.dev(), metadata.ino()) };
        // The socket accepts no connections before `listen`, so the mode applies to the first one.
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        Ok(Self { listener: socket.listen(BACKLOG)?, _file: Some(file) })
    }

    /// Returns the path of the socket.
    pub(crate) fn address(&self) -> io::Result<Listen> {
        let address = self.listener.local_addr()?;
        Ok(Listen::Unix(address.as_pathname().unwrap_or(Path::new("")).to_owned()))
    }
}

impl Accept for LocalSocket {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Option<IpAddr>)> {
        Ok((self.listener.accept().await?.0, None))
    }
}

/// Removes the file of a socket on which no process listens any more, if it exists.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file if !file.as_ref().is_ok_and(|file| file.file_type().is_socket()) => {
            file?;
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file exists and is not a socket"));
        }
        _ => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}
