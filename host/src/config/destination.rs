//! Destinations of outbound HTTP requests: `https://*.example.net/hooks/`. The lists of a host and of its applications
//! have the same form as the request of a guest, so one comparison serves both.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use http::{Uri, uri::Scheme};
use percent_encoding::percent_decode_str;

use super::{
    problem::Place,
    types::Type,
    value::{read_text, string_like},
};

/// A URL without user, query and fragment, in normal form. In a list, its host may begin with `*.`, and a path that
/// ends with `/` stands for all paths below.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    is_encrypted: bool,
    host: Host,
    port: u16,
    path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Host {
    /// A name in lower case, or an address. IPv6 addresses are in brackets.
    Exact(String),
    /// All names below this one.
    Below(String),
}

impl Destination {
    /// Returns the destination of a request. Returns `None` for a scheme other than `http` and `https`, and for a URL
    /// with a user.
    pub fn of(uri: &Uri) -> Option<Self> {
        let is_encrypted = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return None,
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let host = normal(authority.host());
        let port = match authority.as_str().strip_prefix(authority.host())? {
            "" => default_port(is_encrypted),
            // `Authority::port_u16` is `None` both without a port and for one that is no number.
            _ => authority.port_u16()?,
        };
        let path = if uri.path().is_empty() { "/" } else { uri.path() };
        (!host.is_empty()).then(|| Self { is_encrypted, host: Host::Exact(host), port, path: path.to_owned() })
    }

    /// Returns whether this entry of a list permits everything that `other` stands for.
    pub fn covers(&self, other: &Self) -> bool {
        let is_host = match (&self.host, &other.host) {
            (Host::Exact(name), Host::Exact(other)) => name == other,
            (Host::Exact(_), Host::Below(_)) => false,
            (Host::Below(name), Host::Exact(other)) => is_below(other, name),
            (Host::Below(name), Host::Below(other)) => name == other || is_below(other, name),
        };
        let is_path = match &*self.path {
            "/" => true,
            folder if folder.ends_with('/') => other.path.starts_with(folder) && !has_dot_segment(&other.path),
            path => path == other.path,
        };
        is_host && is_path && (self.is_encrypted, self.port) == (other.is_encrypted, other.port)
    }

    /// Returns the entry that would permit requests to this destination's host and port.
    pub fn origin(&self) -> Self {
        Self { path: "/".to_owned(), ..self.clone() }
    }
}

/// Parses an entry of a list.
impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form =
            || r#"is not a destination; write it as "https://api.example.org" or "https://*.example.org/hooks/""#;
        if text.contains(['?', '#']) {
            return Err("has a query or a fragment, which destinations cannot have".to_owned());
        }
        let exact = text.replacen("://*.", "://", 1);
        let uri: Uri = exact.parse().map_err(|_| form())?;
        let found = Self::of(&uri).ok_or_else(form)?;
        if has_dot_segment(&found.path) {
            return Err("has `.` or `..` in its path".to_owned());
        }
        match found.host {
            Host::Exact(name) if name.contains('*') => Err("has a `*` that is not the whole first label".to_owned()),
            Host::Exact(name) if exact != text => match name.rsplit('.').next().is_some_and(is_number_or_address) {
                true => Err("has a `*` before an address".to_owned()),
                false => Ok(Self { host: Host::Below(name), ..found }),
            },
            host => Ok(Self { host, ..found }),
        }
    }
}

/// Formats a destination without its default port and without the path `/`.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_encrypted { "https://" } else { "http://" })?;
        match &self.host {
            Host::Exact(name) => f.write_str(name)?,
            Host::Below(name) => write!(f, "*.{name}")?,
        }
        if self.port != default_port(self.is_encrypted) {
            write!(f, ":{}", self.port)?;
        }
        if self.path == "/" { Ok(()) } else { f.write_str(&self.path) }
    }
}

/// Type of an entry of a list.
pub(super) fn destination() -> Type<'static, Destination> {
    checked_destination(|_| Ok(()))
}

/// `allow` of a host, with its place for messages.
pub(super) type Allowed<'a> = (&'a [Destination], &'a Place);

/// Type of an entry of a component's list, which the list of the host must cover.
pub(super) fn allowed_destination((allow, place): Allowed<'_>) -> Type<'_, Destination> {
    checked_destination(move |wanted| match allow.iter().any(|entry| entry.covers(wanted)) {
        true => Ok(()),
        false => Err(format!("is not allowed by {place}; add it there, or remove it here")),
    })
}

fn checked_destination<'t>(check: impl Fn(&Destination) -> Result<(), String> + 't) -> Type<'t, Destination> {
    Type::new("destination", string_like("^https?://"), move |value| {
        let destination: Destination = read_text(value)?.parse()?;
        check(&destination)?;
        Ok(destination)
    })
}

fn default_port(is_encrypted: bool) -> u16 {
    if is_encrypted { 443 } else { 80 }
}

fn normal(host: &str) -> String {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match inner.map(str::parse::<Ipv6Addr>) {
        Some(Ok(address)) => format!("[{address}]"),
        _ => host.to_ascii_lowercase(),
    }
}

