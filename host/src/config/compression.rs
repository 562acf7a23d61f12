//! `compress*` of `[server]`.

use serde_json::json;

use super::{
    quantity::size,
    section::Section,
    tree::{Node, Value},
    types::Type,
    value::{read_text, word},
};

/// Content coding of responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Brotli (RFC 7932).
    Brotli,
    /// Zstandard (RFC 8878).
    Zstd,
    /// gzip (RFC 1952).
    Gzip,
}

impl Encoding {
    /// All values.
    pub const ALL: [Encoding; 3] = [Encoding::Brotli, Encoding::Zstd, Encoding::Gzip];

    /// Returns the name in `Accept-Encoding`, which is also the name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Encoding::Brotli => "br",
            Encoding::Zstd => "zstd",
            Encoding::Gzip => "gzip",
        }
    }
}

/// Which responses are compressed.
#[derive(Debug, Clone, PartialEq)]
pub struct Compression {
    /// The codings. If it is empty, nothing is compressed.
    pub encodings: Vec<Encoding>,
    /// Minimum size of a body, in bytes.
    pub min_size: usize,
    /// Types such as `application/json`, and `text/*` for all that begin with `text/`.
    pub types: Vec<String>,
}

/// Types that are compressed by default.
const TYPES: [&str; 8] = [
    "text/*",
    "application/json",
    "application/problem+json",
    "application/x-ndjson",
    "application/javascript",
    "application/xml",
    "application/wasm",
    "image/svg+xml",
];

pub(super) fn compression(section: &mut Section<'_>) -> Compression {
    let types = TYPES.map(|name| Node { origin: super::problem::Origin::File, value: Value::Text(name.to_owned()) });
    Compression {
        encodings: section
            .key(
                "compress",
                Type::list(encoding()),
                "codings for clients that accept them; empty turns compression off; see \
                 [HTTP](http.md#compression)",
            )
            .or_empty(),
        min_size: section.key("compress_min_size", size(), "smallest body to compress").or("1KiB"),
        types: section
            .key("compress_types", Type::list(media_type()), "types of the bodies to compress")
            .or(Value::Array(types.into())),
    }
}

pub(super) fn encoding() -> Type<'static, Encoding> {
    word("a content coding", Encoding::ALL, Encoding::as_str)
}

/// Type of a media type without parameters, or of `TYPE/*`.
fn media_type() -> Type<'static, String> {
    let schema = json!({ "type": "string", "pattern": "^[a-z]+/([a-z0-9.+-]+|\\*)$" });
    Type::new("media type", schema, |value| {
        let text = read_text(value)?.to_ascii_lowercase();
        let is_token = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-_".contains(&byte));
        let is_type = text.split_once('/').is_some_and(|(kind, name)| {
            !kind.is_empty() && is_token(kind) && (name == "*" || !name.is_empty() && is_token(name))
        });
        let refusal = r#"is not a media type; write it as "application/json" or "text/*""#;
        if is_type { Ok(text) } else { Err(refusal.to_owned()) }
    })
}
