//! Patterns of routes.

use syn::{Error, LitStr, Result};

/// The pattern of a route, such as `/tickets/{id}`.
pub(crate) struct Pattern {
    pub(crate) literal: LitStr,
    /// The names of the parameters, in order.
    pub(crate) params: Vec<String>,
}

impl Pattern {
    pub(crate) fn parse(literal: LitStr) -> Result<Self> {
        let text = literal.value();
        let wrong = |message: String| Error::new_spanned(&literal, message);
        if !text.starts_with('/') {
            return Err(wrong(format!("a pattern begins with a slash: \"/{text}\"")));
        }
        if text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
            return Err(wrong("a pattern contains no white space".to_owned()));
        }
        if let Some(name) = text.split('/').find_map(|segment| segment.strip_prefix(':')) {
            return Err(wrong(format!("a parameter is written in braces: `{{{name}}}` instead of `:{name}`")));
        }
        let mut params = Vec::new();
        // `{{` and `}}` are braces of the path itself.
        let plain = text.replace("{{", "").replace("}}", "");
        let mut rest = plain.as_str();
        while let Some(start) = rest.find(['{', '}']) {
            let Some((name, after)) = rest[start..].strip_prefix('{').and_then(|inside| inside.split_once('}')) else {
                return Err(wrong("a brace of a parameter is not closed, or not opened".to_owned()));
            };
            let (name, is_rest) = name.strip_prefix('*').map_or((name, false), |name| (name, true));
            if name.is_empty() || name.contains(['{', '*', '/']) {
                return Err(wrong(
                    "a parameter needs a name: `{id}`, or `{*path}` for the rest of the path".to_owned(),
                ));
            }
            if is_rest && !after.is_empty() {
                return Err(wrong(format!("`{{*{name}}}` takes the rest of the path, so it must be the last part")));
            }
            if params.iter().any(|known| known == name) {
                return Err(wrong(format!("there are two parameters `{name}`")));
            }
            params.push(name.to_owned());
            rest = after;
        }
        Ok(Self { literal, params })
    }
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;

    use super::*;

    fn parse(text: &str) -> std::result::Result<Vec<String>, String> {
        Pattern::parse(LitStr::new(text, Span::call_site())).map(|it| it.params).map_err(|error| error.to_string())
    }

    #[test]
    fn finds_parameters() {
        for (text, params) in [
            ("/", vec![]),
            ("/tickets", vec![]),
            ("/a/{id}/b/{*rest}", vec!["id", "rest"]),
            ("/{{literal}}/{id}", vec!["id"]),
        ] {
            assert_eq!(parse(text), Ok(params.into_iter().map(str::to_owned).collect()), "{text}");
        }
    }

    #[test]
    fn refuses_malformed_patterns() {
        for (text, message) in [
            ("tickets", "begins with a slash"),
            ("/a b", "no white space"),
            ("/tickets/:id", "`{id}` instead of `:id`"),
            ("/tickets/{id", "not closed"),
            ("/tickets/id}", "not closed"),
            ("/tickets/{}", "needs a name"),
            ("/{*rest}/x", "must be the last part"),
            ("/{id}/{id}", "two parameters `id`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
