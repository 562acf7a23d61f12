//! `[[rate_limit]]`.

use std::time::Duration;

use http::HeaderName;

use super::{
    pattern::prefix,
    quantity::positive_duration,
    section::{Section, TableKey},
    types::Type,
    value::{integer, read_text, string_like},
};

/// `[[rate_limit]]`: how many requests a client may send in a time.
#[derive(Debug, Clone, PartialEq)]
pub struct RateLimit {
    /// Name in responses and in the log.
    pub name: String,
    /// Prefix of the paths that it applies to.
    pub path: String,
    /// The property that identifies a client.
    pub by: LimitBy,
    /// Number of requests in `per`, on average.
    pub requests: u32,
    /// The time.
    pub per: Duration,
    /// Number of requests that a client may send at once.
    pub burst: u32,
    /// The line of the section in the file, for messages.
    pub line: usize,
}

/// Property of a request that identifies its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitBy {
    /// Address of the client.
    Address,
    /// Subject of the identity that a hook sets.
    Identity,
    /// Value of a header field.
    Header(HeaderName),
}

pub(super) const RATE_LIMIT: TableKey = TableKey {
    name: "rate_limit",
    doc: "how many requests a client may send; see [Limit clients](../guides/limits.md#rates)",
};

/// Maximum of `requests` and `burst`.
const MAX_REQUESTS: i64 = 1_000_000;
/// Maximum time until an allowance is full again. The limits count in nanoseconds, with 64 bits.
const MAX_TIME: Duration = Duration::from_secs(366 * 24 * 60 * 60);

pub(super) fn rate_limit(section: &mut Section<'_>) -> RateLimit {
    let requests = section
        .key("requests", integer(1..=MAX_REQUESTS), "requests of one client in `per`, on average")
        .required()
        .unwrap_or(1);
    let limit = RateLimit {
        name: section.key("name", name(), "name in responses").required().unwrap_or_default(),
        path: section.key("path", prefix(), "prefix of the paths that it applies to").or("/"),
        by: section
            .key(
                "by",
                by(),
                "property that identifies a client: its address, the identity that a hook sets, or a header",
            )
            .or("address"),
        requests,
        per: section.key("per", positive_duration(), "the time").or("1m"),
        burst: section
            .key("burst", integer(1..=MAX_REQUESTS), "requests that a client may send at once")
            .or_none("`requests`")
            .unwrap_or(requests),
        line: section.line(),
    };
    let time = limit.per.as_nanos() / u128::from(limit.requests) * u128::from(limit.burst);
    if time > MAX_TIME.as_nanos() {
        section.report_at(
            "per",
            "is too long: an allowance of `burst` requests must be full again after at most 366 days",
        );
    }
    limit
}

/// Returns the limits with the name of an earlier one, by index, each with a message.
pub(super) fn repeated(limits: &[RateLimit]) -> Vec<(usize, String)> {
    let repeated = |(index, limit): (usize, &RateLimit)| {
        let other = limits[..index].iter().position(|other| !limit.name.is_empty() && other.name == limit.name)?;
        let (name, line) = (&limit.name, limits[other].line);
        Some((index, format!("\"{name}\" is the name of rate_limit[{other}] on line {line}; give each its own")))
    };
    limits.iter().enumerate().filter_map(repeated).collect()
}

fn name() -> Type<'static, String> {
    Type::new("text", string_like("^[A-Za-z0-9_.-]+$"), |value| {
        let name = read_text(value)?;
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if is_name { Ok(name) } else { Err("may have letters, digits, `_`, `.` and `-`".to_owned()) }
    })
}

fn by() -> Type<'static, LimitBy> {
    let schema = string_like("^(address|identity|header:.+)$");
    Type::new("`\"address\"`, `\"identity\"` or `\"header:NAME\"`", schema, |value| {
        let text = read_text(value)?;
        let refusal = r#"is neither "address" nor "identity" nor a header; write it as "header:x-api-key""#;
        match &*text {
            "address" => Ok(LimitBy::Address),
            "identity" => Ok(LimitBy::Identity),
            _ => {
                let name = text.strip_prefix("header:").and_then(|name| name.trim().parse().ok());
                name.map(LimitBy::Header).ok_or_else(|| refusal.to_owned())
            }
        }
    })
}
