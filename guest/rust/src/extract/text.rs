//! Texts of paths, queries and forms as any type that implements `Deserialize`.

use std::{fmt, str::FromStr};

use serde::de::{self, DeserializeOwned, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use crate::Problem;

/// Reads pairs of name and value as a struct or map. A name may occur more than once.
pub(super) fn from_pairs<T: DeserializeOwned>(pairs: Vec<(String, String)>) -> Result<T, TextError> {
    let mut fields: Vec<(String, Vec<String>)> = Vec::new();
    for (name, value) in pairs {
        match fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => fields.push((name, vec![value])),
        }
    }
    T::deserialize(Fields { fields: fields.into_iter(), value: None })
}

/// Reads the parameters of a path: as a scalar if there is one, as a tuple by position, as a struct or map by name.
pub(super) fn from_values<T: DeserializeOwned>(params: Vec<(String, String)>) -> Result<T, TextError> {
    T::deserialize(Params(params))
}

/// Error of a field that does not have the expected type.
#[derive(Debug, PartialEq)]
pub(super) struct TextError {
    field: String,
    rule: String,
}

impl TextError {
    fn new(rule: impl Into<String>) -> Self {
        Self { field: String::new(), rule: rule.into() }
    }

    /// Names the field, unless the error names an inner one.
    fn at(mut self, field: &str) -> Self {
        if self.field.is_empty() {
            field.clone_into(&mut self.field);
        }
        self
    }

    pub(super) fn into_problem(self) -> Problem {
        match self.field.is_empty() {
            true => Problem::unprocessable(self.rule),
            false => Problem::unprocessable("some fields are not valid").with_field(&self.field, &self.rule),
        }
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.rule)
    }
}

impl std::error::Error for TextError {}

impl de::Error for TextError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new("is missing").at(field)
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Self::new("is unknown").at(field)
    }

    fn unknown_variant(_: &str, variants: &'static [&'static str]) -> Self {
        Self::new(format!("must be one of {}", variants.join(", ")))
    }
}

/// Pairs as a map.
struct Fields {
    fields: std::vec::IntoIter<(String, Vec<String>)>,
    /// The next field, after its name was read.
    value: Option<(String, Vec<String>)>,
}

