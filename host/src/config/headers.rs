//! `[[headers]]` and `[[cors]]`: header fields that the host adds to responses.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri, header::CONTENT_ENCODING};

use super::{
    pattern::prefix,
    quantity::duration,
    section::{Section, TableKey},
    types::Type,
    value::{boolean, method, read_text, string_like},
};

/// `[[headers]]`: header fields of the responses below a path.
#[derive(Debug, Clone, PartialEq)]
pub struct Headers {
    /// Prefix of the paths.
    pub path: String,
    /// The fields.
    pub set: Vec<(HeaderName, HeaderValue)>,
}

/// `[[cors]]`: pages of other origins that may read the responses below a path.
#[derive(Debug, Clone, PartialEq)]
pub struct Cors {
    /// Prefix of the paths.
    pub path: String,
    /// The origins, or `*`.
    pub origins: Vec<String>,
    /// Methods of requests.
    pub methods: Vec<String>,
    /// Names of header fields of requests, or `*`.
    pub headers: Vec<String>,
    /// Names of header fields of responses that pages may read.
    pub expose: Vec<String>,
    /// Whether requests may have cookies.
    pub credentials: bool,
    /// Time for which a browser keeps these rules.
    pub max_age: Duration,
    /// The line of the section in the file, for messages.
    pub line: usize,
}

pub(super) const HEADERS: TableKey = TableKey {
    name: "headers",
    doc: "header fields that the host adds to responses; see [Set headers](../guides/headers.md)",
};
const SET: TableKey = TableKey { name: "set", doc: "the fields, unless the response has them" };
pub(super) const CORS: TableKey = TableKey {
    name: "cors",
    doc: "pages of other origins that may read responses; see [Set headers](../guides/headers.md#cors)",
};
/// Value that stands for all origins, or for all names of headers.
pub(super) const ANY: &str = "*";

/// Header fields that only the host sets.
pub const HOST_FIELDS: [&str; 8] =
    ["connection", "content-length", "date", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"];

pub(super) fn headers(section: &mut Section<'_>) -> Headers {
    let path = section.key("path", prefix(), "prefix of the paths that they apply to").or("/");
    let mut set = Vec::new();
    for (name, value) in section.map(SET, &field_value()) {
        match name.parse::<HeaderName>() {
            // The host encodes responses by itself; a guest may encode its own.
            Ok(name) if HOST_FIELDS.contains(&name.as_str()) || name == CONTENT_ENCODING => {
                section.report("set", format!("{name} is set by the host"))
            }
            Ok(name) => set.push((name, value)),
            Err(_) => section.report("set", format!("{name:?} is not the name of a header field")),
        }
    }
    Headers { path, set }
}

pub(super) fn cors(section: &mut Section<'_>) -> Cors {
    let cors = Cors {
        path: section.key("path", prefix(), "prefix of the paths; the longest one that matches applies").or("/"),
        origins: section
            .key("origins", Type::list(origin()), "origins of the pages, or `[\"*\"]` for all")
            .required()
            .unwrap_or_default(),
        methods: section
            .key("methods", Type::list(method()), "methods of their requests")
            .or_none("all methods")
            .unwrap_or_default(),
        headers: section
            .key("headers", Type::list(field_name()), "header fields of their requests, or `[\"*\"]` for all")
            .or_empty(),
        expose: section.key("expose", Type::list(field_name()), "header fields that these pages may read").or_empty(),
        credentials: section.key("credentials", boolean(), "their requests may have cookies").or(false),
        max_age: section.key("max_age", duration(), "time for which browsers keep these rules").or("1h"),
        line: section.line(),
    };
    let is_any = |list: &[String]| list.iter().any(|item| item == ANY);
    if cors.credentials && is_any(&cors.origins) {
        section.report_at("credentials", "requires a list of origins: with `*`, any page could act for its visitor");
    }
    if is_any(&cors.expose) {
        section.report_at("expose", "must name each header field");
    }
    cors
}

fn origin() -> Type<'static, String> {
    Type::new("origin", string_like("^(\\*|https?://[^/?#]+)$"), |value| {
        let text = read_text(value)?;
        let is_origin = text.parse::<Uri>().is_ok_and(|url| {
            let [scheme, host] =
                [url.scheme_str(), url.authority().map(|host| host.as_str())].map(Option::unwrap_or_default);
            matches!(scheme, "http" | "https") && format!("{scheme}://{host}") == text && !host.contains('@')
        });
        let refusal = r#"is not an origin; write it as "https://app.example.org", without a path, or as "*""#;
        if is_origin || text == ANY { Ok(text) } else { Err(refusal.to_owned()) }
    })
}

fn field_name() -> Type<'static, String> {
    Type::new("name of a header field", string_like("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"), |value| {
        let text = read_text(value)?;
        match text.parse::<HeaderName>() {
            Ok(_) => Ok(text),
            Err(_) => Err("is not the name of a header field".to_owned()),
        }
    })
}

fn field_value() -> Type<'static, HeaderValue> {
    Type::new("text", string_like("."), |value| {
        let text = read_text(value)?;
        HeaderValue::try_from(text).map_err(|_| "is not the value of a header field".to_owned())
    })
}
