//! `[server]`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    acme::{ACME, Acme, acme},
    compression::{Compression, compression},
    context::Context,
    listen::{Redirect, Sockets, mode, redirect, sockets},
    proxy::{ProxyHeaders, TrustedProxy, proxy},
    quantity::{duration, positive_duration, size},
    section::{Section, TableKey},
    tls::{Tls, certificates},
    types::Type,
    value::{address, boolean, integer, path, word},
};

/// `[server]`: listeners, limits, timeouts and the cache.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// The sockets of the application.
    pub listen: Sockets,
    /// Mode of the file of a Unix socket.
    pub listen_mode: u32,
    /// The listener that redirects plain HTTP to `listen`.
    pub redirect: Option<Redirect>,
    /// Certificates of `listen` in files, the default one first.
    pub tls: Vec<Tls>,
    /// The certificate of `listen` that the host obtains.
    pub acme: Option<Acme>,
    /// Whether the listeners accept HTTP/2.
    pub http2: bool,
    /// Maximum number of streams of an HTTP/2 connection.
    pub http2_max_streams: u32,
    /// The proxies that describe their clients in forwarding headers, or in headers of the PROXY protocol.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// The headers that these proxies set.
    pub proxy_headers: ProxyHeaders,
    /// Whether these proxies begin each connection with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Address and port of the metrics. Without it they are not served.
    pub metrics: Option<SocketAddr>,
    /// Whether `listen` serves `/livez` and `/readyz` too.
    pub public_health: bool,
    /// Which responses are compressed.
    pub compression: Compression,
    /// Whether responses of guests to GET and HEAD have an entity tag.
    pub etag: bool,
    /// Maximum size of a request body, in bytes.
    pub max_body: usize,
    /// Maximum size of the response body that a guest makes, in bytes.
    pub max_response: usize,
    /// Maximum number of header fields in a guest's response.
    pub max_response_headers: usize,
    /// Maximum length of the header of a guest's response, in bytes.
    pub max_response_head: usize,
    /// Maximum number of connections to `listen`.
    pub connections: usize,
    /// Maximum number of connections of one client address.
    pub connections_per_address: Option<usize>,
    /// Maximum number of requests of one client address at a time.
    pub requests_per_address: Option<usize>,
    /// Maximum length of the target of a request, in bytes.
    pub max_target: usize,
    /// Maximum time from the first byte of a request's head to its last.
    pub header_timeout: Duration,
    /// Maximum time that a connection stays open without a request.
    pub idle_timeout: Duration,
    /// Maximum time for a client to receive each 16 KiB of a response.
    pub send_timeout: Duration,
    /// Maximum memory of unsent responses on all connections, in bytes.
    pub max_unsent: usize,
    /// Maximum time for a client to send each 16 KiB of a body.
    pub body_timeout: Duration,
    /// Maximum time for a request's body to arrive, and again from then on for its response.
    pub request_timeout: Duration,
    /// Maximum time that a response waits for the actions of its request.
    pub action_timeout: Duration,
    /// Time between the request of a shutdown and the end of the listener. `/readyz` answers 503 meanwhile.
    pub drain_delay: Duration,
    /// Maximum time for running requests to end after the listener was closed.
    pub drain_timeout: Duration,
    /// Number of places for running requests. A request with many guests takes several. Further requests wait for at
    /// most 1 s, and are then answered with 503.
    pub max_concurrent_requests: usize,
    /// Maximum number of requests of one component that run at the same time. `None`: half of the places.
    pub max_concurrent_per_component: Option<usize>,
    /// Maximum number of requests that wait for a place. `None`: as many as there are places.
    pub max_waiting: Option<usize>,
    /// Maximum size of all request bodies that are being received, in bytes.
    pub max_receiving: usize,
    /// Maximum memory that the guests of all components together may allocate, in bytes. `None`: half of the machine's.
    pub max_guest_memory: Option<usize>,
    /// Folder for compiled components and pulled images, kept between starts.
    pub cache: PathBuf,
    /// Whether the kernel reports which pages of an instance were written.
    pub page_scan: PageScan,
    /// Maximum size of the pages that stay mapped in the memory of an instance after its end, in bytes.
    pub keep_resident: usize,
}

/// How the pages to reset in the memory of an instance are found after its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageScan {
    /// The kernel reports the written pages, if it can and if memory is not swapped.
    Auto,
    /// All of the memory is reset.
    Off,
}

impl PageScan {
    /// All values.
    pub const ALL: [PageScan; 2] = [PageScan::Auto, PageScan::Off];

    /// Returns the name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            PageScan::Auto => "auto",
            PageScan::Off => "off",
        }
    }
}