impl<'de> Deserializer<'de> for Fields {
    type Error = TextError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_map(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for Fields {
    type Error = TextError;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, TextError> {
        self.value = self.fields.next();
        let Some((name, _)) = &self.value else { return Ok(None) };
        seed.deserialize(name.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, TextError> {
        let (name, values) = self.value.take().unwrap_or_default();
        seed.deserialize(Values(values)).map_err(|error| error.at(&name))
    }
}

/// Parameters of a path.
struct Params(Vec<(String, String)>);

impl Params {
    fn only(self) -> Result<Values, TextError> {
        match self.0.len() {
            1 => Ok(self.values()),
            count => Err(TextError::new(format!("expected a path with one parameter, but it has {count}"))),
        }
    }

    fn values(self) -> Values {
        Values(self.0.into_iter().map(|(_, value)| value).collect())
    }
}

macro_rules! only {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
            self.only()?.$method(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Params {
    type Error = TextError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        let fields: Vec<_> = self.0.into_iter().map(|(name, value)| (name, vec![value])).collect();
        visitor.visit_map(Fields { fields: fields.into_iter(), value: None })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, TextError> {
        match self.0.len() {
            count if count == length => self.values().deserialize_seq(visitor),
            count => Err(TextError::new(format!("expected a path with {length} parameters, but it has {count}"))),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, TextError> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        self.values().deserialize_seq(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TextError> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }

    only! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
        deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_string deserialize_option
    }

    serde::forward_to_deserialize_any! {
        i128 u128 bytes byte_buf unit unit_struct map struct identifier ignored_any
    }
}

/// All values of one name.
struct Values(Vec<String>);

impl Values {
    fn first(self) -> String {
        self.0.into_iter().next().unwrap_or_default()
    }

    fn number<T: FromStr>(self, rule: impl FnOnce() -> String) -> Result<T, TextError> {
        self.first().trim().parse().map_err(|_| TextError::new(rule()))
    }
}

macro_rules! numbers {
    ($($method:ident $type:ident $visit:ident;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
            let rule = || format!("must be a whole number from {} to {}", $type::MIN, $type::MAX);
            visitor.$visit(self.number::<$type>(rule)?)
        })*
    };
}

impl<'de> Deserializer<'de> for Values {
    type Error = TextError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_string(self.first())
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        match &*self.first() {
            // Browsers send `on` for a checked box without a value.
            "true" | "1" | "on" => visitor.visit_bool(true),
            "false" | "0" => visitor.visit_bool(false),
            _ => Err(TextError::new("must be true or false")),
        }
    }

    numbers! {
        deserialize_i8 i8 visit_i8;
        deserialize_i16 i16 visit_i16;
        deserialize_i32 i32 visit_i32;
        deserialize_i64 i64 visit_i64;
        deserialize_u8 u8 visit_u8;
        deserialize_u16 u16 visit_u16;
        deserialize_u32 u32 visit_u32;
        deserialize_u64 u64 visit_u64;
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_f64(self.number(|| "must be a number".to_owned())?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_seq(List(self.0.into_iter()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TextError> {
        visitor.visit_enum(self.first().into_deserializer())
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

/// The values of a name as a list.
struct List(std::vec::IntoIter<String>);

impl<'de> SeqAccess<'de> for List {
    type Error = TextError;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, TextError> {
        self.0.next().map(|value| seed.deserialize(Values(vec![value]))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum State {
        Open,
        Closed,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Search {
        words: Option<String>,
        #[serde(default)]
        tag: Vec<String>,
        page: u8,
        state: State,
        urgent: Option<bool>,
    }

    #[test]
    fn a_struct_takes_fields_by_name() {
        let query = pairs(&[("tag", "a"), ("page", "2"), ("other", "x"), ("state", "closed"), ("tag", "b")]);
        let expected = Search {
            words: None,
            tag: vec!["a".to_owned(), "b".to_owned()],
            page: 2,
            state: State::Closed,
            urgent: None,
        };
        assert_eq!(from_pairs(query), Ok(expected));
        let map = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        assert_eq!(from_pairs(pairs(&[("a", "1"), ("a", "2")])), Ok(map));
    }

    #[test]
    fn errors_name_the_field_and_the_rule() {
        let cases = [
            (vec![("state", "open")], "page is missing"),
            (vec![("page", "256"), ("state", "open")], "page must be a whole number from 0 to 255"),
            (vec![("page", "1"), ("state", "new")], "state must be one of open, closed"),
            (vec![("page", "1"), ("state", "open"), ("urgent", "x")], "urgent must be true or false"),
        ];
        for (query, expected) in cases {
            let error = from_pairs::<Search>(pairs(&query)).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn parameters_of_a_path_have_positions_and_names() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Id(i64);
        #[derive(Debug, PartialEq, Deserialize)]
        struct Place {
            project: String,
            id: i64,
        }
        let one = || pairs(&[("id", "7")]);
        let two = || pairs(&[("project", "a/b"), ("id", "7")]);
        assert_eq!(from_values(one()), Ok(7_i64));
        assert_eq!(from_values(one()), Ok(Id(7)));
        assert_eq!(from_values(one()), Ok("7".to_owned()));
        assert_eq!(from_values(two()), Ok(("a/b".to_owned(), 7_i64)));
        assert_eq!(from_values(two()), Ok(Place { project: "a/b".to_owned(), id: 7 }));
        assert!(from_values::<i64>(two()).is_err());
        assert!(from_values::<(i64,)>(two()).is_err());
        assert!(from_values::<i64>(pairs(&[("id", "x")])).is_err());
    }
}
