//! Content codings of responses: compresses the bodies of guests' responses and of files for clients that accept it.

use axum::{body::Body, extract::Request, response::Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Body as HttpBody;
use tower_http::compression::{Compression as Layer, predicate::Predicate};
use tower_service::Service;

use super::answer::Answer;
use crate::config::{self, Encoding};

/// The compression of a generation's responses.
#[derive(Debug, Clone)]
pub(super) struct Compression {
    encodings: Vec<Encoding>,
    eligible: Eligible,
}

/// The parts of a request that select the coding of its response.
#[derive(Debug)]
pub(super) struct Wish {
    head: http::Request<()>,
}

/// Which responses are compressed.
#[derive(Debug, Clone)]
struct Eligible {
    min_size: u64,
    /// Types such as `application/json`, and `text/` for all that begin with it.
    types: std::sync::Arc<[String]>,
}

impl Compression {
    /// Returns the compression that a configuration turns on, or `None`.
    pub(super) fn new(config: &config::Server) -> Option<Self> {
        let config::Compression { encodings, min_size, types } = &config.compression;
        if encodings.is_empty() {
            return None;
        }
        let types = types.iter().map(|name| name.trim_end_matches('*').to_ascii_lowercase()).collect();
        let eligible = Eligible { min_size: *min_size as u64, types };
        Some(Self { encodings: encodings.clone(), eligible })
    }

    /// Returns the parts of a request that [`apply`](Self::apply) needs.
    pub(super) fn wish(request: &Request) -> Wish {
        let mut head = http::Request::new(());
        *head.method_mut() = request.method().clone();
        for value in request.headers().get_all(header::ACCEPT_ENCODING) {
            head.headers_mut().append(header::ACCEPT_ENCODING, value.clone());
        }
        Wish { head }
    }

    /// Compresses the body of a response if the client accepts a coding and the response is eligible.
    pub(super) async fn apply(&self, Wish { head }: Wish, response: Response) -> Response {
        let (is_head, status) = (head.method() == Method::HEAD, response.status());
        // A 304 has the fields that the whole response would have, but no type by which it could be eligible.
        let may_vary = status == StatusCode::NOT_MODIFIED;
        let was_encoded = response.headers().contains_key(header::CONTENT_ENCODING);
        let has = |encoding| self.encodings.contains(&encoding);
        let mut layer = Layer::new(Answer(Some(response)))
            .br(has(Encoding::Brotli))
            .zstd(has(Encoding::Zstd))
            .gzip(has(Encoding::Gzip))
            .compress_when(self.eligible.clone());
        let response = layer.call(head).await.unwrap_or_else(|never| match never {});
        let (mut parts, body) = response.into_parts();
        // The layer answers 406 to clients that refuse even the identity. RFC 9110, section 12.5.3, recommends to ignore
        // this, and the transaction may be committed.
        parts.status = status;
        let is_encoded = !was_encoded && parts.headers.contains_key(header::CONTENT_ENCODING);
        if may_vary {
            parts.headers.append(header::VARY, HeaderValue::from_name(header::ACCEPT_ENCODING));
        }
        if is_encoded {
            weaken(&mut parts.headers);
        }
        // The coding of an empty body is not empty.
        let body = if is_head { Body::empty() } else { Body::new(body.map_err(Into::<axum::BoxError>::into)) };
        Response::from_parts(parts, body)
    }
}

/// Makes the entity tag of a response weak: the compressed and the plain body have the same tag.
fn weaken(headers: &mut HeaderMap) {
    if let Some(tag) = headers.get(header::ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""))
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        headers.insert(header::ETAG, weak);
    }
}

impl Predicate for Eligible {
    fn should_compress<B: HttpBody>(&self, response: &http::Response<B>) -> bool {
        let text = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let kind = text(header::CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let kind = kind.to_ascii_lowercase();
        let is_of_type = self.types.iter().any(|name| match name.ends_with('/') {
            true => kind.starts_with(&**name),
            false => kind == *name,
        });
        // The response to HEAD has no body. Streamed rows have no length.
        let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let is_large = length.or(response.body().size_hint().exact()).is_none_or(|length| length >= self.min_size);
        let mut controls =
            response.headers().get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
        is_of_type && is_large && !controls.any(|value| value.to_ascii_lowercase().contains("no-transform"))
    }
}
