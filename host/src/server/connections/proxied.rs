//! The PROXY protocol, by which a proxy names the client at the beginning of a connection.

use std::io;

use proxy_header::{Error, ParseConfig, ProxyHeader};
use rustix::net::RecvFlags;
use tokio::{
    io::{AsyncRead, AsyncReadExt, Interest},
    net::{TcpStream, UnixStream},
};

use crate::message::Peer;

/// Maximum length of a header, in bytes. One of version 1 has at most 107 bytes; one of version 2 can have certificates.
const MAX_HEADER: usize = 4096;

/// A socket that can copy the next bytes without taking them.
pub(crate) trait Peek {
    /// Waits until bytes have arrived, and copies them. Returns their number, or 0 at the end.
    fn peek(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;
}

impl Peek for TcpStream {
    async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        TcpStream::peek(self, buffer).await
    }
}

impl Peek for UnixStream {
    async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.async_io(Interest::READABLE, || rustix::net::recv(self, &mut *buffer, RecvFlags::PEEK).map_err(Into::into))
            .await
            .map(|(_, length)| length)
    }
}

/// Reads the header of a connection from the proxy `peer`, and nothing after it. Returns the client.
///
/// # Errors
///
/// Returns [`io::ErrorKind::InvalidData`] if the connection begins with anything else, or if the header is too long.
pub(super) async fn receive(stream: &mut (impl Peek + AsyncRead + Unpin), peer: Peer) -> io::Result<Peer> {
    let (mut buffer, mut length) = ([0; MAX_HEADER], 0);
    loop {
        // The bytes after the header belong to TLS or HTTP, so they are not taken from the socket.
        let arrived = stream.peek(&mut buffer[length..]).await?;
        if arrived == 0 {
            let kind = if length == MAX_HEADER { io::ErrorKind::InvalidData } else { io::ErrorKind::UnexpectedEof };
            return Err(kind.into());
        }
        match ProxyHeader::parse(&buffer[..length + arrived], ParseConfig::default()) {
            Ok((header, end)) => {
                let client = match header.proxied_address() {
                    Some(address) => Peer {
                        address: Some(address.source.ip().to_canonical()),
                        is_encrypted: header.ssl().is_some_and(|tls| tls.client_ssl()),
                    },
                    // A connection of the proxy itself, such as a health check, or one of another kind of address.
                    None => peer,
                };
                // `parse` succeeds with the last byte of the header, so that byte is among those that have arrived.
                stream.read_exact(&mut buffer[length..end]).await?;
                return Ok(client);
            }
            Err(Error::BufferTooShort) => {
                stream.read_exact(&mut buffer[length..length + arrived]).await?;
                length += arrived;
            }
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}