pub(super) const SERVER: TableKey = TableKey { name: "server", doc: "listeners, limits and timeouts" };

/// Upper bound of `max_response_headers`. A `HeaderMap` holds 24,576 names, among them those of the host.
const MAX_HEADERS: i64 = 10_000;

/// Upper bound of `max_concurrent_requests`.
const MAX_REQUESTS: i64 = 100_000;

impl Server {
    /// Returns whether `listen` has TLS.
    pub fn has_tls(&self) -> bool {
        !self.tls.is_empty() || self.acme.is_some()
    }

    /// Returns the largest permitted value of `max_concurrent` of a component or a route.
    pub(super) fn most_concurrent(&self) -> usize {
        self.max_concurrent_per_component.unwrap_or(self.max_concurrent_requests)
    }
}

/// Reads `max_concurrent` of a component or a route. `most` is the value of [`Server::most_concurrent`]. `unset` describes
/// its absence.
pub(super) fn max_concurrent(section: &mut Section<'_>, most: usize, unset: &'static str) -> Option<usize> {
    const KEY: &str = "max_concurrent";
    let doc = "requests that run at the same time; at most `server.max_concurrent_per_component`";
    let count = section.key(KEY, integer(1..=MAX_REQUESTS), doc).or_none(unset)?;
    if count > most {
        let message = format!(
            "{count} is more than {most}, the value of server.max_concurrent_per_component or server.max_concurrent_requests; \
             lower it, or raise that limit of the host"
        );
        section.report_at(KEY, message);
    }
    Some(count)
}

