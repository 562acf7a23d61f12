//! `request`: the request that the guest serves.

use std::borrow::Cow;

use http::HeaderMap;
use percent_encoding::percent_decode;

use crate::component::{store::StoreData, wit::carya::host::request};

impl request::Host for StoreData {
    fn method(&mut self) -> wasmtime::Result<String> {
        Ok(self.lent.request.method.as_str().to_owned())
    }

    fn path(&mut self) -> wasmtime::Result<String> {
        Ok(self.lent.request.uri.path().to_owned())
    }

    fn param(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.lent.params.iter().find(|(key, _)| **key == *name).map(|(_, value)| value.clone()))
    }

    fn query(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(first_in_query(self.lent.request.uri.query().unwrap_or_default(), &name))
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

    fn body(&mut self) -> wasmtime::Result<Vec<u8>> {
        Ok(self.lent.request.body.to_vec())
    }

    fn body_text(&mut self) -> wasmtime::Result<Result<String, String>> {
        Ok(match str::from_utf8(&self.lent.request.body) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(format!("the body is not UTF-8: {error}")),
        })
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

/// Returns the first value of a parameter in a query string, decoded as `application/x-www-form-urlencoded`.
fn first_in_query(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key) == name).then(|| decode(value).into_owned())
    })
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['+', '%']) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode(spaced.as_bytes()).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::first_in_query;

    #[test]
    fn finds_and_decodes_the_first_value_of_a_query_parameter() {
        let table = [
            ("a=1&b=2", "b", Some("2")),
            ("a=1&a=2", "a", Some("1")),
            ("a+b=c+d%2B%C3%A9", "a b", Some("c d+é")),
            ("flag&x=", "flag", Some("")),
            ("flag&x=", "x", Some("")),
            ("a=b=c", "a", Some("b=c")),
            ("a=%zz%", "a", Some("%zz%")),
            ("a=1", "c", None),
            ("", "a", None),
        ];
        for (query, name, expected) in table {
            assert_eq!(first_in_query(query, name).as_deref(), expected, "{query} {name}");
        }
    }
}
