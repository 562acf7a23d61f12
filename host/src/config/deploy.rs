//! The settings of `[deploy]` as values. `read/deploy.rs` reads them; this module opens no file or address.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

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

/// Address of a listener.
#[derive(Debug, Clone, PartialEq)]
pub enum Listen {
    /// Address and port. With port 0, the system chooses one.
    Tcp(SocketAddr),
    /// Path of a Unix socket.
    Unix(PathBuf),
}

/// Certificate and key of a TLS listener, as PEM files.
#[derive(Debug, Clone, PartialEq)]
pub struct Tls {
    /// The certificate chain, the listener's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
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
