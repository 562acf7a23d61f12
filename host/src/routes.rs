//! The routing table: path patterns in the syntax of `matchit`, and the methods of each pattern. A route is an index
//! that the caller chooses, for example the index of a handler.

use std::{borrow::Cow, sync::Arc};

use http::Method;
use memchr::memchr_iter;
use percent_encoding::percent_decode_str;

/// The routing table.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    patterns: matchit::Router<usize>,
    paths: Vec<Path>,
}

/// A pattern and its routes.
#[derive(Debug, Clone)]
struct Path {
    pattern: Arc<str>,
    /// Names of the pattern's parameters, in order.
    params: Vec<Arc<str>>,
    /// Methods, each with the index of the route that serves it.
    methods: Vec<(Method, usize)>,
}

/// Result of [`Routes::find`].
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A route serves the request.
    Route {
        /// Index of the route, as passed to [`Routes::add`].
        route: usize,
        /// Pattern of the route, with decoded unreserved characters.
        pattern: Arc<str>,
        /// Name and percent-decoded value of each parameter of the pattern.
        params: Vec<(Arc<str>, String)>,
    },
    /// A pattern matches the path, but none of its routes serves the method.
    WrongMethod {
        /// Methods that the pattern serves, as the value of an `Allow` header.
        allow: String,
    },
    /// No pattern matches the path.
    Nothing,
}

impl Found {
    /// Returns the index of the route.
    pub(crate) fn route(&self) -> Option<usize> {
        match self {
            Found::Route { route, .. } => Some(*route),
            Found::WrongMethod { .. } | Found::Nothing => None,
        }
    }
}

impl Routes {
    /// Adds a route for the given methods of a pattern.
    ///
    /// # Errors
    ///
    /// Returns an error if the pattern is malformed or conflicts with another one.
    pub fn add(&mut self, pattern: &str, methods: &[Method], route: usize) -> Result<(), matchit::InsertError> {
        let pattern = &*decode_unreserved(pattern);
        let index = match self.paths.iter().position(|path| *path.pattern == *pattern) {
            Some(index) => index,
            None => {
                self.patterns.insert(pattern, self.paths.len())?;
                self.paths.push(Path { pattern: pattern.into(), params: names(pattern), methods: Vec::new() });
                self.paths.len() - 1
            }
        };
        self.paths[index].methods.extend(methods.iter().map(|method| (method.clone(), route)));
        Ok(())
    }

    /// Returns the pattern that matches a path, regardless of the methods.
    pub(crate) fn pattern(&self, path: &str) -> Option<&str> {
        let found = self.patterns.at(path).ok()?;
        Some(&self.paths[*found.value].pattern)
    }

    /// Finds the route of a request. The caller must first decode `path` with `decode_unreserved`. A HEAD request uses
    /// the route of GET, unless the pattern has a route for HEAD.
    pub fn find(&self, method: &Method, path: &str) -> Found {
        let Ok(found) = self.patterns.at(path) else { return Found::Nothing };
        let path = &self.paths[*found.value];
        let serving =
            |wanted: &Method| path.methods.iter().find(|(method, _)| method == wanted).map(|(_, route)| *route);
        let route = serving(method).or_else(|| (method == Method::HEAD).then(|| serving(&Method::GET)).flatten());
        match route {
            Some(route) => {
                let values =
                    found.params.iter().map(|(_, value)| percent_decode_str(value).decode_utf8_lossy().into_owned());
                let params = path.params.iter().cloned().zip(values).collect();
                Found::Route { route, pattern: path.pattern.clone(), params }
            }
            None => Found::WrongMethod { allow: path.allow() },
        }
    }
}

impl Path {
    fn allow(&self) -> String {
        let mut allow: Vec<&str> = self.methods.iter().map(|(method, _)| method.as_str()).collect();
        if allow.contains(&"GET") && !allow.contains(&"HEAD") {
            allow.push("HEAD");
        }
        if !allow.contains(&"OPTIONS") {
            allow.push("OPTIONS");
        }
        allow.sort_unstable();
        allow.join(", ")
    }
}

/// Returns a target with a normalized path, as the paths of requests are normalized before they reach [`Routes::find`].
pub(crate) fn normalized(target: &str) -> Cow<'_, str> {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    match decode_unreserved(path) {
        Cow::Borrowed(_) => target.into(),
        Cow::Owned(path) => (path + query).into(),
    }
}

/// Decodes the percent-encoded unreserved characters of a path: letters, digits, `-`, `.`, `_` and `~`. The decoded
/// path identifies the same resource (RFC 3986, section 6.2.2.2). All other characters remain encoded, so `%2F` does
/// not become a separator. A path with an incomplete escape is returned unchanged.
pub(crate) fn decode_unreserved(path: &str) -> Cow<'_, str> {
    let (bytes, mut decoded, mut copied) = (path.as_bytes(), String::new(), 0);
    for at in memchr_iter(b'%', bytes) {
        let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
        let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) else { return Cow::Borrowed(path) };
        let character = char::from_u32(16 * high + low)
            .filter(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_' | '~'));
        if let Some(character) = character {
            decoded.push_str(&path[copied..at]);
            decoded.push(character);
            copied = at + 3;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(path);
    }
    decoded.push_str(&path[copied..]);
    Cow::Owned(decoded)
}

