//! Reading one's own writes: the position of a commit is handed to the client, as a cookie for browsers and as a header
//! for everybody else, and what the client sends back says how far a replica must have come.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::database::Position;

/// Carries `DATABASE=POSITION`, several of them apart by spaces.
const HEADER: HeaderName = HeaderName::from_static("x-carya-position");
/// The cookie is called this and the name of its database.
const COOKIE: &str = "carya-position-";
/// How long a browser keeps the cookie, in seconds: longer than any replica that is used may lag.
const MAX_AGE: u32 = 60;

/// The newest position that a client names for a database.
pub fn wanted(headers: &HeaderMap, database: &str) -> Option<Position> {
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

/// Tells a client the position of its commit. It is committed by now: there is no panic where a map is full, and the
/// limits of guests' headers leave room.
pub fn hand_out(headers: &mut HeaderMap, database: &str, position: &Position) {
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
        hand_out(&mut sent, "main", &Position::Lsn(0x1_0000_0010));
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
            let position = wanted(&headers, database).map(|position| position.to_string());
            assert_eq!(position.as_deref(), expected, "{value}");
        }
    }
}
