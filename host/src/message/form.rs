//! Forms that browsers submit: `application/x-www-form-urlencoded` and `multipart/form-data`.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{HeaderMap, header};
use multer::{Field, Multipart};

/// Maximum number of fields, including files.
const MAX_FIELDS: usize = 1000;
/// Maximum number of files.
const MAX_FILES: usize = 100;
/// Maximum length of the name of a field or file, in bytes.
const MAX_NAME: usize = 1024;

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FormField {
    /// Name of the field.
    pub(crate) name: String,
    /// Value of a text field, or content of a file.
    pub(crate) value: Bytes,
    /// Name that the client gave the file. `None` if the field is not a file.
    pub(crate) file_name: Option<String>,
    /// Media type that the client gave the field.
    pub(crate) content_type: Option<String>,
}

/// Reason why a body is not a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FormError {
    /// The media type of the body is not that of a form.
    NotAForm,
    /// The body cannot be parsed.
    Malformed(String),
    /// The form exceeds a limit.
    Limit(String),
}

/// Returns the fields of a form, in order. In an urlencoded form, bytes that are not UTF-8 are replaced by U+FFFD.
pub(crate) fn parse(headers: &HeaderMap, body: &Bytes) -> Result<Vec<FormField>, FormError> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.ok_or(FormError::NotAForm)?;
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return parse_urlencoded(body);
    }
    if !essence.eq_ignore_ascii_case("multipart/form-data") {
        return Err(FormError::NotAForm);
    }
    let boundary = multer::parse_boundary(content_type).map_err(|error| FormError::Malformed(error.to_string()))?;
    // The body is in memory, so the parser never waits. It would wait for more data only because of a bug.
    let parsed = parse_multipart(body.clone(), boundary).now_or_never();
    parsed.unwrap_or_else(|| Err(FormError::Malformed("the form is incomplete".to_owned())))
}

fn parse_urlencoded(body: &[u8]) -> Result<Vec<FormField>, FormError> {
    let mut fields = Fields::default();
    for (name, value) in form_urlencoded::parse(body) {
        let value = value.into_owned().into_bytes().into();
        fields.add(FormField { name: name.into_owned(), value, file_name: None, content_type: None })?;
    }
    Ok(fields.all)
}

async fn parse_multipart(body: Bytes, boundary: String) -> Result<Vec<FormField>, FormError> {
    let body = stream::once(std::future::ready(Ok::<_, Infallible>(body)));
    let (mut parts, mut fields) = (Multipart::new(body, boundary), Fields::default());
    loop {
        let number = fields.all.len() + 1;
        let malformed = |reason: &dyn std::fmt::Display| FormError::Malformed(format!("field {number}: {reason}"));
        let Some(part) = parts.next_field().await.map_err(|error| malformed(&error))? else { return Ok(fields.all) };
        let name = part.name().ok_or_else(|| malformed(&"it has no name in UTF-8"))?.to_owned();
        let file_name = part.file_name().map(str::to_owned);
        let content_type = content_type(&part);
        let value = part.bytes().await.map_err(|error| malformed(&error))?;
        fields.add(FormField { name, value, file_name, content_type })?;
    }
}

