//! How many files and sockets the process may have open, and who may have how many of them.

use std::sync::LazyLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{self, Config, Dialect};

/// Descriptors that nobody else gets: those of the program itself, and the connections of the listeners for metrics and
/// for deployment.
const RESERVED: usize = 64;
/// Connections that a listener beside the application's may have.
pub const BESIDE: usize = 16;

/// The limit of this process, once it is as high as the system lets it be.
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

/// Raises the limit of open files as far as the system lets it be raised, and returns it.
fn limit() -> usize {
    *LIMIT
}

/// How many files may be open to be sent to clients. There may be several for each connection.
pub(super) fn for_files() -> usize {
    (limit() / 8).max(4)
}

/// How many connections the application may have: as many as the configuration says, while the descriptors reach.
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
