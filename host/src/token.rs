//! Tokens that let clients read their own writes from replicas. A reply contains the position of its commit, as a
//! cookie for browsers and as a header for other clients. The client sends the position back with its next requests,
//! and only a replica that has reached the position serves the read.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::sql::Position;

/// Header with `DATABASE=POSITION` pairs, separated by spaces.
const HEADER: HeaderName = HeaderName::from_static("x-carya-position");
/// Prefix of the cookie's name, before the name of the database.
const COOKIE: &str = "carya-position-";
/// How long a browser keeps the cookie, in seconds. The time must be longer than `replica_max_lag` (10 s by default). A
/// replica that lags further behind serves no reads, so the position is not needed after this time.
const MAX_AGE: u32 = 60;

/// Returns the newest position that the headers of a request contain for `database`.
pub(crate) fn requested_position(headers: &HeaderMap, database: &str) -> Option<Position> {
    let texts = |name| headers.get_all(name).into_iter().filter_map(|value: &HeaderValue| value.to_str().ok());
    let named = texts(HEADER).flat_map(|text| text.split([' ', ';'])).filter_map(|pair| pair.split_once('='));
    let cookies = texts(header::COOKIE)
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.split_once('='));
    named
        .chain(cookies)
        .filter(|(name, _)| *name == database)
        .filter_map(|(_, position)| position.parse::<Position>().ok())
        .reduce(|newest, other| if newest.covers(&other) { newest } else { other })
}

/// Adds the position of a commit to the headers of the reply. The transaction is committed already, so a full map must
/// not cause a panic. The limits on guests' headers leave room for the fields of the host.
pub(crate) fn add_position(headers: &mut HeaderMap, database: &str, position: &Position) {
    let cookie = format!("{COOKIE}{database}={position}; Path=/; Max-Age={MAX_AGE}; HttpOnly; SameSite=Lax");
    if let Ok(value) = HeaderValue::from_str(&format!("{database}={position}")) {
        let _ = headers.try_insert(HEADER, value);
    }
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        let _ = headers.try_append(header::SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_go_to_the_client_and_come_back() {
        let mut sent = HeaderMap::new();
        add_position(&mut sent, "main", &Position::Lsn(0x1_0000_0010));
        let cookie = sent[header::SET_COOKIE].to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        let header = sent[HEADER].to_str().unwrap_or_default();
        let table = [
            (HEADER, header.to_owned(), "main", Some("1/10")),
            (header::COOKIE, cookie.to_owned(), "main", Some("1/10")),
            (header::COOKIE, format!("a=b; {cookie}; c=d"), "main", Some("1/10")),
            (header::COOKIE, cookie.to_owned(), "other", None),
            (HEADER, "main=0/1 main=0/20 main=0/3".to_owned(), "main", Some("0/20")),
            (HEADER, "main=0/1 other=0/5".to_owned(), "other", Some("0/5")),
            (HEADER, "main=nonsense".to_owned(), "main", None),
        ];
        for (name, value, database, expected) in table {
            let headers =
                HeaderMap::from_iter([(name, HeaderValue::from_str(&value).unwrap_or(HeaderValue::from_static("")))]);
            let position = requested_position(&headers, database).map(|position| position.to_string());
            assert_eq!(position.as_deref(), expected, "{value}");
        }
    }
}
