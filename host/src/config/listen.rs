//! Addresses of listeners.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{
    section::Section,
    tree::Value,
    types::Type,
    value::{address, integer, read_address, read_text, string_like},
};

/// Address of a listener.
#[derive(Debug, Clone, PartialEq)]
pub enum Listen {
    /// Address and port. With port 0, the system chooses one.
    Tcp(SocketAddr),
    /// Path of a Unix socket.
    Unix(PathBuf),
}

/// Sockets of the application.
#[derive(Debug, Clone, PartialEq)]
pub enum Sockets {
    /// The host binds one.
    Own(Listen),
    /// systemd has bound them, and passes them to the host (socket activation).
    Systemd,
}

/// A listener that redirects plain HTTP to TLS.
#[derive(Debug, Clone, PartialEq)]
pub struct Redirect {
    /// Address and port. With port 0, the system chooses one.
    pub listen: SocketAddr,
    /// Port in the target. `None`: that of `server.listen`.
    pub port: Option<u16>,
}

/// Value for sockets that systemd passes.
const SYSTEMD: &str = "systemd";
/// Scheme of the path of a Unix socket.
const UNIX: &str = "unix:";

impl Sockets {
    /// Returns the configured port, which may be 0, or `None` for sockets without one.
    pub fn port(&self) -> Option<u16> {
        match self {
            Sockets::Own(Listen::Tcp(address)) => Some(address.port()),
            _ => None,
        }
    }
}

impl From<SocketAddr> for Sockets {
    fn from(address: SocketAddr) -> Self {
        Sockets::Own(Listen::Tcp(address))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => address.fmt(f),
            Listen::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl fmt::Display for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sockets::Own(listen) => listen.fmt(f),
            Sockets::Systemd => f.write_str(SYSTEMD),
        }
    }
}

/// Type of `"127.0.0.1:9091"` or `"unix:/run/carya/admin.sock"`.
pub(super) fn listen(folder: &Path) -> Type<'_, Listen> {
    let schema = json!({ "type": "string", "pattern": "^unix:.|:[0-9]+$" });
    Type::new("address or `\"unix:PATH\"`", schema, |value| read_listen(value, folder, "/run/carya/admin.sock"))
}

/// Type of `"127.0.0.1:8080"`, `"unix:/run/carya.sock"` or `"systemd"`.
pub(super) fn sockets(folder: &Path) -> Type<'_, Sockets> {
    let schema = json!({ "type": "string", "pattern": "^systemd$|^unix:.|:[0-9]+$" });
    Type::new("address, `\"unix:PATH\"` or `\"systemd\"`", schema, |value| match value.as_text() {
        Some(SYSTEMD) => Ok(Sockets::Systemd),
        _ => read_listen(value, folder, "/run/carya.sock").map(Sockets::Own),
    })
}

fn read_listen(value: &Value, folder: &Path, example: &str) -> Result<Listen, String> {
    match value.as_text().and_then(|text| text.strip_prefix(UNIX)) {
        Some("") => Err(format!("has no path; write it as \"{UNIX}{example}\"")),
        Some(path) => Ok(Listen::Unix(folder.join(path))),
        None => {
            let address = read_address(value).map(Listen::Tcp);
            address.map_err(|error| format!("{error} or \"{UNIX}{example}\""))
        }
    }
}

/// Type of the mode of a file, as octal text.
pub(super) fn mode() -> Type<'static, u32> {
    Type::new("mode, such as `\"0660\"`", string_like("^0?[0-7]{3}$"), |value| {
        let text = read_text(value)?;
        let is_mode = matches!(text.len(), 3 | 4) && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
        let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| is_mode && *mode <= 0o777);
        mode.ok_or_else(|| r#"is not a mode of three octal digits; write it as "0660""#.to_owned())
    })
}

/// Reads the listener that redirects. Its keys are in `[server]`.
pub(super) fn redirect(section: &mut Section<'_>) -> Option<Redirect> {
    let listen = section
        .key(
            "redirect",
            address(),
            "address of plain HTTP that redirects to `https`; see [TLS](../guides/tls.md#redirect)",
        )
        .or_none("none");
    let port = section
        .key("redirect_port", integer(1..=65_535), "port of the `https` URL")
        .or_none("that of `listen`, or 443 if it has none");
    let has_tls = section.is_set("tls_cert") || section.is_set("acme");
    if listen.is_some() && !has_tls && !section.context().describes {
        section.report_at("redirect", "requires tls_cert and tls_key, or acme: `listen` serves no `https`");
    }
    listen.map(|listen| Redirect { listen, port })
}
