//! Forms and cookies.

use std::str;

use serde::de::DeserializeOwned;

use super::{FromRequest, text};
use crate::{
    Problem, Request,
    raw::request::{self, FormError, FormField},
    response,
};

/// Extractor of the text fields of a form, as a struct with their names. Accepts `application/x-www-form-urlencoded` and
/// `multipart/form-data`.
///
/// An `Option` is `None` if the field is missing, and a `Vec` takes all values of a repeated field. A field that a user
/// left empty is the empty text.
///
/// ```no_run
/// use carya_guest::prelude::*;
///
/// #[derive(serde::Deserialize)]
/// struct Order { item: i64, quantity: u32 }
///
/// # const _: &str = stringify!(
/// #[post("/orders")]
/// # );
/// fn order(Form(order): Form<Order>) -> Redirect {
///     Redirect::to("/report").flash(format!("ordered {}", order.quantity))
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Form<T> {
    fn from_request(request: &Request) -> Result<Self, Problem> {
        let Multipart { fields } = Multipart::from_request(request)?;
        let texts = fields.into_iter().filter(|field| field.file_name.is_none());
        // `Multipart` contains no other texts than UTF-8.
        let pairs = texts.filter_map(|field| Some((field.name, String::from_utf8(field.value).ok()?))).collect();
        text::from_pairs(pairs).map(Form).map_err(text::TextError::into_problem)
    }
}

/// Extractor of the fields and files of a form. Accepts the media types of [`Form`].
///
/// ```no_run
/// use carya_guest::prelude::*;
///
/// # const _: &str = stringify!(
/// #[post("/tickets/{id}/photo")]
/// # );
/// fn attach(db: &Writer, Path(id): Path<i64>, form: Multipart) -> Result<NoContent, Problem> {
///     let photo = form.file("photo").ok_or(Problem::unprocessable("the photo is missing"))?;
///     db.execute("INSERT INTO photos (ticket, name, content) VALUES (?, ?, ?)", (id, photo.name, photo.content))?;
///     Ok(NoContent)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Multipart {
    fields: Vec<FormField>,
}

/// A file of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File<'a> {
    /// The name that the client gave the file. Do not use it as a path.
    pub name: &'a str,
    /// The media type that the client gave the file.
    pub content_type: Option<&'a str>,
    /// The content.
    pub content: &'a [u8],
}

impl Multipart {
    /// Checks that all text fields are UTF-8.
    fn new(fields: Vec<FormField>) -> Result<Self, Problem> {
        let is_text = |field: &FormField| field.file_name.is_some() || str::from_utf8(&field.value).is_ok();
        match fields.iter().find(|field| !is_text(field)) {
            Some(field) => Err(Problem::bad_request(format!("the field `{}` is not UTF-8", field.name))),
            None => Ok(Self { fields }),
        }
    }

    /// Returns the first text field with this name.
    pub fn text(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|field| field.name == name && field.file_name.is_none())?;
        str::from_utf8(&field.value).ok()
    }

    /// Returns the first file with this name.
    pub fn file(&self, name: &str) -> Option<File<'_>> {
        self.files(name).next()
    }

    /// Returns all files with this name, in order.
    pub fn files(&self, name: &str) -> impl Iterator<Item = File<'_>> {
        let fields = self.fields.iter().filter(move |field| field.name == name);
        fields.filter_map(|field| {
            let name = field.file_name.as_deref()?;
            Some(File { name, content_type: field.content_type.as_deref(), content: &field.value })
        })
    }
}

impl FromRequest for Multipart {
    fn from_request(_: &Request) -> Result<Self, Problem> {
        let fields = request::form().map_err(|error| match error {
            FormError::NotAForm => Problem::new(415)
                .with_detail("send a form: `application/x-www-form-urlencoded` or `multipart/form-data`"),
            FormError::Malformed(reason) => Problem::bad_request(format!("the form is malformed: {reason}")),
            FormError::Limit(limit) => Problem::new(413).with_detail(format!("the form is too large: {limit}")),
        })?;
        Self::new(fields)
    }
}

/// Extractor of the cookies.
///
/// ```no_run
/// use carya_guest::prelude::*;
///
/// fn theme(cookies: Cookies) -> String {
///     cookies.get("theme").unwrap_or_else(|| "light".to_owned())
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Cookies(Request);

impl Cookies {
    /// Returns the value of the first cookie with this name, percent-decoded as [`SetCookie`](crate::SetCookie) encodes
    /// it. The client chooses the value, so do not trust it.
    pub fn get(&self, name: &str) -> Option<String> {
        self.0.cookie(name).map(|value| response::decode_cookie(&value))
    }
}

impl FromRequest for Cookies {
    fn from_request(request: &Request) -> Result<Self, Problem> {
        Ok(Self(*request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_files_are_kept_apart() {
        let field = |name: &str, value: &str, file_name: Option<&str>| FormField {
            name: name.to_owned(),
            value: value.into(),
            file_name: file_name.map(str::to_owned),
            content_type: None,
        };
        let form = Multipart {
            fields: vec![
                field("photo", "not a file", None),
                field("photo", "one", Some("1.png")),
                field("photo", "two", Some("2.png")),
            ],
        };
        assert_eq!(form.text("photo"), Some("not a file"));
        assert_eq!(form.file("photo"), Some(File { name: "1.png", content_type: None, content: b"one" }));
        assert_eq!(form.files("photo").count(), 2);
        assert_eq!(form.file("other"), None);
    }

    #[test]
    fn a_text_that_is_not_utf_8_is_refused() {
        let field = |file_name: Option<&str>| FormField {
            name: "photo".to_owned(),
            value: vec![0xff],
            file_name: file_name.map(str::to_owned),
            content_type: None,
        };
        assert!(Multipart::new(vec![field(Some("1.png"))]).is_ok());
        let problem = Multipart::new(vec![field(Some("1.png")), field(None)]).unwrap_err();
        assert_eq!(problem.to_string(), "400 Bad Request: the field `photo` is not UTF-8");
    }
}
