//! Types of paths: patterns of routes, prefixes of static folders, and targets of requests. They accept only what a
//! client can send: a path with any other character would match no request.

use std::{borrow::Cow, ops::Range};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    tree::Value,
    types::Type,
    value::{METHODS, read_text, string_like},
};

/// The characters that clients percent-encode in paths (RFC 3986, `pchar`).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@')
    .remove(b'/')
    // Of escapes and of parameters.
    .remove(b'%')
    .remove(b'{')
    .remove(b'}');

/// Converters of other frameworks, which stand before or after the name of a parameter.
const CONVERTERS: [&str; 9] = ["any", "float", "int", "path", "re", "slug", "str", "string", "uuid"];

/// Type of a path pattern in the syntax of `matchit`.
pub(super) fn pattern() -> Type<'static, String> {
    Type::new("path pattern", string_like("^/[^?# ]*$"), read_pattern)
}

/// Type of the path prefix of a static folder: `/`, or whole segments without a slash at the end.
pub(super) fn prefix() -> Type<'static, String> {
    Type::new("path prefix", string_like("^/[^?# {}*]*$"), read_prefix)
}

/// Type of the target of a request: a path with its query.
pub(super) fn target() -> Type<'static, String> {
    Type::new("path with query", string_like("^/[^# ]*$"), read_target)
}

fn read_pattern(value: &Value) -> Result<String, String> {
    let pattern = read_text(value)?;
    check_start(&pattern)?;
    let segments: Vec<_> = pattern.split('/').map(translated).collect();
    if segments.iter().any(|segment| matches!(segment, Cow::Owned(_))) {
        let translated = segments.join("/");
        return Err(format!("has a parameter in the syntax of another framework; write it as \"{translated}\""));
    }
    check_characters(&pattern)?;
    match matchit::Router::new().insert(&pattern, ()) {
        Ok(()) => Ok(pattern),
        Err(error) => {
            let reason = error.to_string().to_lowercase();
            Err(format!("is not a path pattern: {reason}; write it as \"/items/{{id}}\" or \"/files/{{*path}}\""))
        }
    }
}

fn read_prefix(value: &Value) -> Result<String, String> {
    let path = read_text(value)?;
    check_start(&path)?;
    if path.contains(['{', '}', '*']) {
        return Err("is a prefix and not a pattern; write it as \"/static\", which serves every path below".to_owned());
    }
    check_characters(&path)?;
    let segments = path.strip_suffix('/').unwrap_or(&path);
    match segments.split('/').skip(1).any(str::is_empty) {
        true => Err("has an empty segment; write it as \"/static\"".to_owned()),
        false => Ok(if segments.is_empty() { path } else { segments.to_owned() }),
    }
}

fn read_target(value: &Value) -> Result<String, String> {
    let target = read_text(value)?;
    check_start(&target)?;
    // `app::rehearse` parses the target again, so only accept a valid `Uri`.
    match target.is_ascii() && !target.contains('#') && target.parse::<http::Uri>().is_ok() {
        true => Ok(target),
        false => Err("is not a path; write it as \"/items?page=1\", with a space as %20".to_owned()),
    }
}

/// Checks that a path starts with a slash.
fn check_start(path: &str) -> Result<(), String> {
    if path.starts_with('/') {
        return Ok(());
    }
    if let Some((method, path)) = path.split_once(' ').filter(|(method, _)| METHODS.contains(method)) {
        return Err(format!("has a method; write path = \"{path}\" and methods = [\"{method}\"]"));
    }
    if let Some((_, url)) = path.split_once("://") {
        let path = url.find('/').map_or("/", |at| &url[at..]);
        return Err(format!("is a URL; write only its path: \"{path}\""));
    }
    Err(format!("does not start with `/`; write it as \"/{path}\""))
}

/// Checks that clients send the literals of a path or pattern as they are.
fn check_characters(path: &str) -> Result<(), String> {
    if let Some(at) = path.find(['?', '#']) {
        return Err(format!("must not contain `?` or `#`; write it as \"{}\"", &path[..at]));
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("has a segment `.` or `..`, which clients resolve before they send a path".to_owned());
    }
    let encoded = encoded(path);
    match encoded == path {
        true => Ok(()),
        false => Err(format!("has characters that clients percent-encode; write it as \"{encoded}\"")),
    }
}