pub(super) fn server(section: &mut Section<'_>) -> Server {
    let context = section.context();
    Server {
        listen: section
            .key(
                "listen",
                sockets(context.folder),
                "address of the application, or a Unix socket, or the sockets that systemd passes; see \
                 [Listeners](../guides/listeners.md)",
            )
            .or("127.0.0.1:8080"),
        listen_mode: section.key("listen_mode", mode(), "mode of the file of a Unix socket").or("0660"),
        redirect: redirect(section),
        tls: certificates(section),
        acme: section.optional(ACME, acme),
        http2: section.key("http2", boolean(), "accept HTTP/2, with TLS by ALPN, without TLS as h2c").or(true),
        http2_max_streams: section
            .key("http2_max_streams", integer(1..=10_000), "requests of an HTTP/2 connection at a time")
            .or(100),
        trusted_proxies: section
            .key(
                "trusted_proxies",
                Type::list(proxy()),
                "proxies that name the client in a header; `\"unix\"` for those that connect to a Unix socket; see \
                 [Run behind a proxy](../guides/proxy.md#client-addresses)",
            )
            .or_empty(),
        proxy_headers: section
            .key(
                "proxy_headers",
                word("a kind of header", ProxyHeaders::ALL, ProxyHeaders::as_str),
                "the headers that these proxies set: `X-Forwarded-For`, `-Proto` and `-Host`, or `Forwarded`",
            )
            .or("x-forwarded"),
        proxy_protocol: section
            .key(
                "proxy_protocol",
                boolean(),
                "these proxies begin each connection with a header of the \
                 [PROXY protocol](../guides/proxy.md#proxy-protocol), version 1 or 2",
            )
            .or(false),
        metrics: section
            .key(
                "metrics",
                address(),
                "address of `GET /metrics`, `/livez` and `/readyz`; see [Metrics](metrics.md) and [Health](health.md)",
            )
            .or_none("not served"),
        public_health: section
            .key("public_health", boolean(), "serve `/livez` and `/readyz` on `listen` too, without details")
            .or(false),
        compression: compression(section),
        etag: section
            .key(
                "etag",
                boolean(),
                "add `ETag`, a hash of the body, to guests' responses to GET, and answer `If-None-Match` with 304; see \
                 [HTTP](http.md#entity-tags)",
            )
            .or(false),
        max_body: section.key("max_body", size(), "longest request body; longer ones get 413").or("1MiB"),
        max_response: section.key("max_response", size(), "longest response body that a guest may make").or("16MiB"),
        max_response_headers: section
            .key(
                "max_response_headers",
                integer(1..=MAX_HEADERS),
                "header fields of a guest's response; the host adds at most 16",
            )
            .or(100),
        max_response_head: section.key("max_response_head", size(), "length of these header fields").or("64KiB"),
        connections: section
            .key(
                "connections",
                integer(1..=1_000_000),
                "open connections; see [Slow and silent clients](../explanation/clients.md)",
            )
            .or(10_000),
        connections_per_address: section
            .key(
                "connections_per_address",
                integer(1..=1_000_000),
                "connections of one client; further ones are closed. Proxies in `trusted_proxies` have no limit; see \
                 [Limit clients](../guides/limits.md)",
            )
            .or_none("no limit"),
        requests_per_address: section
            .key(
                "requests_per_address",
                integer(1..=1_000_000),
                "requests of one client at a time; further ones get 429",
            )
            .or_none("no limit"),
        max_target: section
            .key("max_target", size(), "longest path with its query; longer ones get 414. HTTP/1 permits at most 65,534 bytes.")
            .or("64KiB"),
        header_timeout: section
            .key("header_timeout", positive_duration(), "for the head of a request, from its first byte")
            .or("10s"),
        idle_timeout: section.key("idle_timeout", positive_duration(), "for a connection without a request").or("75s"),
        send_timeout: section
            .key("send_timeout", positive_duration(), "for a client to receive each 16 KiB of a response")
            .or("30s"),
        max_unsent: section.key("max_unsent", size(), "memory of unsent responses of all connections").or("512MiB"),
        body_timeout: section
            .key("body_timeout", positive_duration(), "for a client to send each 16 KiB of a body (408)")
            .or("30s"),
        request_timeout: section
            .key("request_timeout", positive_duration(), "for the body to arrive (408), and again for the answer (504)")
            .or("30s"),
        action_timeout: section
            .key(
                "action_timeout",
                positive_duration(),
                "for all `at-most-once` and `after-rollback` actions of a request together; the response waits for them",
            )
            .or("5s"),
        drain_delay: section
            .key(
                "drain_delay",
                duration(),
                "time between SIGTERM and the end of the listener, in which [`/readyz`](health.md) answers 503",
            )
            .or("0s"),
        drain_timeout: section
            .key(
                "drain_timeout",
                duration(),
                "for requests in flight at shutdown, and on the old generation after a reload",
            )
            .or("10s"),
        max_concurrent_requests: section
            .key(
                "max_concurrent_requests",
                integer(1..=MAX_REQUESTS),
                "requests that run at the same time; further ones queue for at most 1 s, then get 503. Fewer run if \
                 the process has little [address space](../explanation/starting.md#address-space). Routes with a \
                 database take at most three quarters of these places.",
            )
            .or(256),
        max_concurrent_per_component: section
            .key(
                "max_concurrent_per_component",
                integer(1..=MAX_REQUESTS),
                "the same for the requests of one component; upper bound of the key `max_concurrent` of components and \
                 routes",
            )
            .or_none("half of `max_concurrent_requests`"),
        max_waiting: section
            .key(
                "max_waiting",
                integer(0..=MAX_REQUESTS),
                "requests that queue, at most half of them for one component; further ones get 503 at once",
            )
            .or_none("as many as `max_concurrent_requests`"),
        max_receiving: section
            .key("max_receiving", size(), "memory of request bodies that are being received, on all connections")
            .or("256MiB"),
        max_guest_memory: section
            .key(
                "max_guest_memory",
                size(),
                "memory that all guests together may allocate, without the initial memory of their instances",
            )
            .or_none("half of the memory of the machine or the container"),
        cache: section
            .key(
                "cache",
                path(context.folder),
                "compiled code and pulled images; only used if \
                 [no other user can change it](../explanation/starting.md#compiled-code)",
            )
            .or_computed(
                cache(context),
                "`$XDG_CACHE_HOME/carya`, else `~/.cache/carya`, else `.carya-cache` beside the file",
            ),
        page_scan: section
            .key(
                "page_scan",
                word("a way to scan pages", PageScan::ALL, PageScan::as_str),
                "whether the kernel reports the pages that an instance has written; see \
                 [Memory between instances](../explanation/starting.md#memory-between-instances)",
            )
            .or("auto"),
        keep_resident: section
            .key(
                "keep_resident",
                size(),
                "how much of the memory that an instance has written stays mapped for the next one, if pages are scanned; see \
                 [Memory between instances](../explanation/starting.md#memory-between-instances)",
            )
            .or("8MiB"),
    }
}

/// Returns the default cache folder by the XDG rules; beside the file for a user without a home.
fn cache(context: &Context<'_>) -> String {
    let folder = |name| {
        let path = context.env.get(name).map(Path::new);
        path.filter(|path| path.is_absolute())
    };
    let cache = match (folder("XDG_CACHE_HOME"), folder("HOME")) {
        (Some(cache), _) => cache.join("carya"),
        (None, Some(home)) => home.join(".cache/carya"),
        (None, None) => PathBuf::from(".carya-cache"),
    };
    cache.to_string_lossy().into_owned()
}
