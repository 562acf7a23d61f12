//! `[deploy]`.

use std::{fmt, path::PathBuf, time::Duration};

use serde_json::json;

use super::{
    dialect::Dialect,
    listen::{Listen, listen},
    mask,
    quantity::{duration_schema, read_positive_duration, size},
    section::{Section, TableKey},
    server::Server,
    tls::Tls,
    types::Type,
    value::{boolean, integer, path, read_text},
};

/// `[deploy]`: the store of deployed generations and the admin API.
#[derive(Clone, PartialEq)]
pub struct Deploy {
    /// The folder of the deployed generations.
    pub folder: PathBuf,
    /// Listen address of the admin API. Without it, the host accepts no deployments.
    pub listen: Option<Listen>,
    /// Bearer token. Required for TCP listeners.
    pub token: Option<String>,
    /// Certificate and key. Required for TCP listeners on other addresses than loopback.
    pub tls: Option<Tls>,
    /// Maximum size of a deployed file, in bytes.
    pub max_upload: usize,
    /// How many generations before the active one are kept.
    pub keep: usize,
    /// Settings of the fleet, which shares generations in the default database. It must be PostgreSQL or MySQL.
    pub shared: Option<Shared>,
}

/// How a host takes part in a fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct Shared {
    /// Name of the host, unique in the fleet.
    pub host: String,
    /// How often the host queries the database for activations of other hosts, if it receives no notification.
    pub poll: Duration,
}

/// The deployed generation that a configuration belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployed {
    /// Id of the generation.
    pub id: String,
    /// The host's own configuration file.
    pub host: PathBuf,
}

/// Leaves out the token.
impl fmt::Debug for Deploy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { folder, listen, token, tls, max_upload, keep, shared } = self;
        let token = token.as_ref().map(|_| "..");
        f.debug_struct("Deploy")
            .field("folder", folder)
            .field("listen", listen)
            .field("token", &token)
            .field("tls", tls)
            .field("max_upload", max_upload)
            .field("keep", keep)
            .field("shared", shared)
            .finish()
    }
}

pub(super) const DEPLOY: TableKey = TableKey { name: "deploy", doc: "deployments to this host" };

/// Minimum length of a token, in bytes. Shorter ones can be guessed.
const MIN_TOKEN: usize = 16;

/// Maximum of `poll`.
const MAX_POLL: Duration = Duration::from_secs(10 * 60);

/// Reads `[deploy]`. `dialect` is that of the default database, if there is one.
pub(super) fn deploy(section: &mut Section<'_>, server: &Server, dialect: Option<Dialect>) -> Deploy {
    let folder = section.context().folder;
    let listen = section.key("listen", listen(folder), "the [deployment API](deployment-api.md)").or_none("not served");
    let token = section.key("token", token(), "bearer token; required for a TCP listener").or_none("none");
    let cert = section
        .key(
            "tls_cert",
            path(folder),
            "PEM file with the certificate; required for an address that is not loopback, refused for a socket",
        )
        .required_with("tls_key");
    let key = section.key("tls_key", path(folder), "PEM file with the private key").required_with("tls_cert");
    let is_plain = cert.is_none() && key.is_none();
    let tls = cert.zip(key).map(|(cert, key)| Tls { cert, key });
    match &listen {
        Some(Listen::Tcp(_)) if !section.is_set("token") => {
            section.report("token", r#"is missing, but required for a TCP listener; write token = "${NAME}""#);
        }
        Some(Listen::Unix(_)) if tls.is_some() => {
            section.report("tls_cert", "is for addresses; a Unix socket needs no TLS");
        }
        _ => {}
    }
    if let Some(Listen::Tcp(address)) = &listen
        && !address.ip().is_loopback()
        && is_plain
    {
        let message =
            format!("{address} is reachable from other machines; set tls_cert and tls_key, or listen on 127.0.0.1");
        section.report("listen", message);
    }
    Deploy {
        folder: section
            .key("folder", path(folder), "deployed generations; each host needs a folder of its own")
            .or("deployed"),
        listen,
        token,
        tls,
        max_upload: section.key("max_upload", size(), "longest file").or("256MiB"),
        keep: section.key("keep", integer(1..=1000), "generations before the active one that are kept").or(10),
        shared: shared(section, server, dialect),
    }
}

fn shared(section: &mut Section<'_>, server: &Server, dialect: Option<Dialect>) -> Option<Shared> {
    let is_shared = section
        .key(
            "shared",
            boolean(),
            "share deployments with further hosts, through a `[database]` on a server; see \
             [Run several hosts](../guides/fleet.md)",
        )
        .or(false);
    let poll = section
        .key("poll", poll(), "interval of queries for activations of other hosts, besides notifications")
        .or("5s");
    let host = section
        .key(
            "host",
            host(),
            "name of this host in its fleet; required if `listen` of `[server]` is no address, or has port 0",
        )
        .or_none("machine name and `server.listen`");
    if !is_shared {
        return None;
    }
    if !matches!(dialect, Some(Dialect::Postgres | Dialect::MySql)) {
        section.report_at(
            "shared",
            "requires a default database on a server; set database.url to postgres:// or mysql://, or remove this key if \
             there is one host only",
        );
    }
    let host = host.unwrap_or_else(|| {
        let machine = hostname::get().unwrap_or_default().to_string_lossy().into_owned();
        if machine.is_empty() || server.listen.port().unwrap_or_default() == 0 {
            section.report_at(
                "shared",
                "requires deploy.host, because the machine has no name, or server.listen is no address or has port 0",
            );
        }
        // The listen address tells apart the hosts on one machine.
        format!("{machine}/{}", server.listen)
    });
    Some(Shared { host, poll })
}

fn poll() -> Type<'static, Duration> {
    Type::new("duration > 0, at most `\"10m\"`", duration_schema(), |value| {
        let poll = read_positive_duration(value)?;
        if poll <= MAX_POLL { Ok(poll) } else { Err("is longer than \"10m\"".to_owned()) }
    })
}

fn host() -> Type<'static, String> {
    let schema = json!({ "type": "string", "minLength": 1, "maxLength": 200 });
    Type::new("text, 1 to 200 bytes", schema, |value| {
        let host = read_text(value)?;
        let is_name = (1..=200).contains(&host.len()) && !host.chars().any(char::is_control);
        let refusal = "must have 1 to 200 bytes and no control characters";
        if is_name { Ok(host) } else { Err(refusal.to_owned()) }
    })
}

fn token() -> Type<'static, String> {
    let schema = json!({ "type": "string", "pattern": format!("^[!-~]{{{MIN_TOKEN},}}$") });
    Type::secret("text, at least 16 visible ASCII characters", schema, mask::hidden, |value| {
        let token = read_text(value)?;
        if token.len() < MIN_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "must have at least {MIN_TOKEN} visible ASCII characters and no spaces; `openssl rand -hex 32` makes a token"
            ));
        }
        Ok(token)
    })
}
