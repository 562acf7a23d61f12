//! The client behind trusted proxies: reads its address, scheme and authority from `X-Forwarded-For`, `X-Forwarded-Proto`
//! and `X-Forwarded-Host`, or from `Forwarded` (RFC 7239). The fields of other peers are ignored. So are the fields of the
//! kind that the proxies do not set, because a proxy may pass on such fields of the client.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::connections::is_host;
use crate::{
    config::{self, ProxyHeaders, TrustedProxy},
    message::Peer,
};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Report of a proxy about the request that it received.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Hop {
    /// Address of the proxy's peer. `None` if the proxy does not report an address.
    client: Option<IpAddr>,
    is_encrypted: Option<bool>,
    host: Option<String>,
}

/// Returns the client of a request that `peer` has sent. If `peer` is one of the proxies, this is the last address in
/// the chain that is not one of them, and the field `host` becomes the authority that this client requested.
pub(super) fn client(config: &config::Server, headers: &mut HeaderMap, peer: Peer) -> Peer {
    behind((&config.trusted_proxies, config.proxy_headers), headers, peer)
}

/// Returns whether a peer is one of the proxies. The peers of a Unix socket have no address.
pub(super) fn is_trusted(proxies: &[TrustedProxy], address: Option<IpAddr>) -> bool {
    proxies.iter().any(|proxy| match (proxy, address) {
        (TrustedProxy::Network(network), Some(address)) => network.contains(&address),
        (TrustedProxy::Unix, None) => true,
        _ => false,
    })
}

fn behind((proxies, kind): (&[TrustedProxy], ProxyHeaders), headers: &mut HeaderMap, peer: Peer) -> Peer {
    if !is_trusted(proxies, peer.address) {
        return peer;
    }
    // A hop without an address is one that a proxy hides.
    let is_proxy = |address: IpAddr| is_trusted(proxies, Some(address));
    let hops = hops(kind, headers);
    // The last hop was added by `peer`, the one before by the proxy at the address of the last one, and so on.
    let first = hops.iter().rposition(|hop| !hop.client.is_some_and(is_proxy)).unwrap_or(0);
    let Some(Hop { client, is_encrypted, host }) = hops.into_iter().nth(first) else { return peer };
    if let Some(host) = host.and_then(|host| HeaderValue::try_from(host).ok()) {
        headers.insert(header::HOST, host);
    }
    Peer { address: client, is_encrypted: is_encrypted.unwrap_or(peer.is_encrypted) }
}

/// Returns the hops of a request, that of the last proxy last.
fn hops(kind: ProxyHeaders, headers: &HeaderMap) -> Vec<Hop> {
    if kind == ProxyHeaders::Forwarded {
        return members(headers, header::FORWARDED).iter().map(|member| forwarded(member)).collect();
    }
    let [clients, schemes, hosts] = [FOR, PROTO, HOST].map(|name| members(headers, name));
    // A proxy may replace the lists of schemes and hosts by its own value, so these lists may be shorter.
    let from_last = |list: &[String], distance: usize| {
        let last = list.len().checked_sub(1)?;
        Some(list[last.saturating_sub(distance)].clone())
    };
    let hop = |(distance, client): (usize, &String)| Hop {
        client: address(client),
        is_encrypted: from_last(&schemes, distance).and_then(|scheme| is_encrypted(&scheme)),
        host: from_last(&hosts, distance).filter(|host| is_host(host.as_bytes())),
    };
    let mut hops: Vec<_> = clients.iter().rev().enumerate().map(hop).collect();
    hops.reverse();
    hops
}

/// Returns the members of a field whose value is a list, of all fields in order. Commas in quotes do not end a member.
fn members(headers: &HeaderMap, name: HeaderName) -> Vec<String> {
    let values = headers.get_all(name).into_iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    values.flat_map(|value| split(&value, ',')).collect()
}

/// Splits a text at a separator outside quotes, and trims the parts. Leaves out empty parts.
fn split(text: &str, separator: char) -> Vec<String> {
    let (mut parts, mut part, mut is_quoted, mut is_escaped) = (Vec::new(), String::new(), false, false);
    for letter in text.chars() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if letter == separator && !is_quoted => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(letter);
    }
    parts.push(part);
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Reads a member of `Forwarded`: `for="[2001:db8::1]:80";proto=https;host=example.org`.
fn forwarded(member: &str) -> Hop {
    let mut hop = Hop::default();
    for pair in split(member, ';') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = unquoted(value.trim());
        match name.trim().to_ascii_lowercase().as_str() {
            "for" => hop.client = address(&value),
            "proto" => hop.is_encrypted = is_encrypted(&value),
            "host" => hop.host = Some(value).filter(|host| is_host(host.as_bytes())),
            _ => {}
        }
    }
    hop
}

/// Removes the quotes and escapes of a quoted string. Returns another text as it is.
fn unquoted(text: &str) -> String {
    let Some(inside) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return text.to_owned() };
    let mut letters = inside.chars();
    let next = || match letters.next()? {
        '\\' => letters.next(),
        letter => Some(letter),
    };
    std::iter::from_fn(next).collect()
}

/// Parses an address with or without a port. Returns `None` for `unknown` and for obfuscated identifiers.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()));
    address.map(|address| address.to_canonical())
}

