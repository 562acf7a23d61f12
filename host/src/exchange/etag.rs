//! Entity tags of guests' responses: a hash of the body, and 304 for clients that already have this body (RFC 9110,
//! sections 8.8.3 and 13.1.2).

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::{
    content::Digest,
    message::{BodyLength, Reply, Request},
};

/// Hexadecimal digits of the hash in an entity tag.
const LENGTH: usize = 32;
/// Fields that a 304 does not have, because they describe the body that it leaves out.
const OF_BODY: [HeaderName; 3] = [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE];

/// Adds an entity tag to the reply to a GET or HEAD request, and turns the reply into a 304 if the client has its body.
/// A tag of the guest is kept. Streamed rows have no tag, because their head is sent before their last row.
pub(super) fn apply(request: &Request, reply: &mut Reply) {
    let is_tagged = matches!(request.method, Method::GET | Method::HEAD)
        && reply.status == StatusCode::OK
        && reply.length != BodyLength::Streamed
        && !may_not_be_stored(&reply.headers);
    if !is_tagged {
        return;
    }
    let tag = match reply.headers.get(header::ETAG) {
        Some(tag) => tag.clone(),
        None if reply.length == BodyLength::OfBody => {
            let tag = tag(&reply.body);
            super::add(&mut reply.headers, header::ETAG, tag.clone());
            tag
        }
        // A guest has left out the body of a response to HEAD.
        None => return,
    };
    if matches(&request.headers, tag.as_bytes()) {
        reply.status = StatusCode::NOT_MODIFIED;
        OF_BODY.iter().for_each(|name| drop(reply.headers.remove(name)));
    }
}

fn may_not_be_stored(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|directive| directive.trim().eq_ignore_ascii_case("no-store"))
}

/// Returns the strong entity tag of a body.
fn tag(body: &[u8]) -> HeaderValue {
    let tag = format!("\"{:.LENGTH$}\"", Digest::of(body));
    HeaderValue::try_from(tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Returns whether `If-None-Match` names an entity tag, by the weak comparison.
fn matches(headers: &HeaderMap, tag: &[u8]) -> bool {
    let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_owned();
    let own = opaque(tag);
    headers.get_all(header::IF_NONE_MATCH).iter().any(|list| {
        let list = list.as_bytes().trim_ascii();
        list == b"*" || tags(list).any(|tag| tag == own)
    })
}

/// Returns the opaque tags of a list, in quotes. A comma may be part of a tag. The rest of a malformed list is ignored.
fn tags(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let begin = rest.iter().position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
        let tag = rest[begin..].strip_prefix(b"W/").unwrap_or(&rest[begin..]);
        let end = 1 + tag.strip_prefix(b"\"")?.iter().position(|byte| *byte == b'"')?;
        rest = &tag[end + 1..];
        Some(&tag[..=end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_a_tag_by_the_weak_comparison() {
        for (list, tag, expected) in [
            ("\"a\"", "\"a\"", true),
            ("\"a\"", "\"b\"", false),
            ("W/\"a\"", "\"a\"", true),
            ("\"a\"", "W/\"a\"", true),
            ("\"b\", W/\"c\" ,\"a\"", "\"a\"", true),
            ("\"x,\"a\"", "\"a\"", false),
            ("\"a,b\"", "\"a,b\"", true),
            ("\"a,b\"", "\"a\"", false),
            ("*", "\"a\"", true),
            ("\"*\"", "\"a\"", false),
            ("a", "\"a\"", false),
            ("\"a", "\"a\"", false),
            (", ,\"a\"", "\"a\"", true),
            ("\"\"", "\"\"", true),
            ("w/\"a\"", "\"a\"", false),
            ("", "\"a\"", false),
        ] {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(list))]);
            assert_eq!(matches(&headers, tag.as_bytes()), expected, "{list} {tag}");
        }
        assert!(!matches(&HeaderMap::new(), b"\"a\""));
    }

    #[test]
    fn a_tag_is_a_part_of_the_hash_of_the_body() {
        assert_eq!(tag(b""), "\"e3b0c44298fc1c149afbf4c8996fb924\"");
        assert_ne!(tag(b"a"), tag(b"b"));
    }
}
