//! `[database]` and `[database.NAME]`. `url.rs` has the format of the URLs.

use std::{borrow::Cow, collections::BTreeMap, path::PathBuf, time::Duration};

use serde_json::json;

use super::{
    dialect::Dialect,
    entry::Entry,
    problem::suggest,
    quantity::{duration, positive_duration, read_size, size, size_schema, written_size},
    section::{Dialects, Key, Section, TableKey},
    types::Type,
    url,
    value::{boolean, integer, path, read_text},
};

/// `[database]` or `[database.NAME]`: a database with its pools and limits.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseConfig {
    /// `sqlite://PATH`, or the URL of a server with user, host and database. It may contain a password: messages use
    /// [`shown_url`](Self::shown_url).
    pub url: String,
    /// The dialect of `url`.
    pub dialect: Dialect,
    /// Servers: login of requests that only read. `None`: `url`.
    pub reader_url: Option<String>,
    /// Servers: login of the owner, for migrations, the host's own tables and `carya harden`. `None`: `url`.
    pub admin_url: Option<String>,
    /// Servers: URLs of replicas, which answer requests that only read.
    pub replicas: Vec<String>,
    /// Servers: maximum time that a read waits for a replica to reach the client's last write. Then the primary
    /// answers. May be 0.
    pub replica_wait: Duration,
    /// Servers: maximum lag of a replica that gets requests. May be 0.
    pub replica_max_lag: Duration,
    /// Servers: interval between two checks of a replica.
    pub replica_check: Duration,
    /// Maximum number of connections in each pool. SQLite has one writing connection in addition.
    pub max_connections: u32,
    /// Maximum age of a connection. The pool closes older ones.
    pub max_lifetime: Duration,
    /// Maximum time that a request waits for a connection. Then it is answered with 503.
    pub acquire_timeout: Duration,
    /// Maximum duration of a statement.
    pub statement_timeout: Duration,
    /// Maximum time of a stream of rows to a client.
    pub stream_timeout: Duration,
    /// Servers: maximum time that a statement waits for the lock of another transaction.
    pub lock_timeout: Duration,
    /// SQLite: maximum time that a statement waits for the lock of another process on the file. May be 0.
    pub busy_timeout: Duration,
    /// PostgreSQL: volatile functions of extensions that guests can call, as `schema.name`.
    pub allow_functions: Vec<String>,
    /// Maximum number of rows that a statement returns.
    pub max_rows: usize,
    /// Maximum size of the rows that a statement returns, in bytes.
    pub max_result: usize,
    /// SQLite: maximum memory of a connection, in bytes. At least 8 MiB and twice `max_result`.
    pub max_memory: usize,
    /// Number of tasks that deliver the `at-least-once` actions in this database. With 0, this host delivers none.
    pub outbox_workers: u32,
    /// Time for which a delivery hides its action from other hosts. The host renews it while the action runs.
    pub outbox_lease: Duration,
    /// Number of failed deliveries after which an `at-least-once` action is dead.
    pub max_attempts: u32,
    /// Whether to log every statement with its duration and row count.
    pub echo: bool,
    /// Whether to show parameters in the log and in messages of errors.
    pub echo_params: bool,
    /// Whether to log connections as they are opened and lent.
    pub echo_pool: bool,
    /// Whether the host checks the rights of guests' logins when it opens the database. No key sets it: `carya test`
    /// makes such a login itself.
    pub check_rights: bool,
    /// Whether `replicas` are simulated on the server of the primary. No key sets it: `carya test` makes such replicas lag
    /// or vanish.
    pub simulate_replicas: bool,
    /// Folder of migrations, `0001_name.sql`. For the default database, `[model]` has the key.
    pub migrations: Option<PathBuf>,
}

impl DatabaseConfig {
    /// Returns `url` without its password, for messages and logs.
    pub fn shown_url(&self) -> Cow<'_, str> {
        url::shown(&self.url)
    }
}

/// Name of the default database, where databases are listed by name.
pub const MAIN: &str = "default";

/// Returns the section that configures a database, for messages.
pub fn section_of(database: &str) -> String {
    if database == MAIN { "[database]".to_owned() } else { format!("[database.{database}]") }
}

/// Returns the key of a database's URL, for messages.
pub fn url_key(database: &str) -> String {
    if database == MAIN { "database.url".to_owned() } else { format!("database.{database}.url") }
}

/// Returns the key of a database's migrations, for messages.
pub fn migrations_key(database: &str) -> String {
    if database == MAIN { "model.migrations".to_owned() } else { format!("database.{database}.migrations") }
}

pub(super) const DATABASE: TableKey =
    TableKey { name: "database", doc: "the default database, and further ones by name" };

const MIB: usize = 1 << 20;

