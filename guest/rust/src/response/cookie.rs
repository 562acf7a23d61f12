//! Cookies, redirects, and messages that survive one redirect.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{IntoResponse, Response};
use crate::{FromRequest, Problem, Request};

/// Name of the cookie of [`Flash`].
const FLASH: &str = "flash";

/// Bytes that are percent-encoded in the value of a cookie: all except letters, digits and `-._~`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Decodes the value of a cookie as [`SetCookie`] encodes it. A value that is not UTF-8 afterwards stays as it is.
pub(crate) fn decode(value: &str) -> String {
    percent_decode_str(value).decode_utf8().map_or_else(|_| value.to_owned(), Into::into)
}

/// A cookie that a response sets.
///
/// By default, JavaScript cannot read the cookie (`HttpOnly`), other sites do not send it with their requests
/// (`SameSite=Lax`), and it applies to all paths.
///
/// ```
/// use carya_guest::prelude::*;
/// use carya_guest::SetCookie;
///
/// let cookie = SetCookie::new("theme", "dark").max_age(3600).secure();
/// assert_eq!(cookie.to_string(), "theme=dark; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure");
/// let response = NoContent.into_response().with_header("set-cookie", cookie.to_string());
/// ```
#[derive(Debug, Clone)]
pub struct SetCookie {
    name: String,
    value: String,
    path: String,
    max_age: Option<u32>,
    secure: bool,
}

impl SetCookie {
    /// Returns a cookie for the session of the browser. Bytes of the value that a cookie cannot contain are
    /// percent-encoded.
    pub fn new(name: impl Into<String>, value: &str) -> Self {
        Self {
            name: name.into(),
            value: utf8_percent_encode(value, ENCODED).to_string(),
            path: "/".to_owned(),
            max_age: None,
            secure: false,
        }
    }

    /// Sets the time in seconds after which the browser deletes the cookie. 0 deletes the cookie at once.
    pub fn max_age(mut self, seconds: u32) -> Self {
        self.max_age = Some(seconds);
        self
    }

    /// Sets the path to which the browser sends the cookie.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Lets the browser send the cookie only over HTTPS.
    pub fn secure(mut self) -> Self {
        self.secure = true;
        self
    }
}

impl std::fmt::Display for SetCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}; Path={}", self.name, self.value, self.path)?;
        if let Some(seconds) = self.max_age {
            write!(f, "; Max-Age={seconds}")?;
        }
        f.write_str("; HttpOnly; SameSite=Lax")?;
        f.write_str(if self.secure { "; Secure" } else { "" })
    }
}

/// Response that sends the browser to another page with GET: 303.
///
/// The host commits the transaction after a redirect, unless the configuration sets `rollback_on_redirect` or the
/// handler calls [`mark_rollback`](crate::DbMut::mark_rollback).
///
/// ```
/// use carya_guest::prelude::*;
///
/// # const _: &str = stringify!(
/// #[post("/orders")]
/// # );
/// fn order() -> Redirect {
///     Redirect::to("/report").flash("ordered")
/// }
/// # order();
/// ```
#[derive(Debug, Clone)]
pub struct Redirect {
    location: String,
    flash: Option<String>,
}

impl Redirect {
    /// Returns a redirect to a path or URL.
    pub fn to(location: impl Into<String>) -> Self {
        Self { location: location.into(), flash: None }
    }

    /// Adds a message for the next page, in a cookie that lives for a minute. The next page reads it with [`Flash`].
    pub fn flash(mut self, message: impl Into<String>) -> Self {
        self.flash = Some(message.into());
        self
    }
}

impl IntoResponse for Redirect {
    fn into_response(self) -> Response {
        let response = Response::new(303).with_header("location", self.location);
        match self.flash {
            Some(message) => {
                response.with_header("set-cookie", SetCookie::new(FLASH, &message).max_age(60).to_string())
            }
            None => response,
        }
    }
}

/// Extractor of the message that a [`Redirect`] has left for this page.
///
/// The message is in a cookie, so a client can forge it: escape it like every other input.
///
/// ```no_run
/// use carya_guest::prelude::*;
///
/// # const _: &str = stringify!(
/// #[get("/report")]
/// # );
/// fn page(flash: Flash) -> Response {
///     let text = flash.message().unwrap_or("no news").to_owned();
///     flash.forget(text)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Flash(Option<String>);

impl Flash {
    /// Returns the message.
    pub fn message(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Returns a response that deletes the message, so that the browser shows it once.
    pub fn forget(&self, response: impl IntoResponse) -> Response {
        let response = response.into_response();
        match self.0 {
            Some(_) => response.with_header("set-cookie", SetCookie::new(FLASH, "").max_age(0).to_string()),
            None => response,
        }
    }
}

impl FromRequest for Flash {
    fn from_request(request: &Request) -> Result<Self, Problem> {
        Ok(Self(request.cookie(FLASH).map(|value| decode(&value))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_carries_a_message() {
        let (status, headers, _) = Redirect::to("/report").flash("Größe; ok").into_response().into_parts().unwrap();
        assert_eq!(status, 303);
        assert_eq!(headers[0], ("location".to_owned(), "/report".to_owned()));
        let cookie = "flash=Gr%C3%B6%C3%9Fe%3B%20ok; Path=/; Max-Age=60; HttpOnly; SameSite=Lax";
        assert_eq!(headers[1], ("set-cookie".to_owned(), cookie.to_owned()));
    }

    #[test]
    fn values_that_are_not_encoded_stay_as_they_are() {
        for (text, expected) in [("Gr%C3%B6%c3%9Fe", "Größe"), ("100%", "100%"), ("%2", "%2"), ("%zz", "%zz"), ("", "")]
        {
            assert_eq!(decode(text), expected);
        }
        assert_eq!(decode("%41%ff"), "%41%ff");
    }

    #[test]
    fn a_message_is_forgotten_only_if_there_is_one() {
        let cookies = |flash: Flash| flash.forget(crate::NoContent).into_parts().unwrap().1;
        assert_eq!(cookies(Flash(None)), []);
        let deleted = "flash=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax".to_owned();
        assert_eq!(cookies(Flash(Some("x".to_owned()))), [("set-cookie".to_owned(), deleted)]);
    }
}
