//! Checks of request heads that hyper leaves to its service: the rules of RFC 9110 and RFC 9112 that decide to which host
//! and to which resource a request is sent.

use std::net::Ipv6Addr;

use http::{HeaderMap, HeaderValue, Method, Uri, Version, header, request::Parts, uri::PathAndQuery};

use crate::{error::Failure, routes};

/// The target of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// A resource of a handler.
    Resource,
    /// The server as a whole: `OPTIONS *`.
    Server,
}

/// Checks the head of a request, and normalizes it for the handler: the field `host` becomes the authority of the
/// target, and the target becomes a path and query without percent-encoded unreserved characters.
///
/// `has_fragment` is whether the request line contains a `#`, which `head.uri` does not show.
///
/// # Errors
///
/// Returns the failure to answer if the request is malformed, or needs a feature that the host does not have.
pub(super) fn check(head: &mut Parts, has_fragment: bool) -> Result<Scope, Failure> {
    check_transfer_encoding(&head.headers)?;
    check_expectation(head)?;
    if head.method == Method::CONNECT {
        return Err(Failure::not_implemented("The server is not a proxy."));
    }
    if has_fragment {
        return Err(Failure::malformed("The target of the request contains `#`."));
    }
    check_host(head)?;
    normalize(head)
}

/// Checks that a request has no transfer coding but `chunked`. hyper rejects requests whose last transfer coding is not
/// `chunked`, and decodes no other coding.
fn check_transfer_encoding(headers: &HeaderMap) -> Result<(), Failure> {
    if !headers.contains_key(header::TRANSFER_ENCODING) {
        return Ok(());
    }
    let is_chunked = |coding: &&str| coding.eq_ignore_ascii_case("chunked");
    let codings: Vec<_> = members(headers, header::TRANSFER_ENCODING).collect();
    match codings.iter().filter(|coding| is_chunked(coding)).count() {
        1 if codings.len() == 1 => Ok(()),
        0 | 1 => Err(Failure::not_implemented("The server implements no transfer coding but `chunked`.")),
        _ => Err(Failure::malformed("The request has the transfer coding `chunked` more than once.")),
    }
}

/// Checks that a request has no expectation but `100-continue`. hyper sends `100 Continue` when the handler reads the
/// body, if the last field is exactly `100-continue`. A client that waits for it would otherwise send no body, so
/// lists are refused.
fn check_expectation(head: &Parts) -> Result<(), Failure> {
    let every = |expectation: &[u8]| {
        let mut values = head.headers.get_all(header::EXPECT).iter();
        values.all(|value| value.as_bytes().eq_ignore_ascii_case(expectation))
    };
    // RFC 9110, section 10.1.1: HTTP/1.0 has no expectations.
    match head.version < Version::HTTP_11 || every(b"") || every(b"100-continue") {
        true => Ok(()),
        false => Err(Failure::expectation_failed()),
    }
}

/// Returns the members of a field whose value is a list. A value that is not ASCII is one member.
fn members(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or("?"));
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|member| !member.is_empty())
}

/// Checks that a request names exactly one host, and sets the field `host` to the authority of the target, if the target
/// has one. HTTP/1.0 requests need no host.
fn check_host(head: &mut Parts) -> Result<(), Failure> {
    let mut given = head.headers.get_all(header::HOST).into_iter();
    match (given.next(), given.next()) {
        (None, _) if head.uri.authority().is_none() && head.version >= Version::HTTP_11 => {
            return Err(Failure::malformed("The request has no Host header."));
        }
        (Some(host), None) if !is_host(host.as_bytes()) => {
            return Err(Failure::malformed("The Host header of the request is malformed."));
        }
        (_, Some(_)) => return Err(Failure::malformed("The request has more than one Host header.")),
        _ => {}
    }
    let Some(authority) = head.uri.authority() else { return Ok(()) };
    match HeaderValue::from_str(authority.as_str()) {
        Ok(host) if is_host(host.as_bytes()) => head.headers.insert(header::HOST, host),
        _ => return Err(Failure::malformed("The host in the target of the request is malformed.")),
    };
    Ok(())
}

/// Returns whether `value` is a host with an optional port, as in RFC 9112, section 3.2. An `http` URI has no empty host.
pub(in crate::server) fn is_host(value: &[u8]) -> bool {
    let Ok(value) = std::str::from_utf8(value) else { return false };
    let (is_valid, port) = match value.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address.parse::<Ipv6Addr>().is_ok(), port),
        None => {
            let (name, port) = value.split_at(value.find(':').unwrap_or(value.len()));
            (is_name(name.as_bytes()), port)
        }
    };
    // A colon without a port stands for the default port.
    let is_port = |digits: &str| {
        digits.is_empty() || digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
    };
    is_valid && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// Returns whether `name` is a `reg-name` of RFC 3986 that is not empty. IPv4 addresses are a special case of it.
fn is_name(name: &[u8]) -> bool {
    let is_in_name = |(at, byte): (usize, &u8)| match byte {
        b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => true,
        b'%' => name.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
        _ => byte.is_ascii_alphanumeric(),
    };
    !name.is_empty() && name.iter().enumerate().all(is_in_name)
}

/// Checks the form of the target, and reduces it to a normalized path and query.
fn normalize(head: &mut Parts) -> Result<Scope, Failure> {
    let uri = &head.uri;
    let is_other_scheme = uri.scheme_str().is_some_and(|scheme| !matches!(scheme, "http" | "https"));
    let (Some(target), false) = (uri.path_and_query(), is_other_scheme) else {
        return Err(Failure::malformed("The target of the request is malformed."));
    };
    match target.path() {
        "*" if head.method == Method::OPTIONS => return Ok(Scope::Server),
        path if !path.starts_with('/') => return Err(Failure::malformed("The target of the request is malformed.")),
        path => {
            let normal = routes::decode_unreserved(path);
            if normal.as_ref() != path || uri.authority().is_some() {
                let query = target.query().map(|query| format!("?{query}")).unwrap_or_default();
                let target = PathAndQuery::try_from(format!("{normal}{query}"));
                head.uri =
                    Uri::from(target.map_err(|_| Failure::malformed("The target of the request is malformed."))?);
            }
        }
    }
    Ok(Scope::Resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognizes_valid_hosts() {
        for (host, good) in [
            ("example.com", true),
            ("example.com:80", true),
            ("example.com:", true),
            ("a_b.example", true),
            ("127.0.0.1:8080", true),
            ("[::1]", true),
            ("[::1]:8080", true),
            ("caf%C3%A9.example", true),
            ("", false),
            (":80", false),
            ("example.com:http", false),
            ("example.com:+1", false),
            ("example.com:65536", false),
            ("example.com:80:80", false),
            ("user@example.com", false),
            ("example.com/path", false),
            ("example.com, example.org", false),
            ("a b", false),
            ("::1", false),
            ("[::1", false),
            ("[::1]80", false),
            ("[example.com]", false),
            ("caf%C3%G9.example", false),
            ("caf%C", false),
            ("a#b", false),
            ("a?b", false),
            ("a\\b", false),
            ("café.example", false),
        ] {
            assert_eq!(is_host(host.as_bytes()), good, "{host}");
        }
    }
}
