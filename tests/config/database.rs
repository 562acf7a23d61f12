//! `[database]` and `[database.NAME]`, and the routes that name databases.

use carya::config::{Dialect, Isolation, shown_url};
use insta::assert_snapshot;

use super::{problems, read};

const NAMED: &str = r#"
[database.reports]
url = "postgres://app:hunter2@db/reports"
[database.event-log]
url = "mariadb://app:hunter2@db/log"
[component.items]
path = "items.wasm"
[[route]]
path = "/reports"
component = "items"
database = "reports"
"#;

#[test]
fn the_url_determines_the_dialect() {
    for (url, dialect, name, shown) in [
        ("sqlite:items.db", Dialect::Sqlite, "SQLite", "sqlite://items.db"),
        ("postgres://ann:hunter2@db/items", Dialect::Postgres, "PostgreSQL", "postgres://ann@db/items"),
        ("postgresql://ann@db:5433/items", Dialect::Postgres, "PostgreSQL", "postgresql://ann@db:5433/items"),
        ("mysql://ann:hunter2@db/items?ssl-mode=REQUIRED", Dialect::MySql, "MySQL", "mysql://ann@db/items"),
        ("mariadb://ann:hun%40ter2@db/items", Dialect::MySql, "MySQL", "mariadb://ann@db/items"),
    ] {
        let config = read(&format!("[database]\nurl = \"{url}\""), &[]).expect(url);
        let database = config.database.expect("there is a database");
        assert_eq!((database.dialect, database.dialect.as_str()), (dialect, name));
        assert_eq!(database.shown_url(), shown);
        assert_eq!(shown_url(&database.url), shown);
    }
}

#[test]
fn defaults_of_a_server() {
    let config = read("[database]\nurl = \"postgres://ann@db/items\"", &[]).expect("the file is right");
    let database = config.database.expect("there is a database");
    assert_eq!((database.reader_url, database.admin_url, database.replicas.len()), (None, None, 0));
    assert_eq!(database.replica_wait.as_millis(), 100);
    assert_eq!(database.replica_max_lag.as_secs(), 10);
    assert_eq!(database.replica_check.as_secs(), 1);
    assert_eq!(database.lock_timeout.as_secs(), 1);
    assert!(!database.echo_params);
    assert_eq!(config.transaction.isolation, None);
}

