//! Proxies in front of the application.

use ipnet::IpNet;
use serde_json::json;

use super::{types::Type, value::read_network};

/// A proxy that the host trusts to describe its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustedProxy {
    /// Proxies with addresses in this network.
    Network(IpNet),
    /// Proxies that connect to a Unix socket.
    Unix,
}

/// Headers in which proxies describe the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeaders {
    /// `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl ProxyHeaders {
    /// All values.
    pub const ALL: [ProxyHeaders; 2] = [ProxyHeaders::XForwarded, ProxyHeaders::Forwarded];

    /// Returns the name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            ProxyHeaders::XForwarded => "x-forwarded",
            ProxyHeaders::Forwarded => "forwarded",
        }
    }
}

/// Type of a trusted proxy.
pub(super) fn proxy() -> Type<'static, TrustedProxy> {
    const UNIX: &str = "unix";
    let schema = json!({ "type": "string", "pattern": "^unix$|^[0-9A-Fa-f.:]+(/[0-9]+)?$" });
    Type::new("network or `\"unix\"`", schema, move |value| match value.as_text() {
        Some(UNIX) => Ok(TrustedProxy::Unix),
        _ => read_network(value).map(TrustedProxy::Network),
    })
}