fn content_type(part: &Field<'_>) -> Option<String> {
    let value = part.headers().get(header::CONTENT_TYPE)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Fields within the limits.
#[derive(Default)]
struct Fields {
    all: Vec<FormField>,
    files: usize,
}

impl Fields {
    fn add(&mut self, field: FormField) -> Result<(), FormError> {
        let number = self.all.len() + 1;
        self.files += usize::from(field.file_name.is_some());
        let is_long = |name: &String| name.len() > MAX_NAME;
        if is_long(&field.name) || field.file_name.as_ref().is_some_and(is_long) {
            return Err(FormError::Limit(format!("field {number}: a name may have at most {MAX_NAME} bytes")));
        }
        if number > MAX_FIELDS {
            return Err(FormError::Limit(format!("a form may have at most {MAX_FIELDS} fields")));
        }
        if self.files > MAX_FILES {
            return Err(FormError::Limit(format!("a form may have at most {MAX_FILES} files")));
        }
        self.all.push(field);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn parsed(content_type: &'static str, body: &str) -> Result<Vec<FormField>, FormError> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        parse(&headers, &Bytes::copy_from_slice(body.as_bytes()))
    }

    /// Returns the fields as one line each: `name=value`, and `(file name, media type)` where there are any.
    fn lines(content_type: &'static str, body: &str) -> Vec<String> {
        let line = |field: FormField| {
            let mut line = format!("{}={}", field.name, String::from_utf8_lossy(&field.value));
            if field.file_name.is_some() || field.content_type.is_some() {
                line.push_str(&format!(" ({:?}, {:?})", field.file_name, field.content_type));
            }
            line
        };
        match parsed(content_type, body) {
            Ok(fields) => fields.into_iter().map(line).collect(),
            Err(error) => vec![format!("{error:?}")],
        }
    }

    const MULTIPART: &str = "multipart/form-data; boundary=x";

    fn part(disposition: &str, rest: &str) -> String {
        format!("--x\r\nContent-Disposition: form-data; {disposition}\r\n{rest}\r\n")
    }

    #[test]
    fn urlencoded_forms_are_decoded() {
        let table: [(&str, &[&str]); 6] = [
            ("a=1&b=2&a=3", &["a=1", "b=2", "a=3"]),
            ("a+b=c+d%2B%C3%A9", &["a b=c d+é"]),
            ("flag&x=&=y", &["flag=", "x=", "=y"]),
            ("a=%zz%FF", &["a=%zz\u{fffd}"]),
            ("a=b=c", &["a=b=c"]),
            ("", &[]),
        ];
        for (body, expected) in table {
            assert_eq!(lines("Application/X-WWW-Form-Urlencoded; charset=utf-8", body), expected, "{body}");
        }
    }

    #[test]
    fn multipart_forms_are_decoded() {
        let text = part("name=\"title\"", "\r\nGrüße\r\n");
        let file = part("name=\"file\"; filename=\"a b.txt\"", "Content-Type: text/plain\r\n\r\n1\r\n--y");
        let quoted = part("name=\"a\\\"b\"", "\r\n");
        let table = [
            (
                format!("{text}{file}--x--"),
                vec!["title=Grüße\r\n", "file=1\r\n--y (Some(\"a b.txt\"), Some(\"text/plain\"))"],
            ),
            (format!("preamble\r\n{quoted}--x--\r\nepilogue"), vec!["a\"b="]),
            ("--x--".to_owned(), vec![]),
        ];
        for (body, expected) in table {
            assert_eq!(lines(MULTIPART, &body), expected, "{body}");
        }
    }

    #[test]
    fn other_bodies_are_no_forms() {
        for content_type in ["application/json", "multipart/mixed; boundary=x", "text/plain", ""] {
            assert_eq!(parsed(content_type, "a=1"), Err(FormError::NotAForm), "{content_type}");
        }
        assert_eq!(parse(&HeaderMap::new(), &Bytes::from_static(b"a=1")), Err(FormError::NotAForm));
    }

    #[test]
    fn malformed_multipart_forms_are_refused_with_the_place() {
        let whole = part("name=\"a\"", "\r\n1");
        let table = [
            ("multipart/form-data", whole.clone(), "boundary"),
            (MULTIPART, String::new(), "field 1: "),
            (MULTIPART, whole.clone(), "field 1: "),
            (MULTIPART, format!("{whole}--x\r\nno header"), "field 2: "),
            (MULTIPART, part("nothing", "\r\n1") + "--x--", "field 1: it has no name"),
            (MULTIPART, "--x\r\n\r\n1\r\n--x--".to_owned(), "field 1: "),
        ];
        for (content_type, body, expected) in table {
            match parsed(content_type, &body) {
                Err(FormError::Malformed(reason)) => assert!(reason.contains(expected), "{body}: {reason}"),
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn forms_have_limits() {
        let urlencoded = |fields: usize, name: usize| {
            let name = "n".repeat(name);
            parsed("application/x-www-form-urlencoded", &vec![format!("{name}=1"); fields].join("&"))
        };
        let files = |count: usize| parsed(MULTIPART, &(part("name=f; filename=g", "\r\n1").repeat(count) + "--x--"));
        let counts = [urlencoded(MAX_FIELDS, 1), urlencoded(1, MAX_NAME), files(MAX_FILES)];
        assert_eq!(counts.map(|fields| fields.map(|fields| fields.len())), [Ok(1000), Ok(1), Ok(100)]);
        let exceeding = [urlencoded(MAX_FIELDS + 1, 1), urlencoded(1, MAX_NAME + 1), files(MAX_FILES + 1)];
        for form in exceeding {
            assert!(matches!(form, Err(FormError::Limit(_))), "{form:?}");
        }
    }
}
