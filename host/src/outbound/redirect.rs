//! Sends permitted requests to another server than their own, for the tests of an application.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use http::Uri;

use super::Failure;

/// A server that answers the requests of guests in place of their destinations.
#[derive(Debug)]
pub(crate) struct Redirect {
    /// URL to which the scheme, the authority, the path and the query of a request are appended.
    base: String,
    is_on: AtomicBool,
}

impl Redirect {
    /// Returns a redirect to `base`, a URL that ends with a slash. It is off.
    pub(crate) fn new(base: String) -> Self {
        Self { base, is_on: AtomicBool::new(false) }
    }

    /// Redirects all requests from now on.
    pub(crate) fn turn_on(&self) {
        self.is_on.store(true, Relaxed);
    }

    /// Returns the URL to send a request to, or `None` if the redirect is off.
    pub(super) fn target(&self, uri: &Uri) -> Option<Result<Uri, Failure>> {
        let target = || {
            let (scheme, authority) = (uri.scheme_str(), uri.authority().map(|authority| authority.as_str()));
            let path = uri.path_and_query().map(|path| path.as_str());
            let [scheme, authority, path] = [scheme, authority, path].map(Option::unwrap_or_default);
            format!("{}{scheme}/{authority}{path}", self.base).parse()
        };
        self.is_on.load(Relaxed).then(|| target().map_err(|_| Failure::Protocol("the URL is too long".to_owned())))
    }
}