fn is_below(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

fn is_number_or_address(label: &str) -> bool {
    label.parse::<u32>().is_ok() || label.parse::<Ipv4Addr>().is_ok() || label.ends_with(']')
}

/// Returns whether a server may take the path for one outside of its folder: it has a segment `.` or `..`, perhaps
/// encoded, with parameters, or after a backslash.
fn has_dot_segment(path: &str) -> bool {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    decoded.split(['/', '\\']).any(|segment| matches!(segment.split(';').next(), Some("." | "..")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Destination {
        text.parse().unwrap_or_else(|error| panic!("{text} {error}"))
    }

    #[test]
    fn an_entry_covers_the_requests_of_its_host_port_and_path() {
        for (allowed, requested, expected) in [
            ("https://api.example.org", "https://api.example.org/", true),
            ("https://api.example.org", "https://API.example.ORG:443/a/b?c=d", true),
            ("https://api.example.org", "https://api.example.org", true),
            ("https://api.example.org", "http://api.example.org/", false),
            ("https://api.example.org", "https://api.example.org:8443/", false),
            ("https://api.example.org:8443", "https://api.example.org:8443/", true),
            ("https://api.example.org", "https://api.example.org.evil.net/", false),
            ("https://api.example.org", "https://evil.net/api.example.org", false),
            ("https://api.example.org", "https://api.example.org@evil.net/", false),
            ("https://api.example.org", "https://user@api.example.org/", false),
            ("https://api.example.org", "https://api.example.org:x/", false),
            ("https://api.example.org", "ftp://api.example.org/", false),
            ("https://api.example.org", "https://x.api.example.org/", false),
            ("https://*.example.net", "https://a.example.net/", true),
            ("https://*.example.net", "https://a.b.example.net/", true),
            ("https://*.example.net", "https://example.net/", false),
            ("https://*.example.net", "https://.example.net/", false),
            ("https://*.example.net", "https://anexample.net/", false),
            ("https://a.org/hooks/", "https://a.org/hooks/x", true),
            ("https://a.org/hooks/", "https://a.org/hooks/", true),
            ("https://a.org/hooks/", "https://a.org/hooks", false),
            ("https://a.org/hooks/", "https://a.org/hooks/../admin", false),
            ("https://a.org/hooks/", "https://a.org/hooks/%2e%2E/admin", false),
            ("https://a.org/hooks/", "https://a.org/hooks/..%2fadmin", false),
            ("https://a.org/hooks/", "https://a.org/hooks/..;/admin", false),
            ("https://a.org/hooks/", "https://a.org/hooks/..%5cadmin", false),
            ("https://a.org/hooks/", "https://a.org/hooks/..x/admin", true),
            ("https://a.org/hooks", "https://a.org/hooks?x", true),
            ("https://a.org/hooks", "https://a.org/hooks/x", false),
            ("http://10.0.0.1:80", "http://10.0.0.1/x", true),
            ("http://[::1]:8080", "http://[0:0:0:0:0:0:0:1]:8080/x", true),
        ] {
            let requested = requested.parse().ok().and_then(|uri| Destination::of(&uri));
            assert_eq!(
                requested.as_ref().is_some_and(|to| entry(allowed).covers(to)),
                expected,
                "{allowed} {requested:?}"
            );
        }
    }

    #[test]
    fn an_entry_covers_narrower_entries() {
        for (wide, narrow, expected) in [
            ("https://*.example.net", "https://*.example.net/hooks/", true),
            ("https://*.example.net", "https://*.a.example.net", true),
            ("https://*.a.example.net", "https://*.example.net", false),
            ("https://a.example.net", "https://*.a.example.net", false),
            ("https://a.org/hooks/", "https://a.org/hooks/a", true),
            ("https://a.org/hooks/", "https://a.org", false),
            ("https://a.org/hooks", "https://a.org/hooks/", false),
        ] {
            assert_eq!(entry(wide).covers(&entry(narrow)), expected, "{wide} {narrow}");
        }
    }

    #[test]
    fn entries_are_written_in_normal_form() {
        for (text, expected) in [
            ("https://API.example.org:443/", Ok("https://api.example.org")),
            ("http://*.Example.org:80/a/", Ok("http://*.example.org/a/")),
            ("http://[0::1]:8080", Ok("http://[::1]:8080")),
            ("api.example.org", Err("is not a destination")),
            ("https://", Err("is not a destination")),
            ("https://user:pw@a.org", Err("is not a destination")),
            ("ftp://a.org", Err("is not a destination")),
            ("https://*", Err("has a `*`")),
            ("https://a.*.org", Err("has a `*`")),
            ("https://*.0.0.1", Err("has a `*`")),
            ("https://*.*.org", Err("has a `*`")),
            ("https://a.org/x/../y/", Err("has `.`")),
            ("https://a.org/?x=y", Err("has a query")),
        ] {
            match (text.parse::<Destination>(), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.to_string(), expected),
                (Err(error), Err(expected)) => assert!(error.starts_with(expected), "{text}: {error}"),
                (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
            }
        }
    }
}
