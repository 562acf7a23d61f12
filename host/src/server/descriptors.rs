//! The limit of open files and sockets, and its shares.

use std::sync::LazyLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{self, Config, Dialect};

/// Descriptors for the program itself, and for the connections of the listeners for metrics and deployment.
const RESERVED: usize = 64;
/// Maximum number of connections of the listeners for metrics and deployment.
pub const BESIDE: usize = 16;

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

/// The limit of this process.
fn limit() -> usize {
    *LIMIT
}

/// Maximum number of static files that are open at a time. An HTTP/2 connection can have hundreds open.
pub(super) fn for_files() -> usize {
    (limit() / 8).max(4)
}

/// Maximum number of connections to the application: `server.connections`, or fewer where descriptors are short.
pub(super) fn for_application(config: &Config) -> usize {
    let wanted = config.server.connections;
    let spoken_for =
        RESERVED + for_files() + config.all_databases().map(|(_, database)| for_database(database)).sum::<usize>();
    let found = limit().saturating_sub(spoken_for).max(1);
    if found < wanted {
        let limit = limit();
        tracing::warn!(
            limit,
            "server.connections is {found} and not {wanted}: raise the limit of open files (ulimit -n)"
        );
    }
    wanted.min(found)
}

fn for_database(database: &config::Database) -> usize {
    let connections = database.max_connections as usize + 1;
    match database.dialect {
        // The file, its log, and the log's index.
        Dialect::Sqlite => 3 * connections,
        _ => (1 + database.replicas.len()) * connections,
    }
}
