//! The folders of `[[static]]`: selects the folder for a path, and serves files from it.
//!
//! A prefix never hides a route:
//! - A route that begins with the prefix has precedence over the folder: `/static/{id}` over `/static`.
//! - Any other route gets the requests for which the folder has no file: `/{*rest}` beside `/static`.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, StatusCode, Uri, header, uri::PathAndQuery};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tower_http::services::{ServeDir, fs::DefaultServeDirFallback};
use tower_service::Service;

use super::{
    range::{Part, select},
    regular::RegularFiles,
};
use crate::{
    config::{Encoding, StaticFiles},
    routes::{below, decode_unreserved},
};

/// The characters that are encoded in the path of a fallback.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/');

/// The folders of one generation, in descending order of prefix length.
#[derive(Debug)]
pub(super) struct Folders(Vec<Arc<Folder>>);

/// The handler of a path.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Application,
    /// The folder. It answers 404 if it has no file for the request.
    Folder(Arc<Folder>),
    /// The folder if it has a file for the request, otherwise the application.
    FileOrApplication(Arc<Folder>),
}

/// A folder and the path prefix under which it is served.
#[derive(Debug)]
pub(super) struct Folder {
    /// The prefix without a trailing slash. The empty prefix matches every path that begins with a slash.
    prefix: String,
    files: ServeDir<DefaultServeDirFallback, RegularFiles>,
    /// Path of the page for paths without a file.
    fallback: Option<Uri>,
    /// Whether the client's `Accept-Encoding` selects a file.
    is_negotiated: bool,
}

impl Folders {
    pub(super) fn new(config: &[StaticFiles]) -> Self {
        let mut folders: Vec<_> = config.iter().map(|config| Arc::new(Folder::new(config))).collect();
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.prefix.len()));
        Self(folders)
    }

    /// Returns the handler of `path`. `route` returns the pattern of the route that matches `path`.
    pub(super) fn target<'a>(&self, path: &str, route: impl FnOnce() -> Option<&'a str>) -> Target {
        let Some(folder) = self.find(path) else { return Target::Application };
        match route() {
            None => Target::Folder(folder.clone()),
            Some(pattern) if below(pattern, &folder.prefix).is_some() => Target::Application,
            Some(_) => Target::FileOrApplication(folder.clone()),
        }
    }

    /// Returns the folder with the longest prefix that matches `path`.
    fn find(&self, path: &str) -> Option<&Arc<Folder>> {
        self.0.iter().find(|folder| below(path, &folder.prefix).is_some())
    }
}

impl Folder {
    fn new(StaticFiles { path, folder, fallback, precompressed, dotfiles, .. }: &StaticFiles) -> Self {
        let prefix = decode_unreserved(path.trim_end_matches('/')).into_owned();
        // `ServeDir` receives paths without the prefix, and has to add the prefix in its redirects.
        let files = ServeDir::with_backend(folder, RegularFiles::new(folder, *dotfiles));
        let mut files = files.redirect_path_prefix(prefix.clone());
        for encoding in precompressed {
            files = match encoding {
                Encoding::Brotli => files.precompressed_br(),
                Encoding::Zstd => files.precompressed_zstd(),
                Encoding::Gzip => files.precompressed_gzip(),
            };
        }
        let fallback =
            fallback.as_ref().and_then(|page| format!("/{}", utf8_percent_encode(page, ENCODED)).parse().ok());
        Self { prefix, files, fallback, is_negotiated: !precompressed.is_empty() }
    }

    /// Serves a request under this folder's prefix. `is_last` is whether no route serves the paths without a file, so
    /// that the fallback does.
    pub(super) fn answer(&self, request: &Request, is_last: bool) -> impl Future<Output = Response> + Send {
        let head = head(request);
        let page = self.fallback.as_ref().filter(|_| is_last && names_a_page(head.uri().path())).map(|page| {
            let mut head = head.clone();
            *head.uri_mut() = page.clone();
            head
        });
        async move {
            match (self.respond(head).await, page) {
                (missing, Some(page)) if missing.status() == StatusCode::NOT_FOUND => self.part(page).await,
                (response, _) => response,
            }
        }
    }

    /// Returns the path prefix, which is empty for `/`.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    async fn respond(&self, mut head: http::Request<()>) -> Response {
        let path = head.uri().path();
        // `ServeDir` decodes a path before it splits it at its slashes. No file has a slash in its name.
        if path.contains("%2F") || path.contains("%2f") {
            return StatusCode::NOT_FOUND.into_response();
        }
        let is_prefix = path == self.prefix;
        let below = is_prefix.then(|| location(head.uri())).flatten();
        if let Some(uri) = without(head.uri(), &self.prefix) {
            *head.uri_mut() = uri;
        }
        let response = self.part(head).await;
        match below {
            // Relative links in the page of the folder need the slash. For folders below this folder, `ServeDir` sends
            // the redirect.
            Some(location) if has_file(&response) => {
                (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response()
            }
            _ => response,
        }
    }

    /// Serves the part of a file that the request selects. The host handles all ranges that `ServeDir` handles
    /// differently from RFC 9110, and does not pass them on: several ranges, ranges with other units, malformed ranges,
    /// ranges of HEAD requests and of empty files, and ranges beyond the end of the file.
    async fn part(&self, mut head: http::Request<()>) -> Response {
        let whole = head.clone();
        if head.headers_mut().remove(header::RANGE).is_none() || head.method() != Method::GET {
            return self.call(head).await;
        }
        let mut probe = head.clone();
        *probe.method_mut() = Method::HEAD;
        let file = self.call(probe).await;
        if file.status() != StatusCode::OK {
            return file;
        }
        let range = match select(whole.headers(), file.headers()) {
            Part::Whole => return self.call(head).await,
            Part::Nothing => return unsatisfiable(file),
            Part::Bytes { first, last } => HeaderValue::try_from(format!("bytes={first}-{last}")),
        };
        let mut partial = head.clone();
        partial.headers_mut().extend(range.map(|range| (header::RANGE, range)));
        let response = self.call(partial).await;
        // If the file was replaced meanwhile, the range was selected for the old file. Then serve the whole new file.
        match response.headers().get(header::ETAG) == file.headers().get(header::ETAG) {
            true => response,
            false => self.call(head).await,
        }
    }