/// The default database, and those with names.
pub(super) type Databases = (Option<DatabaseConfig>, BTreeMap<String, DatabaseConfig>);

/// Reads the databases. `host_database` returns the database that the host of a deployed application configures under
/// a name; the application can only set its migrations. `is_deployed`: the file is that of a deployed application.
pub(super) fn databases<'h>(
    section: &mut Section<'_>,
    is_deployed: bool,
    host_database: impl Fn(&str) -> Option<&'h DatabaseConfig>,
) -> Databases {
    let default = (!section.has_only_tables() && host_database(MAIN).is_none()).then(|| {
        section.refuse("migrations", "is for [database.NAME]; for the default database, write it in [model]");
        database(section, is_deployed)
    });
    let tables = section.tables("NAME");
    let names: Vec<String> =
        tables.iter().filter(|(_, entry)| !entry.is_added_by_variable()).map(|(name, _)| name.clone()).collect();
    let named = tables.into_iter().filter_map(|(name, entry)| {
        let database = match host_database(&name) {
            Some(database) => {
                let migrations = Section::of(entry, |section| migrations(section).alone());
                DatabaseConfig { migrations: migrations?, ..database.clone() }
            }
            None => with_name(&name, entry, &names, is_deployed)?,
        };
        Some((name, database))
    });
    let named = named.collect();
    if host_database(MAIN).is_some() {
        section.ignore_rest();
    }
    (default, named)
}

/// The key of the migrations of a database with a name.
pub(super) fn migrations<'s, 'a>(section: &'s mut Section<'a>) -> Key<'s, 'a, 'a, PathBuf> {
    let folder = section.context().folder;
    let doc = "folder of migrations, only in `[database.NAME]`; for the default database use `[model] migrations`";
    section.key("migrations", path(folder), doc)
}

fn with_name(name: &str, entry: Entry<'_>, names: &[String], is_deployed: bool) -> Option<DatabaseConfig> {
    if entry.is_added_by_variable() {
        let end = suggest(name, names.iter().map(String::as_str));
        entry.report(format!("is not a database of the file; {end}"));
        return None;
    }
    entry.check_name(name);
    if name == MAIN {
        entry.report("is the name of [database] itself; choose another name, or write the keys in [database]");
    }
    Section::of(entry, |section| {
        let database = database(section, is_deployed);
        DatabaseConfig { migrations: migrations(section).or_none("none"), ..database }
    })
}