/// Percent-encodes the characters of a path or pattern that clients percent-encode, except for escapes and parameters.
fn encoded(path: &str) -> String {
    let path = path.replace("{{", "%7B").replace("}}", "%7D");
    let mut pieces = path.split('%');
    let mut whole = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let is_escape = piece.len() >= 2 && piece.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
        whole += if is_escape { "%" } else { "%25" };
        whole += piece;
    }
    utf8_percent_encode(&whole, ENCODED).to_string()
}

/// Returns a segment of a pattern in the syntax of routes, if it has a parameter in the syntax of another framework:
/// `{id}` for `:id`, `<int:id>`, `[id]`, `{id:int}` and `{{id}}`; `{*rest}` for `*`, `...`, `[...rest]` and `{rest...}`.
fn translated(segment: &str) -> Cow<'_, str> {
    let Some(place) = parameter(segment) else { return segment.into() };
    let (before, written, after) = (&segment[..place.start], &segment[place.clone()], &segment[place.end..]);
    if is_own(written) {
        return segment.into();
    }
    let words = || written.split(|c| !is_in_name(c)).filter(|word| !word.is_empty());
    let name = words().find(|word| !CONVERTERS.contains(word)).or_else(|| words().next_back());
    let is_rest = ["*", "..", ".+", "path:", ":path"].iter().any(|mark| written.contains(mark)) && after.is_empty();
    match (name, is_rest) {
        // In Go, `{$}` stands for the end of the path.
        (None, _) if written == "{$}" => before.to_owned(),
        (name, true) => format!("{before}{{*{}}}", name.unwrap_or("rest")),
        (name, false) => format!("{before}{{{}}}{after}", name.unwrap_or("name")),
    }
    .into()
}

/// Returns the place of the parameter in a segment, in the syntax of any framework.
fn parameter(segment: &str) -> Option<Range<usize>> {
    let brackets = [('{', '}'), ('<', '>'), ('[', ']')].into_iter().find_map(|(open, close)| {
        let (from, to) = (segment.find(open)?, segment.rfind(close)?);
        (from < to).then_some(from..to + 1)
    });
    let colon = segment.strip_prefix(':').filter(|name| name.starts_with(is_in_name)).map(|_| 0..segment.len());
    let star = [("...", '.'), ("*", '*')].into_iter().find_map(|(mark, repeated)| {
        let from = segment.find(mark)?;
        let after = segment[from..].trim_start_matches(repeated).trim_start_matches(is_in_name);
        Some(from..segment.len() - after.len())
    });
    brackets.or(colon).or(star)
}

/// Returns whether a parameter is in the syntax of `matchit`, which describes its own problems.
fn is_own(written: &str) -> bool {
    let Some(name) = written.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else { return false };
    let name = name.strip_prefix('*').unwrap_or(name);
    let has_several = name.trim_matches(['{', '}']).contains(['{', '}']);
    name.is_empty() || name.chars().all(is_in_name) || has_several
}

