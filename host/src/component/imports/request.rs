//! `request`: the request that the guest serves.

use http::{HeaderMap, header};

use crate::{
    component::{store::StoreData, wit::carya::host::request},
    message::{FormError, FormField},
};

impl request::Host for StoreData {
    fn method(&mut self) -> wasmtime::Result<String> {
        Ok(self.lent.request.method.as_str().to_owned())
    }

    fn path(&mut self) -> wasmtime::Result<String> {
        Ok(self.lent.request.uri.path().to_owned())
    }

    fn route(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.lent.route.as_ref().map(|route| route.to_string()))
    }

    fn param(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.lent.params.iter().find(|(key, _)| **key == *name).map(|(_, value)| value.clone()))
    }

    fn params(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.lent.params.iter().map(|(name, value)| (name.to_string(), value.clone())).collect())
    }

    fn query(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(in_query(self.lent.request.uri.query().unwrap_or_default(), &name).next())
    }

    fn query_all(&mut self, name: String) -> wasmtime::Result<Vec<String>> {
        Ok(in_query(self.lent.request.uri.query().unwrap_or_default(), &name).collect())
    }

    fn query_string(&mut self) -> wasmtime::Result<String> {
        Ok(self.lent.request.uri.query().unwrap_or_default().to_owned())
    }

    fn header(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(first_header(&self.lent.request.headers, &name))
    }

    fn headers(&mut self) -> wasmtime::Result<String> {
        Ok(as_text(&self.lent.request.headers))
    }

    fn cookie(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(first_cookie(&self.lent.request.headers, &name))
    }

    fn body(&mut self) -> wasmtime::Result<Vec<u8>> {
        Ok(self.lent.request.body.to_vec())
    }

    fn body_text(&mut self) -> wasmtime::Result<Result<String, String>> {
        Ok(match str::from_utf8(&self.lent.request.body) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(format!("the body is not UTF-8: {error}")),
        })
    }

    fn form(&mut self) -> wasmtime::Result<Result<Vec<request::FormField>, request::FormError>> {
        let form = self.lent.form.get_or_insert_with(|| Box::new(self.lent.request.form()));
        Ok(match &**form {
            Ok(fields) => Ok(fields.iter().map(request::FormField::from).collect()),
            Err(error) => Err(error.into()),
        })
    }

    fn scheme(&mut self) -> wasmtime::Result<String> {
        Ok(if self.lent.request.is_encrypted { "https" } else { "http" }.to_owned())
    }

    fn authority(&mut self) -> wasmtime::Result<Option<String>> {
        // The server has set the field to the authority of the request, whichever form it had.
        Ok(first_header(&self.lent.request.headers, header::HOST.as_str()))
    }

    fn client_address(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.lent.request.client.map(|address| address.to_string()))
    }

    fn id(&mut self) -> wasmtime::Result<String> {
        Ok(self.lent.request.id.to_string())
    }
}

/// Returns the first value of a header.
pub(super) fn first_header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Returns all header fields as text, with one line for each field.
pub(super) fn as_text(headers: &HeaderMap) -> String {
    let mut text = String::with_capacity(headers.len() * 40);
    for (name, value) in headers {
        text.push_str(name.as_str());
        text.push_str(": ");
        text.push_str(&String::from_utf8_lossy(value.as_bytes()));
        text.push('\n');
    }
    text
}

impl From<&FormField> for request::FormField {
    fn from(FormField { name, value, file_name, content_type }: &FormField) -> Self {
        let (name, value) = (name.clone(), value.to_vec());
        request::FormField { name, value, file_name: file_name.clone(), content_type: content_type.clone() }
    }
}

impl From<&FormError> for request::FormError {
    fn from(error: &FormError) -> Self {
        match error {
            FormError::NotAForm => request::FormError::NotAForm,
            FormError::Malformed(reason) => request::FormError::Malformed(reason.clone()),
            FormError::Limit(reason) => request::FormError::Limit(reason.clone()),
        }
    }
}

/// Returns the value of the first cookie with this name, as the client sent it.
fn first_cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let fields = headers.get_all(header::COOKIE).iter();
    fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';')).find_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
        (key == name.as_bytes()).then(|| String::from_utf8_lossy(value).into_owned())
    })
}

/// Returns the values of a parameter in a query string, decoded as `application/x-www-form-urlencoded`.
fn in_query(query: &str, name: &str) -> impl Iterator<Item = String> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    pairs.filter(move |(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn finds_and_decodes_the_values_of_a_query_parameter() {
        let table: [(&str, &str, &[&str]); 9] = [
            ("a=1&b=2", "b", &["2"]),
            ("a=1&a=2&a", "a", &["1", "2", ""]),
            ("a+b=c+d%2B%C3%A9", "a b", &["c d+é"]),
            ("flag&x=", "flag", &[""]),
            ("flag&x=", "x", &[""]),
            ("a=b=c", "a", &["b=c"]),
            ("a=%zz%", "a", &["%zz%"]),
            ("a=1", "c", &[]),
            ("", "a", &[]),
        ];
        for (query, name, expected) in table {
            assert_eq!(in_query(query, name).collect::<Vec<_>>(), expected, "{query} {name}");
        }
    }

    #[test]
    fn finds_the_first_cookie_with_a_name() {
        let headers = ["a=1; b=\"x=y\"", "A=2; a=3;c = %20 ; d; é=ü; e="].map(|value| {
            (header::COOKIE, HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|error| panic!("{error}")))
        });
        let headers = HeaderMap::from_iter(headers);
        let table = [
            ("a", Some("1")),
            ("A", Some("2")),
            ("b", Some("\"x=y\"")),
            ("c", Some("%20")),
            ("d", None),
            ("é", Some("ü")),
            ("e", Some("")),
            ("", None),
        ];
        for (name, expected) in table {
            assert_eq!(first_cookie(&headers, name).as_deref(), expected, "{name}");
        }
    }
}
