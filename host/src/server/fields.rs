//! Header fields that the configuration adds to responses: `[[cors]]` and `[[headers]]`.

use axum::response::Response;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};
use tower_layer::Layer;
use tower_service::Service;

use super::answer::Answer;
use crate::{
    config::{self, Config},
    routes::{below, decode_unreserved},
};

/// Methods of requests from other origins, if the configuration names none.
const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
/// Fields that only a response with a representation gets: a proxy must not keep the response to a failure.
const CACHING: [HeaderName; 2] = [header::CACHE_CONTROL, header::EXPIRES];

/// The fields that a generation adds to its responses.
#[derive(Debug)]
pub(super) struct Fields {
    /// The rules for other origins, by prefix, the longest prefix first.
    cors: Vec<(String, CorsLayer)>,
    /// The fields, by prefix, the longest prefix first.
    headers: Vec<(String, Vec<(HeaderName, HeaderValue)>)>,
}

/// The parts of a request that select the fields of its response.
#[derive(Debug)]
pub(super) struct Asked {
    head: http::Request<()>,
}

impl Fields {
    /// Returns the fields that a configuration adds, or `None`.
    pub(super) fn new(config: &Config) -> Option<Self> {
        let prefix = |path: &str| decode_unreserved(path.trim_end_matches('/')).into_owned();
        let mut cors: Vec<_> = config.cors.iter().map(|rules| (prefix(&rules.path), layer(rules))).collect();
        let mut headers: Vec<_> =
            config.headers.iter().map(|fields| (prefix(&fields.path), fields.set.clone())).collect();
        cors.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        headers.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        (!cors.is_empty() || !headers.is_empty()).then_some(Self { cors, headers })
    }

    /// Returns the parts of a request that the other functions need.
    pub(super) fn asked<B>(request: &http::Request<B>) -> Asked {
        let mut head = http::Request::new(());
        *head.method_mut() = request.method().clone();
        *head.uri_mut() = request.uri().clone();
        for name in [header::ORIGIN, header::ACCESS_CONTROL_REQUEST_METHOD, header::ACCESS_CONTROL_REQUEST_HEADERS] {
            if let Some(value) = request.headers().get(&name) {
                head.headers_mut().insert(name, value.clone());
            }
        }
        Asked { head }
    }

    fn cors(&self, path: &str) -> Option<&CorsLayer> {
        self.cors.iter().find(|(prefix, _)| below(path, prefix).is_some()).map(|(_, layer)| layer)
    }

    /// Returns the fields of the response if a browser asks whether a page may send a request (a preflight of CORS).
    pub(super) fn preflight(&self, Asked { head }: &Asked) -> Option<HeaderMap> {
        let names = [header::ORIGIN, header::ACCESS_CONTROL_REQUEST_METHOD];
        let is_preflight =
            head.method() == Method::OPTIONS && names.iter().all(|name| head.headers().contains_key(name));
        let layer = self.cors(head.uri().path()).filter(|_| is_preflight)?;
        let response = layer.layer(Answer(None)).call(head.clone()).now_or_never()?;
        Some(std::mem::take(response.unwrap_or_else(|never| match never {}).headers_mut()))
    }

    /// Adds the fields to a response. Fields that the response has already stay as they are.
    pub(super) fn apply(&self, Asked { head }: Asked, response: Response) -> Response {
        let path = head.uri().path().to_owned();
        let mut response = match self.cors(&path) {
            Some(layer) if !response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) => {
                with_cors(layer, head, response)
            }
            _ => response,
        };
        let has_representation = response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED;
        let headers = response.headers_mut();
        for (_, fields) in self.headers.iter().filter(|(prefix, _)| below(&path, prefix).is_some()) {
            for (name, value) in fields.iter().filter(|(name, _)| has_representation || !CACHING.contains(name)) {
                if !headers.contains_key(name) && headers.try_insert(name, value.clone()).is_err() {
                    tracing::error!(%name, "a header field of [[headers]] could not be set");
                }
            }
        }
        response
    }
}

/// Adds the fields of CORS to a response.
fn with_cors(layer: &CorsLayer, mut head: http::Request<()>, response: Response) -> Response {
    // The layer would take every OPTIONS request for a preflight.
    if head.method() == Method::OPTIONS {
        *head.method_mut() = Method::GET;
    }
    let response = layer.layer(Answer(Some(response))).call(head).now_or_never();
    response.map(|response| response.unwrap_or_else(|never| match never {})).unwrap_or_default()
}

/// Returns the layer for some rules. The configuration permits no combination at which the layer panics.
fn layer(rules: &config::Cors) -> CorsLayer {
    let config::Cors { origins, methods, headers, expose, credentials, max_age, .. } = rules;
    let is_any = |list: &[String]| list.iter().any(|item| item == "*");
    let origins = match is_any(origins) {
        true => AllowOrigin::from(Any),
        false => AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())),
    };
    let names = |list: &[String]| list.iter().filter_map(|name| name.parse().ok()).collect::<Vec<HeaderName>>();
    let methods = match methods.is_empty() {
        true => METHODS.to_vec(),
        false => methods.iter().filter_map(|method| method.parse().ok()).collect(),
    };
    let headers = if is_any(headers) { AllowHeaders::mirror_request() } else { AllowHeaders::list(names(headers)) };
    let layer = CorsLayer::new().allow_origin(origins).allow_methods(methods).allow_headers(headers);
    layer.expose_headers(names(expose)).allow_credentials(*credentials).max_age(*max_age)
}