fn is_in_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn prefixes() {
        for (text, expected) in [
            ("/", Ok("/")),
            ("/static", Ok("/static")),
            ("/static/", Ok("/static")),
            ("/a/b-c/%C3%A9", Ok("/a/b-c/%C3%A9")),
            ("", Err("is empty")),
            ("no-slash", Err("does not start with `/`")),
            ("/a?b", Err("must not contain")),
            ("/zz/{*p}", Err("not a pattern")),
            ("/a{b", Err("not a pattern")),
            ("/a}b", Err("not a pattern")),
            ("/a/*", Err("not a pattern")),
            ("//", Err("empty segment")),
            ("/a//b", Err("empty segment")),
            ("/a/../b", Err("`.` or `..`")),
            ("/.", Err("`.` or `..`")),
            ("/a b", Err("write it as \"/a%20b\"")),
            ("/\u{e9}", Err("write it as \"/%C3%A9\"")),
            ("/a\n", Err("write it as \"/a%0A\"")),
            ("/a\\b", Err("write it as \"/a%5Cb\"")),
        ] {
            match (read_prefix(&written(text)), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{text}: {found}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn targets() {
        for (text, accepted) in [
            ("/", true),
            ("/items?page=1&q=%20", true),
            ("//x", true),
            ("items", false),
            ("/a b", false),
            ("/a#b", false),
            ("/a\nb", false),
            ("/a\u{7f}", false),
            ("/<>", false),
            ("/caf\u{e9}", false),
        ] {
            assert_eq!(read_target(&written(text)).is_ok(), accepted, "{text}");
        }
        assert!(read_target(&written(&format!("/{}", "x".repeat(70_000)))).is_err());
    }

    #[test]
    fn patterns_of_routes() {
        for text in [
            "/",
            "/items/{id}/parts/{part}",
            "/items/{item-id}/{part_2}",
            "/files/{*path}",
            "/images/img-{id}.png",
            "/items/{id}:cancel",
            "/v1/items:batch",
            "/caf%C3%A9/$metadata/@me/a+b/(x)/it's",
            "/a//b",
        ] {
            assert_eq!(read_pattern(&written(text)).as_deref(), Ok(text));
        }
    }

    #[test]
    fn patterns_of_other_frameworks_are_translated() {
        for (text, expected) in [
            ("/items/:id", "/items/{id}"),
            ("/items/:id/parts/:part", "/items/{id}/parts/{part}"),
            ("/items/:id?", "/items/{id}"),
            (r"/items/:id(\d+)", "/items/{id}"),
            ("/files/:path*", "/files/{*path}"),
            ("/files/*", "/files/{*rest}"),
            ("/files/**", "/files/{*rest}"),
            ("/files/*path", "/files/{*path}"),
            ("/files/*.js", "/files/{name}.js"),
            ("/static*", "/static{*rest}"),
            ("/files/...", "/files/{*rest}"),
            ("/items/<id>", "/items/{id}"),
            ("/items/<int:id>", "/items/{id}"),
            ("/items/<id:int>", "/items/{id}"),
            ("/items/img-<id>.png", "/items/img-{id}.png"),
            ("/files/<path:name>", "/files/{*name}"),
            ("/files/<path..>", "/files/{*path}"),
            ("/items/[id]", "/items/{id}"),
            ("/files/[...slug]", "/files/{*slug}"),
            ("/files/[[...slug]]", "/files/{*slug}"),
            ("/items/{{id}}", "/items/{id}"),
            ("/items/{id?}", "/items/{id}"),
            ("/items/{id:int}", "/items/{id}"),
            ("/items/{id:[0-9]+}", "/items/{id}"),
            ("/items/{path:.*}", "/items/{*path}"),
            ("/files/{path:path}", "/files/{*path}"),
            ("/files/{path...}", "/files/{*path}"),
            ("/files/{**path}", "/files/{*path}"),
            ("/items/{$}", "/items/"),
            ("/items/{id}/:part", "/items/{id}/{part}"),
        ] {
            let found = read_pattern(&written(text)).expect_err(text);
            let end = format!("another framework; write it as \"{expected}\"");
            assert!(found.ends_with(&end), "{text}: {found}");
            assert_eq!(read_pattern(&written(expected)).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn patterns_that_no_request_matches() {
        for (text, reason) in [
            ("", "is empty"),
            ("items", "write it as \"/items\""),
            ("GET /items", r#"write path = "/items" and methods = ["GET"]"#),
            ("http://localhost:8080/items", r#"write only its path: "/items""#),
            ("https://localhost", r#"write only its path: "/""#),
            ("/items?x=1", r#"write it as "/items""#),
            ("/items#top", r#"write it as "/items""#),
            ("/a b", r#"write it as "/a%20b""#),
            ("/caf\u{e9}/{id}", r#"write it as "/caf%C3%A9/{id}""#),
            ("/a\"b", r#"write it as "/a%22b""#),
            ("/a<b", r#"write it as "/a%3Cb""#),
            ("/a|b^c`d", r#"write it as "/a%7Cb%5Ec%60d""#),
            ("/100%", r#"write it as "/100%25""#),
            ("/100%zz/%20", r#"write it as "/100%25zz/%20""#),
            ("/a{{b", r#"write it as "/a%7Bb""#),
            ("/a/../b", "`.` or `..`"),
            ("/./{id}", "`.` or `..`"),
            ("/items/{id", "not a path pattern"),
            ("/items/{}", "not a path pattern"),
            ("/{*path}/x", "not a path pattern"),
            ("/{a}{b}", "only one parameter"),
        ] {
            let found = read_pattern(&written(text)).expect_err(text);
            assert!(found.contains(reason), "{text}: {found}");
        }
    }
}
