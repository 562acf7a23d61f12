//! What a configuration file may say, and what is answered to one that is wrong: the texts here are read by people.

mod database;
mod deploy;

use std::{collections::BTreeMap, fs, path::Path};

use carya::config::{Access, Config, Problems, load, parse};
use insta::{assert_debug_snapshot, assert_snapshot};

fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    owned.collect()
}

fn read(text: &str, variables: &[(&str, &str)]) -> Result<Config, Problems> {
    parse(text, Path::new("carya.toml"), &environment(variables))
}

fn problems(text: &str, variables: &[(&str, &str)]) -> String {
    read(text, variables).expect_err("the file is wrong").to_string()
}

#[test]
fn an_empty_file_is_all_defaults() {
    let config = read("", &[("HOME", "/home/ann")]).expect("the file is right");
    assert_debug_snapshot!(config, @r#"
    Config {
        file: "carya.toml",
        debug: false,
        server: Server {
            listen: 127.0.0.1:8080,
            metrics: None,
            max_body: 1048576,
            max_response: 16777216,
            max_response_headers: 100,
            max_response_head: 65536,
            connections: 10000,
            header_timeout: 10s,
            idle_timeout: 75s,
            send_timeout: 30s,
            max_unsent: 536870912,
            request_timeout: 30s,
            drain_timeout: 10s,
            max_concurrent_requests: 256,
            cache: "/home/ann/.cache/carya",
            page_scan: Auto,
        },
        database: None,
        databases: {},
        transaction: Transaction {
            priority: 100,
            commit_on: StatusSet(
                [
                    200..=399,
                ],
            ),
            rollback_on_redirect: false,
            retries: 2,
            isolation: None,
        },
        model: Model {
            component: None,
        },
        templates: None,
        static_files: [],
        components: {},
        hooks: [],
        routes: [],
        smoke: [],
        reload: Reload {
            deny: [],
            migrate: true,
            init: true,
            poll: None,
        },
        registries: {},
        deploy: None,
        deployed: None,
    }
    "#);
}

#[test]
fn every_key() {
    let config = read(
        r#"
debug = true

[server]
listen = "[::1]:0"
metrics = "127.0.0.1:9090"
max_body = 65536
max_response = "1GiB"
max_response_headers = 10000
max_response_head = "8KiB"
connections = 1000000
header_timeout = "500ms"
idle_timeout = "5m"
send_timeout = "1s"
max_unsent = "2GiB"
request_timeout = "1m"
drain_timeout = "0s"
max_concurrent_requests = 10
cache = "cache"
page_scan = "off"

[database]
url = "sqlite:data/items.db"
max_connections = 8
max_lifetime = "1h"
acquire_timeout = "1s"
statement_timeout = "1s"
busy_timeout = "0s"
max_rows = 100
max_result = "64KiB"
max_memory = "16MiB"
echo = true
echo_params = true
echo_pool = true

[database.reports]
url = "postgres://app:secret@db/reports?sslmode=require"
reader_url = "postgres://reader:secret@db/reports"
admin_url = "postgresql://owner:secret@db/reports"
replicas = ["postgres://reader:secret@db2/reports", "postgres://reader:secret@[::1]:5433/reports"]
replica_wait = "0s"
replica_max_lag = "1m"
replica_check = "500ms"
lock_timeout = "200ms"
allow_functions = ["public.normal_rand", "cron.schedule"]
migrations = "reports"

[transaction]
priority = 50
commit_on = ["2xx", "404", 409]
rollback_on_redirect = true
retries = 0
isolation = "serializable"

[model]
component = "items"
migrations = "migrations"

[templates]
folder = "templates"

[[static]]
path = "/static"
folder = "public"

[component.items]
path = "items.wasm"
build = "make items"
source = "items"
memory = "16MiB"
timeout = "2s"

[component.items.settings]
currency = "EUR"
limit = 10
regions = ["a", { name = "b", weight = 0.5 }]

[component.my-audit]
path = "oci://registry.example/shop/audit:1"

[registry."registry.example"]
username = "ann"
password = "hunter2"
ca = "ca.pem"
max_size = "32MiB"

[[hook]]
component = "my-audit"
priority = 10

[[route]]
path = "/items/{id}"
methods = ["get", "PUT"]
component = "items"
transaction = "read-write"
commit_on = []
rollback_on_redirect = false
database = "reports"
isolation = "repeatable-read"
primary = true
retries = 5
hooks = ["my-audit", { component = "my-audit", priority = 200 }]
[[smoke]]
method = "post"
path = "/items?page=1"
body = "[]"
status = ["2xx", 409]
[reload]
deny = ["component-gains-writer", "route-lost"]
poll = "30s"
[deploy]
folder = "generations"
listen = "0.0.0.0:9091"
token = "0123456789abcdef"
tls_cert = "cert.pem"
tls_key = "/etc/carya/key.pem"
max_upload = "64MiB"
keep = 3
"#,
        &[],
    )
    .expect("the file is right");
    assert_debug_snapshot!(config);
}

#[test]
fn limits_of_connections_and_responses() {
    let text = r#"
[server]
connections = 0
idle_timeout = "75"
send_timeout = "0ms"
max_unsent = "1 GiB"
max_response_headers = 10001
max_response_head = 0
"#;
    assert_snapshot!(problems(text, &[]), @r#"
    carya.toml:3: server.connections: 0 is not a whole number from 1 to 1000000
    carya.toml:4: server.idle_timeout: "75" is not a duration; write it as "500ms", "30s", "5m" or "1h"
    carya.toml:5: server.send_timeout: "0ms" is no time at all; write it as "500ms", "30s", "5m" or "1h"
    carya.toml:6: server.max_unsent: "1 GiB" is not a size; write it as 65536, "64KiB", "16MiB" or "1GiB"
    carya.toml:7: server.max_response_headers: 10001 is not a whole number from 1 to 10000
    carya.toml:8: server.max_response_head: 0 is not a size; write it as 65536, "64KiB", "16MiB" or "1GiB"
    "#);
}

#[test]
fn all_problems_at_once() {
    assert_snapshot!(problems(
        r#"
debug = "yes"

[server]
listen = "8080"
max_body = "1MB"
request_timeout = 30
header_timeout = "0s"
max_concurrent_requests = 0

[database]
url = "oracle://ann:hunter2@db/items"

[transaction]
commit_on = ["2xx", "6xx", true]
retries = 99

[model]
component = "itmes"

[component.items]
memory = "2GiB"

[component."my items"]
path = "oci://items.wasm"

[[hook]]
component = "audit"

[[route]]
path = "items"
component = "items"

[[route]]
path = "/items/{id}"
methods = ["GTE", "POST"]
component = "items"
transaction = "readonly"
hooks = ["itemz", { component = "items", priorty = 1 }]

[[route]]
path = "/items/{name}"
component = "items"

[[route]]
path = "/items/{id}"
methods = ["PUT", "POST"]
component = "items"

[[route]]
path = "/{a}{b}"
[reload]
deny = ["component-gains-write"]
"#,
        &[],
    ), @r#"
    carya.toml:2: debug: "yes" is not a boolean; write it as true or false
    carya.toml:5: server.listen: "8080" is not an address; write it as "127.0.0.1:8080"
    carya.toml:6: server.max_body: "1MB" is not a size; write it as 65536, "64KiB", "16MiB" or "1GiB"
    carya.toml:7: server.request_timeout: 30 is not a duration; write it as "500ms", "30s", "5m" or "1h"
    carya.toml:8: server.header_timeout: "0s" is no time at all; write it as "500ms", "30s", "5m" or "1h"
    carya.toml:9: server.max_concurrent_requests: 0 is not a whole number from 1 to 100000
    carya.toml:12: database.url: is not the URL of a database; accepted: "sqlite:PATH", "postgres://...", "mysql://..."
    carya.toml:15: transaction.commit_on[1]: "6xx" is not a status from 200 to 599; write it as "2xx" or "404"
    carya.toml:15: transaction.commit_on[2]: true is not a status from 200 to 599; write it as "2xx" or "404"
    carya.toml:16: transaction.retries: 99 is not a whole number from 0 to 10
    carya.toml:19: model.component: "itmes" is not a component of this file; did you mean `items`?
    carya.toml:21: component.items.path: is missing
    carya.toml:22: component.items.memory: "2GiB" is not a size from 64KiB to 1GiB
    carya.toml:24: component.my items: is not a name; it may have letters, digits, `-` and `_`
    carya.toml:25: component.my items.path: "oci://items.wasm" is not a reference; write it as "oci://HOST/REPOSITORY:TAG" or "...@sha256:DIGEST"
    carya.toml:28: hook[0].component: "audit" is not a component of this file; accepted: items, my items
    carya.toml:31: route[0].path: "items" does not start with `/`; write it as "/items"
    carya.toml:36: route[1].methods[0]: "GTE" is not a method; did you mean `GET`?
    carya.toml:38: route[1].transaction: "readonly" is not an access mode; did you mean `read-only`?
    carya.toml:39: route[1].hooks[0]: "itemz" is not a component of this file; did you mean `items`?
    carya.toml:39: route[1].hooks[1].priorty: unknown key; did you mean `priority`?
    carya.toml:41: route[2].path: "/items/{name}" matches the same paths as "/items/{id}"; write both alike
    carya.toml:45: route[3].path: "/items/{id}" has methods that route[1] on line 34 serves; give each its own
    carya.toml:50: route[4].component: is missing
    carya.toml:51: route[4].path: "/{a}{b}" is not a path pattern: only one parameter is allowed per path segment; write it as "/items/{id}" or "/files/{*path}"
    carya.toml:53: reload.deny[0]: "component-gains-write" is not a kind of difference; did you mean `component-gains-writer`?
    "#);
}

#[test]
fn unknown_keys_and_wrong_shapes() {
    assert_snapshot!(problems(
        r#"
lisen = "127.0.0.1:80"
database = "sqlite:items.db"

[sever]
listen = "127.0.0.1:80"

[transaction]
commit-on = ["2xx"]
commit_on = "2xx"
isolation_level = "serializable"
database = "items"

[route]
path = "/"
component = "items"

[[model]]
migrations = "migrations"

[component]
items = "items.wasm"
"#,
        &[],
    ), @r#"
    carya.toml:2: lisen: unknown key; accepted: component, database, debug, server, transaction, model, templates, static, hook, route, smoke, reload, registry, deploy
    carya.toml:3: database: "sqlite:items.db" is not a table; write it as [database]
    carya.toml:5: sever: unknown key; did you mean `server`?
    carya.toml:9: transaction.commit-on: unknown key; did you mean `commit_on`?
    carya.toml:10: transaction.commit_on: "2xx" is not a list; write it as ["2xx"]
    carya.toml:11: transaction.isolation_level: unknown key; accepted: priority, commit_on, rollback_on_redirect, retries, isolation
    carya.toml:12: transaction.database: unknown key; accepted: priority, commit_on, rollback_on_redirect, retries, isolation
    carya.toml:14: route: a table is not a list; write it as [[route]]
    carya.toml:18: model: a list is not a table; write it as [model]
    carya.toml:22: component.items: "items.wasm" is not a table; write it as [component.items]
    "#);
}

#[test]
fn how_to_build_a_component() {
    assert_snapshot!(problems(
        r#"
[component.a]
path = "a.wasm"
build = "make a"
[component.b]
path = "b.wasm"
source = "b"
[component.c]
path = "c.wasm"
build = 7
source = "c"
"#,
        &[],
    ), @r#"
    carya.toml:2: component.a.source: is missing
    carya.toml:5: component.b.build: is missing
    carya.toml:10: component.c.build: 7 is not text; write it in quotes
    "#);
}

#[test]
fn a_syntax_error_stands_alone() {
    assert_snapshot!(problems("[server]\nlisten = 127.0.0.1:80\nnothing = 1\n", &[]), @"carya.toml:2:15: is not TOML: invalid float, expected nothing");
    assert_snapshot!(problems("[server]\ndebug = 1\n[server]\n", &[]), @"carya.toml:3:2: is not TOML: duplicate key");
}

const ITEMS: &str = r#"
[server]
listen = "127.0.0.1:${PORT:-8080}"
[database]
url = { file = "no/such/file" }
max_connections = "${CONNECTIONS:-4}"
[component.my-items]
path = "items.wasm"
settings = { apiKey = "a", pin = "0" }
[[route]]
path = "/items"
component = "my-items"
"#;

#[test]
fn the_environment_stands_above_the_file() {
    let config = read(
        ITEMS,
        &[
            ("PORT", "81"),
            ("CONNECTIONS", "12"),
            ("CARYA_DEBUG", "true"),
            ("CARYA_DATABASE__URL", "sqlite:${literal}.db"),
            ("CARYA_TRANSACTION__COMMIT_ON", r#"["2xx", 404]"#),
            ("carya_component__my_items__timeout", "1s"),
            ("CARYA_COMPONENT__MY_ITEMS__SETTINGS__APIKEY", "b"),
            ("CARYA_COMPONENT__MY_ITEMS__SETTINGS__PIN", "1_000"),
            ("CARYA_LOG", "debug"),
            ("CARYA_SERVICE_HOST", "10.0.0.1"),
        ],
    )
    .expect("file and environment are right");
    assert!(config.debug);
    assert_eq!(config.server.listen.port(), 81);
    let database = config.database.expect("there is a database");
    assert_eq!(database.url, "sqlite://${literal}.db");
    assert_eq!(database.max_connections, 12);
    assert!(config.transaction.commit_on.contains(404));
    assert!(!config.transaction.commit_on.contains(302));
    let items = &config.components["my-items"];
    assert_eq!(items.timeout.as_secs(), 1);
    assert_eq!(items.settings["apiKey"], "b");
    assert_eq!(items.settings["pin"], "1_000", "text stays as it was written");
}

#[test]
fn problems_of_the_environment() {
    assert_snapshot!(problems(
        ITEMS,
        &[
            ("CARYA_", ""),
            ("CARYA_COMPONENT__MYITEMS__TIMEOUT", "1s"),
            ("CARYA_COMPONENT__MY_ITEMS__TIMEOUT", "1"),
            ("CARYA_DATABASE__URL", "mysql://ann:hunter2@db"),
            ("CARYA_DEBUG", ""),
            ("CARYA_HOOK", "[{ component = 'my-items' }]"),
            ("CARYA_ROUTE__0__PATH", "/"),
            ("CARYA_SERVER_LISTEN", "127.0.0.1:80"),
            ("CARYA_SERVER__LISTEN__PORT", "80"),
            ("CARYA_SERVER__LITSEN", "127.0.0.1:80"),
            ("CARYA_TRANSACTION", "none"),
            ("CARYA_TRANSACTION__COMMIT_ON", "2xx"),
        ],
    ), @r#"
    CARYA_: names no key; write CARYA_KEY or CARYA_SECTION__KEY
    CARYA_COMPONENT__MYITEMS__TIMEOUT: component.myitems: is not a component of the file; did you mean `my-items`?
    CARYA_COMPONENT__MY_ITEMS__TIMEOUT: component.my-items.timeout: "1" is not a duration; write it as "500ms", "30s", "5m" or "1h"
    CARYA_DATABASE__URL: database.url: names no database; write it as "mysql://USER:PASSWORD@HOST/NAME"
    CARYA_DEBUG: debug: "" is not a boolean; write it as true or false
    CARYA_HOOK: hook: is a list of tables, which only the file can have
    CARYA_ROUTE__0__PATH: route.0.path: is inside a list, which no variable reaches into
    CARYA_SERVER_LISTEN: server_listen: unknown key (variables are named CARYA_SECTION__KEY); accepted: component, database, debug, server, transaction, model, templates, static, hook, route, smoke, reload, registry, deploy
    CARYA_SERVER__LISTEN__PORT: server.listen.port: is inside a value that is no table
    CARYA_SERVER__LITSEN: server.litsen: unknown key (variables are named CARYA_SECTION__KEY); did you mean `listen`?
    CARYA_TRANSACTION: transaction: "none" is not a table; write it as [transaction]
    CARYA_TRANSACTION__COMMIT_ON: transaction.commit_on: is inside a value that is no table
    "#);
}

#[test]
fn secrets_are_read_and_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("key"), "hunter2\n").expect("a file");
    let file = folder.path().join("carya.toml");
    let text = r#"
[component.items]
path = "items.wasm"
settings = { key = { file = "key" }, all = [{ file = "${KEY:-key}" }], text = "$${KEY}" }
"#;
    let config = parse(text, &file, &environment(&[])).expect("the file is right");
    let items = &config.components["items"];
    assert_eq!(items.path, folder.path().join("items.wasm"));
    assert_eq!(items.settings["key"], "hunter2");
    assert_eq!(items.settings["all"], r#"["hunter2"]"#);
    assert_eq!(items.settings["text"], "${KEY}");

    let text = r#"
[server]
listen = { file = "key" }
request_timeout = "${KEY}"
[database]
max_rows = "${KEY}"
url = { file = "key" }
"#;
    let problems = parse(text, &file, &environment(&[("KEY", "hunter2")])).expect_err("the file is wrong").to_string();
    assert!(problems.contains("request_timeout: \"${KEY}\" is not a duration"), "{problems}");
    assert!(!problems.contains("hunter2"), "{problems}");
}

#[test]
fn secrets_that_are_not_there() {
    assert_snapshot!(problems(
        r#"
[server]
listen = "${HOST}:80"
cache = "${CACHE"
[database]
url = { file = "no/such/file" }
[component.items]
path = "items.wasm"
settings = { keys = ["${A_KEY}", { file = 5 }] }
"#,
        &[],
    ), @"
    carya.toml:3: server.listen: needs the environment variable `HOST`, which is not set; `${HOST:-default}` would do without
    carya.toml:4: server.cache: has `${` without `}`; write `$${` for a `${` that is meant as it is
    carya.toml:6: database.url: needs the file no/such/file: No such file or directory (os error 2)
    carya.toml:9: component.items.settings.keys[0]: needs the environment variable `A_KEY`, which is not set; `${A_KEY:-default}` would do without
    carya.toml:9: component.items.settings.keys[1]: has a `file` that is not text
    ");
}

#[test]
fn a_route_says_what_it_may_do() {
    for (word, mode) in [("none", Access::None), ("read-only", Access::ReadOnly), ("read-write", Access::ReadWrite)] {
        let text = format!(
            "[component.a]\npath = \"a\"\n[[route]]\npath = \"/\"\ncomponent = \"a\"\ntransaction = \"{word}\""
        );
        let config = read(&text, &[]).expect("the file is right");
        assert_eq!(config.routes[0].transaction, Some(mode));
        assert_eq!(config.routes[0].line, 3);
    }
}

#[test]
fn a_file_that_is_not_there() {
    let problems = load(Path::new("no/such/carya.toml")).expect_err("there is no file");
    assert_snapshot!(problems, @"no/such/carya.toml: cannot be read: No such file or directory (os error 2); `carya new NAME` makes a project that has one");
}