fn is_encrypted(scheme: &str) -> Option<bool> {
    match scheme.to_ascii_lowercase().as_str() {
        "https" => Some(true),
        "http" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer, the header fields of its request, and the expected address, scheme and host.
    type Row = (&'static str, &'static [(&'static str, &'static str)], &'static str);

    #[test]
    fn the_client_is_the_last_address_that_is_no_proxy() -> Result<(), Box<dyn std::error::Error>> {
        let proxies = ["10.0.0.0/8".parse()?, "2001:db8::/32".parse()?].map(TrustedProxy::Network);
        let table: &[Row] = &[
            // Peers that are no proxies.
            ("192.0.2.1", &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "https")], "192.0.2.1 http own"),
            ("192.0.2.1", &[("forwarded", "for=1.1.1.1;proto=https;host=a")], "192.0.2.1 http own"),
            // Proxies without fields.
            ("10.0.0.1", &[], "10.0.0.1 http own"),
            ("10.0.0.1", &[("x-forwarded-proto", "https")], "10.0.0.1 http own"),
            // X-Forwarded-For.
            ("10.0.0.1", &[("x-forwarded-for", "1.1.1.1")], "1.1.1.1 http own"),
            ("10.0.0.1", &[("x-forwarded-for", "6.6.6.6, 1.1.1.1")], "1.1.1.1 http own"),
            ("10.0.0.1", &[("x-forwarded-for", "6.6.6.6, 1.1.1.1, 10.9.9.9")], "1.1.1.1 http own"),
            (
                "10.0.0.1",
                &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.1.1.1,10.2.2.2")],
                "1.1.1.1 http own",
            ),
            ("10.0.0.1", &[("x-forwarded-for", "10.3.3.3, 10.2.2.2")], "10.3.3.3 http own"),
            ("10.0.0.1", &[("x-forwarded-for", "6.6.6.6, unknown, 10.2.2.2")], "none http own"),
            ("10.0.0.1", &[("x-forwarded-for", "1.1.1.1:1234")], "1.1.1.1 http own"),
            ("10.0.0.1", &[("x-forwarded-for", "2a00::1")], "2a00::1 http own"),
            ("10.0.0.1", &[("x-forwarded-for", "[2a00::1]:80")], "2a00::1 http own"),
            ("10.0.0.1", &[("x-forwarded-for", "::ffff:1.1.1.1")], "1.1.1.1 http own"),
            ("2001:db8::7", &[("x-forwarded-for", "1.1.1.1")], "1.1.1.1 http own"),
            // Scheme and host.
            (
                "10.0.0.1",
                &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "HTTPS"), ("x-forwarded-host", "shop:81")],
                "1.1.1.1 https shop:81",
            ),
            (
                "10.0.0.1",
                &[("x-forwarded-for", "1.1.1.1, 10.2.2.2"), ("x-forwarded-proto", "https, http")],
                "1.1.1.1 https own",
            ),
            // The last proxy has replaced the list.
            (
                "10.0.0.1",
                &[("x-forwarded-for", "1.1.1.1, 10.2.2.2"), ("x-forwarded-proto", "https")],
                "1.1.1.1 https own",
            ),
            ("10.0.0.1", &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "http, https")], "1.1.1.1 https own"),
            ("10.0.0.1", &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "gopher")], "1.1.1.1 http own"),
            ("10.0.0.1", &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-host", "a b")], "1.1.1.1 http own"),
            // Forwarded.
            ("10.0.0.1", &[("forwarded", "for=1.1.1.1;proto=https;host=shop")], "1.1.1.1 https shop"),
            ("10.0.0.1", &[("forwarded", "For=\"[2a00::1]:80\" ; PROTO=https")], "2a00::1 https own"),
            ("10.0.0.1", &[("forwarded", "for=6.6.6.6, for=1.1.1.1;by=10.2.2.2, for=10.2.2.2")], "1.1.1.1 http own"),
            ("10.0.0.1", &[("forwarded", "for=6.6.6.6;host=evil,for=1.1.1.1;host=\"a\\b\"")], "1.1.1.1 http ab"),
            ("10.0.0.1", &[("forwarded", "for=\"1.1.1.1, for=6.6.6.6\"")], "none http own"),
            ("10.0.0.1", &[("forwarded", "for=_hidden, for=10.2.2.2")], "none http own"),
            ("10.0.0.1", &[("forwarded", "for=1.1.1.1"), ("x-forwarded-for", "6.6.6.6")], "1.1.1.1 http own"),
            ("10.0.0.1", &[("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=6.6.6.6;host=evil")], "1.1.1.1 http own"),
            ("10.0.0.1", &[("forwarded", "proto=https")], "none https own"),
        ];
        for (peer, fields, expected) in table {
            let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("own"))]);
            for (name, value) in *fields {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            let peer = Peer { address: Some(peer.parse()?), is_encrypted: false };
            // The proxy sets the first field of the row. The client has sent further fields of the other kind.
            let kind = match fields.first() {
                Some(("forwarded", _)) => ProxyHeaders::Forwarded,
                _ => ProxyHeaders::XForwarded,
            };
            let Peer { address, is_encrypted } = behind((&proxies, kind), &mut headers, peer);
            let address = address.map_or("none".to_owned(), |address| address.to_string());
            let scheme = if is_encrypted { "https" } else { "http" };
            let found = format!("{address} {scheme} {}", headers[header::HOST].to_str()?);
            assert_eq!(found, *expected, "{peer:?} {fields:?}");
        }
        Ok(())
    }
}
