//! The body: JSON, text, bytes.

use serde::de::DeserializeOwned;

use super::FromRequest;
use crate::{Problem, Request};

/// Extractor of a JSON body, and response of a value as JSON.
///
/// The media type of the request must be `application/json` or end with `+json`. Browsers send these types to another
/// site only if the site permits it, so a form of a foreign page cannot reach a handler that takes `Json`.
///
/// ```no_run
/// use carya_guest::prelude::*;
///
/// #[derive(serde::Deserialize)]
/// struct NewTicket { title: String }
///
/// #[derive(serde::Serialize)]
/// struct Ticket { id: i64, title: String }
///
/// # const _: &str = stringify!(
/// #[post("/tickets")]
/// # );
/// fn create(db: &Writer, Json(new): Json<NewTicket>) -> Result<Json<Ticket>, Problem> {
///     let id = db.fetch_one("INSERT INTO tickets (title) VALUES (?) RETURNING id", (&new.title,))?;
///     Ok(Json(Ticket { id, title: new.title }))
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Json<T> {
    fn from_request(request: &Request) -> Result<Self, Problem> {
        if !is_json(&request.header("content-type").unwrap_or_default()) {
            return Err(Problem::new(415).with_detail("send JSON with the header `content-type: application/json`"));
        }
        parse(&request.body())
    }
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<Json<T>, Problem> {
    serde_json::from_slice(body).map(Json).map_err(|error| match error.is_data() {
        true => Problem::unprocessable(format!("the JSON is not of the expected type: {error}")),
        false => Problem::bad_request(format!("the body is not JSON: {error}")),
    })
}

/// The body as text.
impl FromRequest for String {
    fn from_request(request: &Request) -> Result<Self, Problem> {
        request.body_text().map_err(|_| Problem::bad_request("the body is not UTF-8"))
    }
}

/// The body as bytes.
impl FromRequest for Vec<u8> {
    fn from_request(request: &Request) -> Result<Self, Problem> {
        Ok(request.body())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_a_media_type() {
        for (media_type, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/merge-patch+json", true),
            ("text/plain", false),
            ("", false),
        ] {
            assert_eq!(is_json(media_type), expected, "{media_type}");
        }
    }

    #[test]
    fn malformed_and_unexpected_json_are_different_problems() {
        let problem = |text: &str| parse::<(i64, i64)>(text.as_bytes()).err().map(|it| it.to_string());
        assert_eq!(problem("[1, 2]"), None);
        let expected = "400 Bad Request: the body is not JSON: EOF while parsing a value at line 1 column 3";
        assert_eq!(problem("[1,").as_deref(), Some(expected));
        let expected = "422 Unprocessable Content: the JSON is not of the expected type: invalid length 1, expected a \
                        tuple of size 2 at line 1 column 3";
        assert_eq!(problem("[1]").as_deref(), Some(expected));
    }
}
