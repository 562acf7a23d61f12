//! Messages about mistakes in the file: people read these texts.

use insta::assert_snapshot;

use super::problems;

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
    carya.toml:5: server.send_timeout: "0ms" must be greater than 0; write it as "500ms", "30s", "5m" or "1h"
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
    carya.toml:5: server.listen: "8080" is not an address; write it as "127.0.0.1:8080" or "unix:/run/carya.sock"
    carya.toml:6: server.max_body: "1MB" is not a size; write it as 65536, "64KiB", "16MiB" or "1GiB"
    carya.toml:7: server.request_timeout: 30 is not a duration; write it as "500ms", "30s", "5m" or "1h"
    carya.toml:8: server.header_timeout: "0s" must be greater than 0; write it as "500ms", "30s", "5m" or "1h"
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
    carya.toml:41: route[2].path: "/items/{name}" matches the same paths as "/items/{id}"; use the same parameter names
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
    carya.toml:2: lisen: unknown key; accepted: component, outbound, server, database, debug, log, transaction, model, templates, static, hook, route, smoke, rate_limit, headers, cors, reload, registry, test, deploy
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
fn build_and_source_need_each_other() {
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
    carya.toml:2: component.a.source: is missing; `build` requires it
    carya.toml:5: component.b.build: is missing; `source` requires it
    carya.toml:10: component.c.build: 7 is not text; write it in quotes
    "#);
}

#[test]
fn a_syntax_error_is_the_only_problem() {
    assert_snapshot!(problems("[server]\nlisten = 127.0.0.1:80\nnothing = 1\n", &[]), @"carya.toml:2:15: is not TOML: invalid float, expected nothing");
    assert_snapshot!(problems("[server]\ndebug = 1\n[server]\n", &[]), @"carya.toml:3:2: is not TOML: duplicate key");
}

#[test]
fn keys_of_the_edge() {
    let text = r#"
[server]
http2 = "no"
public_health = 1
drain_delay = "5"
trusted_proxies = ["10.0.0.0/33", "proxy", "10.0.0.1/8"]
etag = "strong"
compress = ["gzip", "brotli"]
compress_min_size = 0
compress_types = ["json", "text/*", "*/*", "text/html; charset=utf-8"]
tls_key = "key.pem"
[[server.certificate]]
cert = "other.pem"
"#;
    assert_snapshot!(problems(text, &[]), @r#"
    carya.toml:2: server.tls_cert: is missing; `tls_key` requires it
    carya.toml:3: server.http2: "no" is not a boolean; write it as true or false
    carya.toml:4: server.public_health: 1 is not a boolean; write it as true or false
    carya.toml:5: server.drain_delay: "5" is not a duration; write it as "500ms", "30s", "5m" or "1h"
    carya.toml:6: server.trusted_proxies[0]: "10.0.0.0/33" is not a network; write it as "10.0.0.0/8", "fd00::/8" or "127.0.0.1"
    carya.toml:6: server.trusted_proxies[1]: "proxy" is not a network; write it as "10.0.0.0/8", "fd00::/8" or "127.0.0.1"
    carya.toml:7: server.etag: "strong" is not a boolean; write it as true or false
    carya.toml:8: server.compress[1]: "brotli" is not a content coding; accepted: br, zstd, gzip
    carya.toml:9: server.compress_min_size: 0 is not a size; write it as 65536, "64KiB", "16MiB" or "1GiB"
    carya.toml:10: server.compress_types[0]: "json" is not a media type; write it as "application/json" or "text/*"
    carya.toml:10: server.compress_types[2]: "*/*" is not a media type; write it as "application/json" or "text/*"
    carya.toml:10: server.compress_types[3]: "text/html; charset=utf-8" is not a media type; write it as "application/json" or "text/*"
    carya.toml:12: server.certificate[0].key: is missing
    "#);
}
