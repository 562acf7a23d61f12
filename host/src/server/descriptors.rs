//! The limit of open files and sockets of this process, and how connections, static files and databases share it.

use std::sync::LazyLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{self, Config, Dialect};

/// Descriptors reserved for the process itself, and for connections to the metrics and deployment listeners.
const RESERVED: usize = 64;
/// Maximum number of connections to the metrics listener. Also the maximum for the deployment listener.
pub(crate) const MAX_SIDE_CONNECTIONS: usize = 16;

/// The limit of this process (`RLIMIT_NOFILE`), raised to its hard limit on first use.
static LIMIT: LazyLock<usize> = LazyLock::new(|| {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            limit.current
        }
    };
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
});

fn limit() -> usize {
    *LIMIT
}

/// Returns the maximum number of static files that are open at a time. One HTTP/2 connection can have hundreds open.
pub(super) fn for_files() -> usize {
    (limit() / 8).max(4)
}

/// Returns the maximum number of connections to the application: `server.connections`, or fewer if the process has too
/// few descriptors.
pub(super) fn for_application(config: &Config) -> usize {
    let wanted = config.server.connections;
    let reserved =
        RESERVED + for_files() + config.all_databases().map(|(_, database)| for_database(database)).sum::<usize>();
    let found = limit().saturating_sub(reserved).max(1);
    if found < wanted {
        let limit = limit();
        tracing::warn!(
            limit,
            "server.connections is {found} and not {wanted}: raise the limit of open files (ulimit -n)"
        );
    }
    wanted.min(found)
}

fn for_database(database: &config::DatabaseConfig) -> usize {
    let connections = database.max_connections as usize + 1;
    match database.dialect {
        // The database file, its write-ahead log (`-wal`), and the index of that log (`-shm`).
        Dialect::Sqlite => 3 * connections,
        _ => (1 + database.replicas.len()) * connections,
    }
}
