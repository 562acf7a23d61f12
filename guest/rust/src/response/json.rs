//! JSON responses.

use std::fmt;

use serde::Serialize;

use super::{Body, IntoResponse, Response};
use crate::Json;

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.0) {
            Ok(text) => JsonText(text).into_response(),
            Err(error) => Response::failed(format!("the response cannot be serialized: {error}")),
        }
    }
}

/// Text that is JSON already, such as the rows of [`Db::fetch_json`](crate::Db::fetch_json).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonText(pub String);

impl fmt::Display for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl IntoResponse for JsonText {
    fn into_response(self) -> Response {
        Response::new(200).with_body(Body::Json(self.0))
    }
}

/// Response to a request that created an object: 201, the header `location`, and the object as JSON.
///
/// ```
/// use carya_guest::prelude::*;
///
/// let created = Created::at("/tickets/7", "the ticket");
/// assert_eq!(created.into_response().status(), 201);
/// ```
#[derive(Debug, Clone)]
pub struct Created<T> {
    location: String,
    object: T,
}

impl<T> Created<T> {
    /// Returns the response for an object with this path.
    pub fn at(location: impl Into<String>, object: T) -> Self {
        Self { location: location.into(), object }
    }
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        Json(self.object).into_response().with_status(201).with_header("location", self.location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_created_object_has_its_place() {
        let (status, headers, body) = Created::at("/t/1", [1, 2]).into_response().into_parts().unwrap();
        assert_eq!((status, headers), (201, vec![("location".to_owned(), "/t/1".to_owned())]));
        assert!(matches!(body, Body::Json(text) if text == "[1,2]"));
    }
}