/// The default of `max_memory` is 64 MiB, or twice `max_result` if that is more, so that a connection of SQLite can
/// hold a result besides the working memory of its statement.
#[test]
fn memory_has_room_for_a_result() {
    let file = |keys: &str| format!("[database]\nurl = \"sqlite:items.db\"\n{keys}");
    for (keys, mebibytes) in [
        ("", 64),
        ("max_memory = \"16MiB\"", 16),
        ("max_result = \"1MiB\"\nmax_memory = \"8MiB\"", 8),
        ("max_result = \"100MiB\"", 200),
    ] {
        let database = read(&file(keys), &[]).expect(keys).database.expect("there is a database");
        assert_eq!(database.max_memory >> 20, mebibytes, "{keys}");
    }
    let problems = |keys: &str| problems(&file(keys), &[]);
    assert_snapshot!(problems("max_memory = \"15MiB\""), @r#"carya.toml:3: database.max_memory: "15MiB" is less than 16777216 bytes; it must be at least 8MiB and twice `max_result`"#);
    assert_snapshot!(problems("max_result = 1\nmax_memory = \"7MiB\""), @r#"carya.toml:4: database.max_memory: "7MiB" is less than 8388608 bytes; it must be at least 8MiB and twice `max_result`"#);
}

#[test]
fn rejects_incomplete_urls() {
    let url = |url: &str| problems(&format!("[database]\nurl = \"{url}\""), &[]);
    assert_snapshot!(url("sqlite::memory:"), @r#"carya.toml:2: database.url: names no file; in memory, each connection would have a database of its own; write it as "sqlite:PATH""#);
    assert_snapshot!(url("sqlite:items.db?mode=ro"), @r#"carya.toml:2: database.url: has options, but the host sets them itself; write it as "sqlite:PATH""#);
    assert_snapshot!(url("items.db"), @r#"carya.toml:2: database.url: is not the URL of a database; did you mean "sqlite:PATH"?"#);
    assert_snapshot!(url("postgres://db/items"), @r#"carya.toml:2: database.url: names no user; write it as "postgres://USER:PASSWORD@HOST/NAME""#);
    assert_snapshot!(url("postgres://ann:hunter2@/items"), @r#"carya.toml:2: database.url: names no host; write it as "postgres://USER:PASSWORD@HOST/NAME""#);
    assert_snapshot!(url("mysql://ann:hunter2@db"), @r#"carya.toml:2: database.url: names no database; write it as "mysql://USER:PASSWORD@HOST/NAME""#);
    assert_snapshot!(url("mysql://ann:hunter2@db:http/items"), @"carya.toml:2: database.url: is malformed: invalid port number; in user names and passwords, write `/`, `?`, `#`, `@` and `%` as %2F, %3F, %23, %40 and %25");
    assert_snapshot!(url("postgres://ann:hunter#2@db/items"), @"carya.toml:2: database.url: is malformed: it has a `#`; in user names and passwords, write `/`, `?`, `#`, `@` and `%` as %2F, %3F, %23, %40 and %25");
    assert_snapshot!(url("postgres://ann:hunter2@db/items?password=hunter2"), @"carya.toml:2: database.url: has an unknown option; accepted: sslmode, sslrootcert, sslcert, sslkey, host, application_name");
    assert_snapshot!(url("mysql://ann:hunter2@db/items?charset=latin1"), @"carya.toml:2: database.url: has an unknown option; accepted: ssl-mode, ssl-ca, ssl-cert, ssl-key, socket");
}

#[test]
fn rejects_keys_of_another_dialect() {
    assert_snapshot!(problems(
        r#"
[database]
url = "sqlite:items.db"
reader_url = "postgres://reader:hunter2@db/items"
admin_url = "sqlite:other.db"
replicas = ["sqlite:copy.db"]
replica_wait = "1s"
replica_max_lag = "1s"
replica_check = "1s"
lock_timeout = "never"
allow_functions = ["public.f"]
migrations = "migrations"

[database.reports]
url = "postgres://app:hunter2@db/reports"
busy_timeout = "1s"
max_memory = "64MiB"
reader_url = "mysql://reader:hunter2@db/reports"
admin_url = "postgres://owner:hunter2@db"
replicas = ["postgres://reader:hunter2@db2/reports", "sqlite:copy.db", 5]
replica_check = "0s"
replica_lag = "1s"
allow_functions = ["f", "a.b.c", "public.f(int)", "public.f", 5]

[database.log]
url = "mysql://app:hunter2@db/log"
replicas = "mysql://app:hunter2@db2/log"
lock_timeout = "0s"
allow_functions = ["public.f"]
"#,
        &[],
    ), @r#"
    carya.toml:4: database.reader_url: is for servers; an SQLite file has no logins
    carya.toml:5: database.admin_url: is for servers; an SQLite file has no logins
    carya.toml:6: database.replicas: is for servers; an SQLite file has no replicas
    carya.toml:7: database.replica_wait: is for servers; an SQLite file has no replicas
    carya.toml:8: database.replica_max_lag: is for servers; an SQLite file has no replicas
    carya.toml:9: database.replica_check: is for servers; an SQLite file has no replicas
    carya.toml:10: database.lock_timeout: is for servers; an SQLite file has `busy_timeout`
    carya.toml:11: database.allow_functions: is for PostgreSQL, which has extensions
    carya.toml:12: database.migrations: is for [database.NAME]; for the default database, write it in [model]
    carya.toml:16: database.reports.busy_timeout: is for SQLite files; a server has `lock_timeout`
    carya.toml:17: database.reports.max_memory: is for SQLite files; a server limits memory in its own configuration
    carya.toml:18: database.reports.reader_url: is a URL of MySQL, but `url` is one of PostgreSQL; both must have the same dialect
    carya.toml:19: database.reports.admin_url: names no database; write it as "postgres://USER:PASSWORD@HOST/NAME"
    carya.toml:20: database.reports.replicas[1]: is a URL of SQLite, but `url` is one of PostgreSQL; both must have the same dialect
    carya.toml:20: database.reports.replicas[2]: is not text; write it in quotes
    carya.toml:21: database.reports.replica_check: "0s" must be greater than 0; write it as "500ms", "30s", "5m" or "1h"
    carya.toml:22: database.reports.replica_lag: unknown key; did you mean `replica_wait`?
    carya.toml:23: database.reports.allow_functions[0]: "f" is not a function; write it as "schema.name", without further quotes and parameters
    carya.toml:23: database.reports.allow_functions[1]: "a.b.c" is not a function; write it as "schema.name", without further quotes and parameters
    carya.toml:23: database.reports.allow_functions[2]: "public.f(int)" is not a function; write it as "schema.name", without further quotes and parameters
    carya.toml:23: database.reports.allow_functions[4]: 5 is not text; write it in quotes
    carya.toml:27: database.log.replicas: is not a list; write it as ["...", "..."]
    carya.toml:28: database.log.lock_timeout: "0s" must be greater than 0; write it as "500ms", "30s", "5m" or "1h"
    carya.toml:29: database.log.allow_functions: is for PostgreSQL, which has extensions
    "#);
}

#[test]
fn named_databases_need_no_default() {
    let config = read(NAMED, &[]).expect("the file is right");
    assert!(config.database.is_none());
    assert_eq!(config.databases.keys().collect::<Vec<_>>(), ["event-log", "reports"]);
    assert_eq!(config.databases["reports"].dialect, Dialect::Postgres);
    assert_eq!(config.databases["event-log"].dialect, Dialect::MySql);
    assert_eq!(config.routes[0].database.as_deref(), Some("reports"));
}

#[test]
fn a_default_with_keys_needs_a_url() {
    assert_snapshot!(problems("[database]\n", &[]), @"carya.toml:1: database.url: is missing");
    assert_snapshot!(problems(&format!("{NAMED}\n[database]\necho = true\n"), &[]), @"carya.toml:13: database.url: is missing");
    assert_snapshot!(problems("[database]\nulr = { file = \"url\" }\n", &[]), @"
    carya.toml:1: database.url: is missing
    carya.toml:2: database.ulr: unknown key; did you mean `url`?
    ");
}

#[test]
fn names_of_databases() {
    assert_snapshot!(problems(
        r#"
[database]
url = "sqlite:items.db"
reports = "sqlite:reports.db"
[database."my log"]
url = "sqlite:log.db"
[database.empty]
[database.default]
url = "sqlite:default.db"
[component.items]
path = "items.wasm"
[[route]]
path = "/log"
component = "items"
database = "emtpy"
isolation = "snapshot"
primary = "yes"
retries = 11
[transaction]
isolation = "serialisable"
"#,
        &[],
    ), @r#"
    carya.toml:4: database.reports: unknown key; accepted: url, reader_url, admin_url, replicas, replica_wait, replica_max_lag, replica_check, max_connections, max_lifetime, acquire_timeout, statement_timeout, stream_timeout, lock_timeout, busy_timeout, allow_functions, max_rows, max_result, outbox_workers, outbox_lease, max_attempts, echo, echo_params, echo_pool, max_memory
    carya.toml:5: database.my log: is not a name; it may have letters, digits, `-` and `_`
    carya.toml:7: database.empty.url: is missing
    carya.toml:8: database.default: is the name of [database] itself; choose another name, or write the keys in [database]
    carya.toml:15: route[0].database: "emtpy" is not a database of this file; did you mean `empty`?
    carya.toml:16: route[0].isolation: "snapshot" is not an isolation level; accepted: read-committed, repeatable-read, serializable
    carya.toml:17: route[0].primary: "yes" is not a boolean; write it as true or false
    carya.toml:18: route[0].retries: 11 is not a whole number from 0 to 10
    carya.toml:20: transaction.isolation: "serialisable" is not an isolation level; did you mean `serializable`?
    "#);
    let unnamed = "[component.a]\npath = \"a\"\n[[route]]\npath = \"/\"\ncomponent = \"a\"\ndatabase = \"b\"";
    assert_snapshot!(problems(unnamed, &[]), @r#"carya.toml:6: route[0].database: "b" is not a database of this file; there are none"#);
}

#[test]
fn the_environment_reaches_databases_by_name() {
    let config = read(
        NAMED,
        &[
            ("CARYA_DATABASE__URL", "sqlite:items.db"),
            ("CARYA_DATABASE__REPORTS__URL", "postgres://other:hunter2@db/reports"),
            ("CARYA_DATABASE__REPORTS__REPLICAS", r#"["postgres://other:hunter2@db2/reports"]"#),
            ("CARYA_DATABASE__EVENT_LOG__LOCK_TIMEOUT", "5s"),
        ],
    )
    .expect("file and environment are right");
    assert_eq!(config.database.map(|database| database.url).as_deref(), Some("sqlite://items.db"));
    assert_eq!(config.databases["reports"].url, "postgres://other:hunter2@db/reports");
    assert_eq!(config.databases["reports"].replicas, ["postgres://other:hunter2@db2/reports"]);
    assert_eq!(config.databases["event-log"].lock_timeout.as_secs(), 5);
    assert_snapshot!(problems(
        NAMED,
        &[
            ("CARYA_DATABASE__REPROTS__URL", "postgres://other:hunter2@db/reports"),
            ("CARYA_DATABASE__REPORTS__ADMIN_URL", "mysql://other:hunter2@db/reports"),
            ("CARYA_DATABASE__REPORTS__REPLICAS", "postgres://other:hunter2@db2/reports"),
            ("CARYA_DATABASE__EVENT_LOG__BUSY_TIMEOUT", "5s"),
        ],
    ), @r#"
    CARYA_DATABASE__EVENT_LOG__BUSY_TIMEOUT: database.event-log.busy_timeout: is for SQLite files; a server has `lock_timeout`
    CARYA_DATABASE__REPORTS__ADMIN_URL: database.reports.admin_url: is a URL of MySQL, but `url` is one of PostgreSQL; both must have the same dialect
    CARYA_DATABASE__REPORTS__REPLICAS: database.reports.replicas: is not a list; write it as ["...", "..."]
    CARYA_DATABASE__REPROTS__URL: database.reprots: is not a database of the file; did you mean `reports`?
    "#);
}

#[test]
fn no_password_is_shown() {
    let everywhere = r#"
[database]
url = "postgres://ann:hunter2@db:x/items"
reader_url = ["mysql://ann:hunter2@db/items"]
admin_url = "hunter2"
replicas = ["postgres:hunter2", { url = "postgres://ann:hunter2@db/items" }]
[database.a]
url = "mysql://ann:hunter2@db/items"
replicas = "mysql://ann:hunter2@db/items"
[database.b]
url = "sqlite:b.db"
reader_url = "postgres://ann:hunter2@db/items"
"#;
    let problems = problems(everywhere, &[]);
    assert_eq!(problems.lines().count(), 7, "{problems}");
    assert!(!problems.contains("hunter2"), "{problems}");
}

#[test]
fn isolation_levels() {
    for (word, level, sql) in [
        ("read-committed", Isolation::ReadCommitted, "READ COMMITTED"),
        ("repeatable-read", Isolation::RepeatableRead, "REPEATABLE READ"),
        ("serializable", Isolation::Serializable, "SERIALIZABLE"),
    ] {
        let config = read(&format!("[transaction]\nisolation = \"{word}\""), &[]).expect("the file is right");
        assert_eq!(config.transaction.isolation, Some(level));
        assert_eq!((level.as_str(), level.as_sql()), (word, sql));
    }
}
