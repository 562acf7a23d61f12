//! Tests of the configuration file: values, defaults, and messages about mistakes.

mod database;
mod deploy;
mod environment;
mod problems;
mod schema;
mod secrets;

use std::{collections::BTreeMap, path::Path};

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
        log_filter: "info",
        server: Server {
            listen: Own(
                Tcp(
                    127.0.0.1:8080,
                ),
            ),
            listen_mode: 432,
            redirect: None,
            tls: [],
            acme: None,
            http2: true,
            http2_max_streams: 100,
            trusted_proxies: [],
            proxy_headers: XForwarded,
            proxy_protocol: false,
            metrics: None,
            public_health: false,
            compression: Compression {
                encodings: [],
                min_size: 1024,
                types: [
                    "text/*",
                    "application/json",
                    "application/problem+json",
                    "application/x-ndjson",
                    "application/javascript",
                    "application/xml",
                    "application/wasm",
                    "image/svg+xml",
                ],
            },
            etag: false,
            max_body: 1048576,
            max_response: 16777216,
            max_response_headers: 100,
            max_response_head: 65536,
            connections: 10000,
            connections_per_address: None,
            requests_per_address: None,
            max_target: 65536,
            header_timeout: 10s,
            idle_timeout: 75s,
            send_timeout: 30s,
            max_unsent: 536870912,
            body_timeout: 30s,
            request_timeout: 30s,
            action_timeout: 5s,
            drain_delay: 0ns,
            drain_timeout: 10s,
            max_concurrent_requests: 256,
            max_concurrent_per_component: None,
            max_waiting: None,
            max_receiving: 268435456,
            max_guest_memory: None,
            cache: "/home/ann/.cache/carya",
            page_scan: Auto,
            keep_resident: 8388608,
        },
        log: Limits {
            max_per_request: 65536,
            max_per_second: 1048576,
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
        rate_limits: [],
        headers: [],
        cors: [],
        reload: Reload {
            deny: [],
            migrate: true,
            init: true,
            poll: None,
        },
        outbound: Outbound {
            allow: [],
            allow_private: false,
            ca: None,
            max_in_flight: 64,
            in_transaction: false,
        },
        registries: {},
        deploy: None,
        test: Test {
            server: None,
            command: None,
            log_filter: "warn",
            temporary: None,
        },
        deployed: None,
        places: Places { .. },
    }
    "#);
}

/// A file that sets each key.
const EVERY_KEY: &str = r#"
debug = true

[server]
listen = "[::1]:0"
listen_mode = "0600"
redirect = "[::1]:80"
redirect_port = 8443
tls_cert = "tls/cert.pem"
tls_key = "tls/key.pem"
http2 = false
http2_max_streams = 50
trusted_proxies = ["10.0.0.0/8", "127.0.0.1", "fd00::/8", "unix"]
proxy_headers = "forwarded"
proxy_protocol = true
metrics = "127.0.0.1:9090"
public_health = true
compress = ["br", "gzip"]
compress_min_size = 256
compress_types = ["text/html", "image/*"]
etag = true
max_body = 65536
max_response = "1GiB"
max_response_headers = 10000
max_response_head = "8KiB"
connections = 1000000
connections_per_address = 100
requests_per_address = 50
max_target = "4KiB"
header_timeout = "500ms"
idle_timeout = "5m"
send_timeout = "1s"
max_unsent = "2GiB"
body_timeout = "5s"
request_timeout = "1m"
drain_delay = "5s"
drain_timeout = "0s"
max_concurrent_requests = 10
cache = "cache"
page_scan = "off"
keep_resident = "16MiB"
[[server.certificate]]
cert = "/etc/carya/other.pem"
key = "other-key.pem"

[log]
max_per_request = "1KiB"
max_per_second = 4096

[outbound]
allow = ["https://api.example.org", "http://*.example.net:8080/hooks/"]
allow_private = true
ca = "authorities.pem"
max_in_flight = 8
in_transaction = true

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
fallback = "app/index.html"
precompressed = ["gzip", "br"]
dotfiles = true

[[headers]]
path = "/static"
set = { "Cache-Control" = "no-store" }

[[cors]]
path = "/api"
origins = ["https://app.example.org"]
methods = ["get", "POST"]
headers = ["x-api-key"]
expose = ["etag"]
credentials = true
max_age = "10m"

[[rate_limit]]
name = "api"
path = "/api"
by = "header:X-Api-Key"
requests = 100
per = "1h"
burst = 10

[component.items]
path = "items.wasm"
build = "make items"
source = "items"
memory = "16MiB"
timeout = "2s"
http = ["https://api.example.org/v1/"]
http_timeout = "1s"
http_max_response = "1MiB"

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
"#;

#[test]
fn every_key() {
    let config = read(EVERY_KEY, &[]).expect("the file is right");
    assert_debug_snapshot!(config);
}

#[test]
fn a_route_has_an_access_mode() {
    for (word, mode) in [("none", Access::None), ("read-only", Access::ReadOnly), ("read-write", Access::ReadWrite)] {
        let text = format!(
            "[database]\nurl = \"sqlite:a\"\n[component.a]\npath = \"a\"\n[[route]]\npath = \"/\"\ncomponent = \"a\"\ntransaction = \"{word}\""
        );
        let config = read(&text, &[]).expect("the file is right");
        assert_eq!(config.routes[0].transaction, Some(mode));
        assert_eq!(config.routes[0].line, 5);
    }
}

#[test]
fn reports_a_missing_file() {
    let problems = load(Path::new("no/such/carya.toml")).expect_err("there is no file");
    assert_snapshot!(problems, @"no/such/carya.toml: cannot be read: No such file or directory (os error 2); `carya new NAME` makes a project that has one");
}