/// Returns the part of `path` after `prefix`, which is empty or begins with a slash: `/static` does not match `/statics`.
/// The empty prefix matches every path that begins with a slash.
pub(crate) fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let is_whole = |rest: &&str| rest.starts_with('/') || (rest.is_empty() && !prefix.is_empty());
    path.strip_prefix(prefix).filter(is_whole)
}

/// Returns the names of the parameters of a pattern: `id` and `rest` for `/items/{id}/{*rest}`.
fn names(pattern: &str) -> Vec<Arc<str>> {
    let unescaped = pattern.replace("{{", "").replace("}}", "");
    let names = unescaped.split('{').skip(1).filter_map(|piece| piece.split_once('}'));
    names.map(|(name, _)| name.trim_start_matches('*').into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_are_decoded() {
        for (path, expected) in [
            ("/echo", "/echo"),
            ("/%65cho", "/echo"),
            ("/%65%63h%6F", "/echo"),
            ("/%41%7a%30%2d%2E%5f%7E", "/Az0-._~"),
            ("/a%2Fb", "/a%2Fb"),
            ("/a%2fb%62", "/a%2fbb"),
            ("/%2565cho", "/%2565cho"),
            ("/%25%36%35", "/%2565"),
            ("/caf%C3%A9", "/caf%C3%A9"),
            ("/%20%00%7B%3F%23", "/%20%00%7B%3F%23"),
            ("/%%36%35", "/%%36%35"),
            ("/%65%", "/%65%"),
            ("/%65%6", "/%65%6"),
            ("/%65%+5", "/%65%+5"),
        ] {
            assert_eq!(decode_unreserved(path), expected, "{path}");
        }
    }

    #[test]
    fn only_the_path_of_a_target_is_normalized() {
        for (target, expected) in [
            ("/echo?a=%65", "/echo?a=%65"),
            ("/%65cho?a=%65", "/echo?a=%65"),
            ("/%65cho", "/echo"),
            ("/%2F?/%65", "/%2F?/%65"),
        ] {
            assert_eq!(normalized(target), expected, "{target}");
        }
    }

    #[test]
    fn a_pattern_with_encoded_unreserved_characters_matches() -> Result<(), matchit::InsertError> {
        let mut routes = Routes::default();
        routes.add("/%65cho/{id}", &[Method::GET], 0)?;
        assert!(matches!(routes.find(&Method::GET, "/echo/1"), Found::Route { route: 0, .. }));
        assert!(routes.add("/echo/{other}", &[Method::GET], 1).is_err());
        Ok(())
    }

    #[test]
    fn requests_find_their_route() -> Result<(), matchit::InsertError> {
        let mut routes = Routes::default();
        routes.add("/", &[Method::GET], 0)?;
        routes.add("/items/{id}", &[Method::GET, Method::PUT], 1)?;
        routes.add("/items/{id}", &[Method::DELETE], 2)?;
        routes.add("/files/{*path}", &[Method::GET], 3)?;
        routes.add("/items/new", &[Method::POST], 4)?;
        let table = [
            ("GET", "/", "0"),
            ("HEAD", "/", "0"),
            ("POST", "/", "allow GET, HEAD, OPTIONS"),
            ("GET", "/items/7", "1 id=7"),
            ("PUT", "/items/a%2Fb%20%C3%A9", "1 id=a/b é"),
            ("DELETE", "/items/7", "2 id=7"),
            ("POST", "/items/7", "allow DELETE, GET, HEAD, OPTIONS, PUT"),
            ("OPTIONS", "/items/7", "allow DELETE, GET, HEAD, OPTIONS, PUT"),
            ("POST", "/items/new", "4"),
            ("GET", "/items/new", "allow OPTIONS, POST"),
            ("GET", "/files/a/b.txt", "3 path=a/b.txt"),
            ("GET", "/items/", "nothing"),
            ("GET", "/items/7/", "nothing"),
            ("GET", "/nowhere", "nothing"),
        ];
        for (method, path, expected) in table {
            let method: Method = method.parse().unwrap_or_default();
            let actual = match routes.find(&method, path) {
                Found::Route { route, pattern, params } => {
                    assert_eq!(Some(&*pattern), routes.pattern(path));
                    params.iter().fold(route.to_string(), |text, (name, value)| format!("{text} {name}={value}"))
                }
                Found::WrongMethod { allow } => format!("allow {allow}"),
                Found::Nothing => "nothing".to_owned(),
            };
            assert_eq!(actual, expected, "{method} {path}");
            assert_eq!(routes.pattern(path).is_some(), expected != "nothing", "{path}");
        }
        assert!(routes.add("/items/{other}", &[Method::GET], 5).is_err());
        Ok(())
    }
}
