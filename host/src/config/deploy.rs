//! The settings of deployment, as values. What its keys are is written in `read/deploy.rs`; nothing here opens
//! anything.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

/// `[deploy]`
#[derive(Clone, PartialEq)]
pub struct Deploy {
    /// Where deployed generations are kept.
    pub folder: PathBuf,
    /// Where those who deploy are listened to; without it they are not.
    pub listen: Option<Listen>,
    /// What those who deploy must know. An address has one.
    pub token: Option<String>,
    /// Certificate and key, both PEM files. An address that others can reach has them.
    pub tls: Option<Tls>,
    /// The longest file that may be deployed, in bytes.
    pub max_upload: usize,
    /// How many generations before the active one are kept.
    pub keep: usize,
    /// What is deployed is shared with other hosts, in the main database, which is a server.
    pub shared: Option<Shared>,
}

/// How a host takes part in a fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct Shared {
    /// What it is called among the others.
    pub host: String,
    /// How often it looks for what the others have activated, when it hears of nothing.
    pub poll: Duration,
}

/// Where somebody listens.
#[derive(Debug, Clone, PartialEq)]
pub enum Listen {
    /// Address and port. Port 0 lets the system choose one.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// What a listener proves itself with.
#[derive(Debug, Clone, PartialEq)]
pub struct Tls {
    /// Certificates, the listener's own first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The generation that a configuration is part of.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployed {
    /// Its id.
    pub id: String,
    /// The file of the host that serves it.
    pub host: PathBuf,
}

/// Without the token.
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