/// Reads a database. `is_deployed`: the file is that of a deployed application, which must neither widen the powers of
/// its guests on a server nor fill the log of the host.
fn database(section: &mut Section<'_>, is_deployed: bool) -> DatabaseConfig {
    let folder = section.context().home;
    let url = section
        .key(
            "url",
            url::database(folder),
            "`sqlite:PATH` or `sqlite://PATH`, created if missing; `postgres://USER:PASSWORD@HOST/NAME` (or \
             `postgresql://`); `mysql://` or `mariadb://` likewise",
        )
        .required();
    let dialect = url.as_ref().map(|(dialect, _)| *dialect);
    let another = || url::another(dialect, folder);
    // If the dialect is not known, all keys are read, to find further problems.
    let is = |expected: &[Dialect]| dialect.is_none_or(|dialect| expected.contains(&dialect));
    let on_servers = |refusal| Dialects { name: "servers", include: is(&[Dialect::Postgres, Dialect::MySql]), refusal };
    let on_sqlite = |refusal| Dialects { name: "SQLite", include: is(&[Dialect::Sqlite]), refusal };
    let on_postgres = Dialects {
        name: "PostgreSQL",
        include: is(&[Dialect::Postgres]) && !is_deployed,
        refusal: match is_deployed {
            true => "is only accepted in the host's file",
            false => "is for PostgreSQL, which has extensions",
        },
    };
    const NO_LOGINS: &str = "is for servers; an SQLite file has no logins";
    const NO_REPLICAS: &str = "is for servers; an SQLite file has no replicas";
    let (dialect, url) = url.unwrap_or((Dialect::Sqlite, String::new()));
    let database = DatabaseConfig {
        url,
        dialect,
        reader_url: section
            .key("reader_url", another(), "login of requests that only read; of the same dialect")
            .only(on_servers(NO_LOGINS))
            .or_none("`url`"),
        admin_url: section
            .key(
                "admin_url",
                another(),
                "the owner's login: migrations, the host's own tables, `carya harden`; of the same dialect",
            )
            .only(on_servers(NO_LOGINS))
            .or_none("`url`"),
        replicas: section
            .key("replicas", Type::list(another()), "URLs of replicas, of the same dialect")
            .only(on_servers(NO_REPLICAS))
            .or_empty(),
        replica_wait: section
            .key("replica_wait", duration(), "for a replica to reach the client's last write; then the primary answers")
            .only(on_servers(NO_REPLICAS))
            .or("100ms"),
        replica_max_lag: section
            .key("replica_max_lag", duration(), "a replica further behind gets no requests")
            .only(on_servers(NO_REPLICAS))
            .or("10s"),
        replica_check: section
            .key("replica_check", positive_duration(), "interval of checks of the replicas")
            .only(on_servers(NO_REPLICAS))
            .or("1s"),
        max_connections: section
            .key(
                "max_connections",
                integer(1..=1000),
                "connections of each pool; on SQLite reading connections, beside one that writes",
            )
            .or(4),
        max_lifetime: section.key("max_lifetime", positive_duration(), "the pool closes older connections").or("30m"),
        acquire_timeout: section
            .key("acquire_timeout", positive_duration(), "for a connection to become free; then 503 with `Retry-After`")
            .or("3s"),
        statement_timeout: section.key("statement_timeout", positive_duration(), "for one statement").or("2s"),
        stream_timeout: section
            .key(
                "stream_timeout",
                positive_duration(),
                "for all rows of a [streamed response](../explanation/request.md#streamed-rows)",
            )
            .or("5m"),
        lock_timeout: section
            .key(
                "lock_timeout",
                positive_duration(),
                "for the lock of another transaction; MySQL and MariaDB round down to whole seconds, at least 1",
            )
            .only(on_servers("is for servers; an SQLite file has `busy_timeout`"))
            .or("1s"),
        busy_timeout: section
            .key("busy_timeout", duration(), "for the lock of another process on the file")
            .only(on_sqlite("is for SQLite files; a server has `lock_timeout`"))
            .or("1s"),
        allow_functions: section
            .key(
                "allow_functions",
                Type::list(function()),
                "volatile functions of extensions that guests may call; only in the host's file",
            )
            .only(on_postgres)
            .or_empty(),
        max_rows: section.key("max_rows", integer(1..=10_000_000), "rows of one statement").or(10_000),
        max_result: section.key("max_result", size(), "bytes of the rows of one statement").or("8MiB"),
        max_memory: 0,
        outbox_workers: section
            .key(
                "outbox_workers",
                integer(0..=64),
                "`at-least-once` actions that this host delivers at the same time; with 0, only other hosts deliver them",
            )
            .or(2),
        outbox_lease: section
            .key(
                "outbox_lease",
                positive_duration(),
                "until another host delivers the action of a host that was killed; renewed while an action runs",
            )
            .or("60s"),
        max_attempts: section
            .key("max_attempts", integer(1..=1_000_000), "failed deliveries of an `at-least-once` action; then it is dead")
            .or(20),
        echo: section
            .key("echo", boolean(), "log every statement with duration and row count (`carya::sql`)")
            .or(false)
            && !is_deployed,
        echo_params: section
            .key("echo_params", boolean(), "show parameters in the log and in messages of errors")
            .or(false)
            && !is_deployed,
        echo_pool: section
            .key("echo_pool", boolean(), "log connections as they are opened and lent (`carya::pool`)")
            .or(false)
            && !is_deployed,
        check_rights: true,
        simulate_replicas: false,
        migrations: None,
    };
    // The rows of a result count as memory of their connection, so it must have room for more than a result.
    let least = database.max_result.saturating_mul(2).max(8 * MIB);
    let max_memory = section
        .key(
            "max_memory",
            memory(least),
            "memory of one connection; see [Memory of SQLite](databases.md#memory-of-sqlite)",
        )
        .only(on_sqlite("is for SQLite files; a server limits memory in its own configuration"))
        .or_computed(written_size(least.max(64 * MIB)), "`\"64MiB\"`, or twice `max_result` if that is more");
    DatabaseConfig { max_memory, ..database }
}

/// Type of the memory of a connection, in bytes: at least `least`.
fn memory(least: usize) -> Type<'static, usize> {
    Type::new("size, at least 8 MiB and twice `max_result`", size_schema(), move |value| {
        let bytes = read_size(value)?;
        let problem = || format!("is less than {least} bytes; it must be at least 8MiB and twice `max_result`");
        if bytes >= least { Ok(bytes) } else { Err(problem()) }
    })
}

/// Type of a function in PostgreSQL's catalog: `"schema.name"`.
fn function() -> Type<'static, String> {
    let schema = json!({ "type": "string", "pattern": "^[^.]+[.][^.]+$" });
    Type::new("`\"schema.name\"`", schema, |value| {
        let name = read_text(value)?;
        let is_part =
            |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "\"'().,;".contains(c));
        match name.split_once('.') {
            Some((schema, function)) if is_part(schema) && is_part(function) => Ok(name),
            _ => {
                Err("is not a function; write it as \"schema.name\", without further quotes and parameters".to_owned())
            }
        }
    })
}