    async fn call(&self, head: http::Request<()>) -> Response {
        let mut response = self.files.clone().call(head).await.unwrap_or_else(|never| match never {});
        // `ServeDir` adds the field to responses with a file only. RFC 9110, section 15.4.5, requires it in a 304 too.
        if self.is_negotiated && response.status() == StatusCode::NOT_MODIFIED {
            response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        response.map(Body::new)
    }
}

/// Returns a copy of a request without its body. `ServeDir` reads only the first field with a list of entity tags, so
/// several ones are joined.
fn head(request: &Request) -> http::Request<()> {
    let mut head = http::Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.headers_mut() = request.headers().clone();
    for name in [header::IF_MATCH, header::IF_NONE_MATCH] {
        let lists: Vec<_> = request.headers().get_all(&name).iter().map(HeaderValue::as_bytes).collect();
        if let (2.., Ok(list)) = (lists.len(), HeaderValue::from_bytes(&lists.join(&b", "[..]))) {
            head.headers_mut().insert(name, list);
        }
    }
    head
}

/// Returns whether a path may be that of a page in a single-page application. A path with a dot in its last segment names a
/// file: a script that is missing after a deployment must be a 404 and not a page.
fn names_a_page(path: &str) -> bool {
    !path.rsplit('/').next().is_some_and(|name| name.contains('.'))
}

/// Returns whether the response of a folder is about one of its files.
pub(super) fn has_file(response: &Response) -> bool {
    !matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)
}

/// Returns the path and query of `uri` with a slash at the end of the path.
fn location(uri: &Uri) -> Option<HeaderValue> {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    HeaderValue::from_bytes(format!("{}/{query}", uri.path()).as_bytes()).ok()
}

/// Turns the response to a HEAD request into a 416.
fn unsatisfiable(mut file: Response) -> Response {
    *file.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    let headers = file.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    headers.remove(header::CONTENT_ENCODING);
    if let Some(length) = headers.remove(header::CONTENT_LENGTH) {
        let range = HeaderValue::from_bytes(&[b"bytes */", length.as_bytes()].concat());
        headers.extend(range.map(|range| (header::CONTENT_RANGE, range)));
    }
    file
}

/// Returns path and query of `uri` without `prefix`, with exactly one leading slash: a client would follow a redirect
/// to `//folder/` to the host `folder`.
fn without(uri: &Uri, prefix: &str) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().strip_prefix(prefix)?;
    PathAndQuery::try_from(format!("/{}", rest.trim_start_matches('/'))).ok().map(Uri::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(prefixes: &[&str]) -> Folders {
        let folder =
            |path: &&str| StaticFiles { path: (*path).to_owned(), folder: "public".into(), ..StaticFiles::default() };
        Folders::new(&prefixes.iter().map(folder).collect::<Vec<_>>())
    }

    #[test]
    fn the_longest_prefix_serves_a_path() {
        let folders = folders(&["/", "/static", "/static/more", "/über"]);
        for (path, prefix) in [
            ("/", Some("")),
            ("/x", Some("")),
            ("/static", Some("/static")),
            ("/static/", Some("/static")),
            ("/static/x/y", Some("/static")),
            ("/statics", Some("")),
            ("/static/more", Some("/static/more")),
            ("/static/more/x", Some("/static/more")),
            ("/static/mor", Some("/static")),
            ("/Static/x", Some("")),
            ("//static/x", Some("")),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(folders.find(path).map(|folder| folder.prefix.as_str()), prefix, "{path}");
        }
        assert!(self::folders(&["/static"]).find("/").is_none());
        assert!(self::folders(&[]).find("/static").is_none());
    }

    #[test]
    fn a_prefix_hides_no_route() {
        let folders = folders(&["/", "/static"]);
        for (path, pattern, expected) in [
            ("/static/x", None, "folder"),
            ("/static/x", Some("/static/{id}"), "application"),
            ("/static", Some("/static"), "application"),
            ("/static/x", Some("/{kind}/{id}"), "file or application"),
            ("/static/x", Some("/{*rest}"), "file or application"),
            ("/static/x", Some("/static{suffix}"), "file or application"),
            ("/other/x", Some("/{*rest}"), "application"),
            ("/other/x", None, "folder"),
            ("*", None, "application"),
        ] {
            let found = match folders.target(path, || pattern) {
                Target::Application => "application",
                Target::Folder(_) => "folder",
                Target::FileOrApplication(_) => "file or application",
            };
            assert_eq!(found, expected, "{path} {pattern:?}");
        }
    }

    #[test]
    fn a_folder_receives_the_path_after_its_prefix() -> Result<(), http::uri::InvalidUri> {
        for (uri, prefix, expected) in [
            ("/static/a.css?v=1", "/static", Some("/a.css?v=1")),
            ("/static", "/static", Some("/")),
            ("/static?v=1", "/static", Some("/?v=1")),
            ("/a%2Fb", "", Some("/a%2Fb")),
            ("http://host/static/x", "/static", Some("/x")),
            ("//a", "", Some("/a")),
            ("/static//a?b=//", "/static", Some("/a?b=//")),
            ("/other", "/static", None),
        ] {
            let found = without(&uri.parse()?, prefix).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{uri}");
        }
        Ok(())
    }
}
