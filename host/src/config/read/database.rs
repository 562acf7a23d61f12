//! The format of `[database]` and of the `[database.NAME]` beside its keys: which keys there are, on which product, and
//! their defaults. What a URL may look like is known to `url.rs`.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::{
    super::{
        Config, Database, Dialect, MAIN,
        problem::suggest,
        quantity::{duration, positive_duration, size},
        section::{Entry, Section},
        tree::Value,
        url,
        value::{boolean, integer, path, text},
    },
    MIB, added_by_variable, check_name,
};

/// Keys that only servers have, and why a file has not.
const SERVER_KEYS: [(&str, &str); 8] = [
    ("allow_functions", "is for PostgreSQL, which has extensions"),
    ("reader_url", "is for servers; an SQLite file has no logins"),
    ("admin_url", "is for servers; an SQLite file has no logins"),
    ("replicas", NO_REPLICAS),
    ("replica_wait", NO_REPLICAS),
    ("replica_max_lag", NO_REPLICAS),
    ("replica_check", NO_REPLICAS),
    ("lock_timeout", "is for servers; an SQLite file has `busy_timeout`"),
];
const NO_REPLICAS: &str = "is for servers; an SQLite file has no replicas";

/// The default database, and those with names.
type Databases = (Option<Database>, BTreeMap<String, Database>);

/// All of them, but for what the host says of its own.
pub(super) fn all(section: &mut Section<'_>, host: Option<&Config>) -> Databases {
    let hosts = |name: &str| host.and_then(|host| host.all_databases().find(|(other, _)| *other == name));
    let default = (!section.has_only_tables() && hosts(MAIN).is_none()).then(|| {
        section.refuse("migrations", "is for databases with a name; for this one write it in [model]");
        database(section, host.is_some())
    });
    let tables = section.tables();
    let names: Vec<String> =
        tables.iter().filter(|(_, entry)| !added_by_variable(entry)).map(|(name, _)| name.clone()).collect();
    let named = tables.into_iter().filter_map(|(name, entry)| {
        let database = match hosts(&name) {
            Some((_, database)) => Database { migrations: entry.table(migrations)?, ..database.clone() },
            None => with_name(&name, entry, &names, host.is_some())?,
        };
        Some((name, database))
    });
    let named = named.collect();
    if hosts(MAIN).is_some() {
        section.ignore_rest();
    }
    (default, named)
}

/// The databases of an application, and those of its host: what they are is the host's to say, and their migrations
/// are the application's.
pub(super) fn with_those_of(host: Option<&Config>, (default, mut named): Databases) -> Databases {
    let Some(host) = host else { return (default, named) };
    for (name, database) in &host.databases {
        named.entry(name.clone()).or_insert_with(|| Database { migrations: None, ..database.clone() });
    }
    (host.database.clone().or(default), named)
}

/// The migrations of a database, whose other keys do not count.
pub(super) fn migrations(section: &mut Section<'_>) -> Option<PathBuf> {
    let migrations = section.take("migrations", path(section.context().folder));
    section.ignore_rest();
    migrations
}

fn with_name(name: &str, entry: Entry<'_>, names: &[String], is_deployed: bool) -> Option<Database> {
    if added_by_variable(&entry) {
        let end = suggest(name, names.iter().map(String::as_str));
        entry.report(format!("is not a database of the file; {end}"));
        return None;
    }
    check_name(name, &entry);
    if name == MAIN {
        entry.report("is how [database] itself is called; choose another name, or write the keys in [database]");
    }
    entry.table(|section| {
        let migrations = section.take("migrations", path(section.context().folder));
        Database { migrations, ..database(section, is_deployed) }
    })
}

/// `is_deployed`: in the file of a deployed application, which may not widen what its guests may do on a server.
fn database(section: &mut Section<'_>, is_deployed: bool) -> Database {
    if is_deployed {
        section.refuse("allow_functions", "counts in the host's file only");
    }
    let folder = section.context().home;
    let url = section.needed("url").and_then(|url| url.read_secret(url::database(folder)));
    let dialect = url.as_ref().map(|(dialect, _)| *dialect);
    // Where the product is not known, all keys are read, so that what else is wrong is told too.
    match dialect {
        Some(Dialect::Sqlite) => SERVER_KEYS.iter().for_each(|(key, message)| section.refuse(key, message)),
        Some(dialect) => {
            section.refuse("busy_timeout", "is for SQLite files; a server has `lock_timeout`");
            section.refuse("max_memory", "is for SQLite files; a server limits memory in its own configuration");
            if dialect == Dialect::MySql {
                section.refuse("allow_functions", "is for PostgreSQL, which has extensions");
            }
        }
        None => {}
    }
    let another = |url: &Entry<'_>| url.read_secret(url::another(dialect, folder));
    let (dialect, url) = url.unwrap_or((Dialect::Sqlite, String::new()));
    let database = Database {
        url,
        dialect,
        reader_url: section.entry("reader_url").as_ref().and_then(another),
        admin_url: section.entry("admin_url").as_ref().and_then(another),
        replicas: section.secret_items("replicas").iter().filter_map(another).collect(),
        replica_wait: section.take("replica_wait", duration).unwrap_or(Duration::from_millis(100)),
        replica_max_lag: section.take("replica_max_lag", duration).unwrap_or(Duration::from_secs(10)),
        replica_check: section.take("replica_check", positive_duration).unwrap_or(Duration::from_secs(1)),
        max_connections: section.take("max_connections", integer(1..=1000)).unwrap_or(4),
        max_lifetime: section.take("max_lifetime", positive_duration).unwrap_or(Duration::from_secs(30 * 60)),
        acquire_timeout: section.take("acquire_timeout", positive_duration).unwrap_or(Duration::from_secs(3)),
        statement_timeout: section.take("statement_timeout", positive_duration).unwrap_or(Duration::from_secs(2)),
        lock_timeout: section.take("lock_timeout", positive_duration).unwrap_or(Duration::from_secs(1)),
        busy_timeout: section.take("busy_timeout", duration).unwrap_or(Duration::from_secs(1)),
        allow_functions: section.list("allow_functions", function).unwrap_or_default(),
        max_rows: section.take("max_rows", integer(1..=10_000_000)).unwrap_or(10_000),
        max_result: section.take("max_result", size).unwrap_or(8 * MIB),
        max_memory: 0,
        echo: section.take("echo", boolean).unwrap_or(false),
        echo_params: section.take("echo_params", boolean).unwrap_or(false),
        echo_pool: section.take("echo_pool", boolean).unwrap_or(false),
        migrations: None,
    };
    Database { max_memory: max_memory(section, database.max_result), ..database }
}

/// Rows on their way to the request count as memory of their connection, so that it must have room for more than a result.
fn max_memory(section: &mut Section<'_>, max_result: usize) -> usize {
    let least = max_result.saturating_mul(2).max(8 * MIB);
    let enough = |value: &Value| {
        let bytes = size(value)?;
        let problem = || format!("is less than {least} bytes; it must be at least 8MiB and twice `max_result`");
        if bytes >= least { Ok(bytes) } else { Err(problem()) }
    };
    section.take("max_memory", enough).unwrap_or(least.max(64 * MIB))
}

/// `"schema.name"`, as in PostgreSQL's catalog.
fn function(value: &Value) -> Result<String, String> {
    let name = text(value)?;
    let is_part =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "\"'().,;".contains(c));
    match name.split_once('.') {
        Some((schema, function)) if is_part(schema) && is_part(function) => Ok(name),
        _ => Err("is not a function; write \"schema.name\", without quotes in it and without parameters".to_owned()),
    }
}
